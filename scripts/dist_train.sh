#!/usr/bin/env bash
# Train on all GPUs of this machine, or of several: bash scripts/dist_train.sh -opt FILE [arguments of train.py]
#
#   bash scripts/dist_train.sh -opt options/train/drct/DRCT_x4.yml
#   NPROC=2 bash scripts/dist_train.sh -opt my.yml --resume auto
#   NNODES=2 RDZV_ENDPOINT=node1:29500 bash scripts/dist_train.sh -opt my.yml      # the same line on both machines
#   bash scripts/dist_train.sh --max-restarts 3 -opt my.yml
#
# --max-restarts N, which comes first, lets torchrun start all ranks again up to N times after a failure; they then
# continue from the newest state. The total batch is `batch_size` of the option file for any number of ranks.
#
# Variables (defaults):
#   NPROC            ranks on this machine (auto: one per GPU; one if there is none)
#   NNODES           machines (1)
#   RDZV_ENDPOINT    host:port of one of the machines, where they meet (needed for several)
#   RDZV_ID          name of the meeting, the same on all machines and another for each run (SLURM_JOB_ID, or srzoo)
#   RDZV_BACKEND     how they meet (c10d)
#   PYTHON           interpreter (.venv/bin/python of this checkout if there is one, else python)
#   OMP_NUM_THREADS  threads per rank (cores / ranks)
#
# Exit codes: 0 done; 75 stopped by a signal or by train.max_time with its state saved and work left (start it again with
# --resume auto); others: failed.
set -eu
unset CDPATH
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
fail() { echo "error: $*" >&2; exit 2; }

if [ $# -eq 0 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit $(($# == 0 ? 2 : 0))
fi
restarts=0
case $1 in
    --max-restarts) restarts=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
    --max-restarts=*) restarts=${1#*=}; shift ;;
esac
case $restarts in '' | *[!0-9]*) fail "--max-restarts expects a number, got '$restarts'" ;; esac

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python
    [ ! -x "$root/.venv/bin/python" ] || python=$root/.venv/bin/python
fi
ranks=${NPROC:-auto}
# torchrun's own "auto" means a rank per core on a machine without a GPU.
[ "$ranks" != auto ] || ranks=$("$python" -c 'import torch; print(max(torch.cuda.device_count(), 1))')
case $ranks in '' | *[!0-9]* | 0) fail "NPROC must be auto or a number of ranks, got '$ranks'" ;; esac

nodes=${NNODES:-1}
if [ -n "${RDZV_ENDPOINT:-}" ]; then
    meeting=(--nnodes="$nodes" --rdzv-backend="${RDZV_BACKEND:-c10d}" --rdzv-endpoint="$RDZV_ENDPOINT"
        --rdzv-id="${RDZV_ID:-${SLURM_JOB_ID:-srzoo}}")
elif [ "$nodes" = 1 ]; then
    meeting=(--standalone)  # a free port of this machine
else
    fail "NNODES=$nodes needs RDZV_ENDPOINT=host:port, the same on all machines"
fi
# torchrun's default is one thread per rank.
cores=$(getconf _NPROCESSORS_ONLN)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks ? cores / ranks : 1))}

notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT
export SRZOO_STOPPED=$notes/stopped

# torchrun ends ranks that it passes a signal to after 30 s, and takes the end for a failure: it ignores these, and this
# script passes them on to the ranks itself. A process group of its own keeps Ctrl-C from reaching them twice.
trap '' TERM INT HUP USR1
set -m
"$python" -m torch.distributed.run "${meeting[@]}" --nproc-per-node="$ranks" --max-restarts="$restarts" \
    --signals-to-handle=SIGQUIT "$root/scripts/rank.py" "$@" &
launcher=$!
set +m
signal=
pass_on() {
    local started
    signal=$1
    started=$(cat "/proc/$launcher/task/"*/children 2>/dev/null || ps -o pid= --ppid "$launcher" 2>/dev/null || true)
    # Before it has started its ranks torchrun has nothing to save.
    kill -s "$1" ${started:-} 2>/dev/null || kill -s KILL "$launcher" 2>/dev/null || true
}
trap 'pass_on TERM' TERM
trap 'pass_on INT' INT
trap 'pass_on HUP' HUP
trap 'pass_on USR1' USR1
# A signal ends `wait` before torchrun has ended.
while :; do
    signal=
    code=0
    wait "$launcher" || code=$?
    [ -n "$signal" ] || break
done
[ "$code" -ne 0 ] || [ ! -e "$SRZOO_STOPPED" ] || code=75
exit "$code"
