#!/usr/bin/env bash
# Set up srzoo and run lint, format, types and tests. Arguments go to pytest, e.g. `-m slow` or `tests/ops`;
# `-n 0` runs the tests in one process.
set -eu
. "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"
prepare_environment dev

# As modules: the programs in .venv/bin name the folder that the environment was made in.
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m pyright --pythonpath .venv/bin/python
# A process per core: threads of PyTorch would compete for the same cores, which is many times slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
.venv/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal "$@"
