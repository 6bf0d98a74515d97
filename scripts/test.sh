#!/usr/bin/env bash
# Set up srzoo and run lint, format, types and tests. Arguments go to pytest, e.g. `-m slow` or `tests/ops`.
set -eu
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
prepare_environment dev

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyright --pythonpath .venv/bin/python
.venv/bin/python -m pytest "$@"
