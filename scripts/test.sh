#!/usr/bin/env bash
# Set up srzoo and run lint, format, types and tests. Arguments go to pytest, e.g. `-m slow` or `tests/ops`.
set -eu
. "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"
prepare_environment dev

# As modules: the programs in .venv/bin name the folder that the environment was made in.
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m pyright --pythonpath .venv/bin/python
.venv/bin/python -m pytest "$@"
