#!/usr/bin/env bash
# Set up srzoo, train a small network on real photographs, and compare it with bicubic on photographs it has not seen.
set -eu
. "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"
prepare_environment samples

say() { printf '\n$ %s\n' "$*"; "$@"; }

say .venv/bin/python scripts/demo.py photographs
say .venv/bin/python srzoo/train.py -opt options/train/imdn/demo.yml --resume auto
say .venv/bin/python srzoo/test.py -opt options/test/imdn/demo_bicubic.yml --overwrite
say .venv/bin/python srzoo/test.py -opt options/test/imdn/demo_trained.yml --overwrite
say .venv/bin/python -m srzoo.cli report experiments/demo_bicubic experiments/demo_trained experiments/demo \
    -o experiments/demo/report.html --overwrite
say .venv/bin/python scripts/demo.py report
