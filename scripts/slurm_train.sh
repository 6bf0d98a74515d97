#!/usr/bin/env bash
# Train under SLURM, through any number of time limits: sbatch [options of sbatch] scripts/slurm_train.sh -opt FILE
#
#   sbatch --nodes=2 --gres=gpu:8 --time=24:00:00 scripts/slurm_train.sh -opt options/train/drct/DRCT_x4.yml
#
# Two minutes before the time limit SLURM sends USR1 to this script, which passes it on to the training. That saves its
# state and ends with exit code 75, and the job is put back into the queue under the same number. Every start continues
# from the newest state (--resume auto), so that a node that fails (--requeue) costs only the updates since then.
#
# Variables (defaults; set them with `sbatch --export=ALL,NAME=VALUE`):
#   SRZOO_ROOT     this checkout (the folder in which sbatch is called: SLURM runs a copy of this script)
#   NPROC          ranks per node (auto: one per GPU)
#   MAX_RESTARTS   how often torchrun starts all ranks again after a failure (3)
#   MASTER_PORT    port of the first node, where the nodes meet (20000 + job number modulo 10000)
#   MAX_REQUEUES   how often the job is put back into the queue (100)
#   PYTHON         interpreter, as for scripts/dist_train.sh
#
# Exit codes are those of scripts/dist_train.sh; only 75 puts the job back.
#
#SBATCH --job-name=srzoo
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
unset CDPATH
root=${SRZOO_ROOT:-${SLURM_SUBMIT_DIR:-$PWD}}
launcher=$root/scripts/dist_train.sh
if [ ! -f "$launcher" ]; then
    echo "error: $launcher does not exist: call sbatch from the checkout, or set SRZOO_ROOT to it" >&2
    exit 2
fi
if [ $# -eq 0 ]; then
    echo "error: expected the arguments of train.py: sbatch scripts/slurm_train.sh -opt FILE" >&2
    exit 2
fi

# Each start finds the newest state, the first one none.
case " $* " in *" --resume "* | *" --resume="*) ;; *) set -- "$@" --resume auto ;; esac

if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
    first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
    export NNODES=$SLURM_JOB_NUM_NODES RDZV_ENDPOINT=$first:${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
    # A job that was put back meets under another name than before, when some ranks may still be ending.
    export RDZV_ID=$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}
fi

# In the background: bash acts on a signal only while it waits. A node that ends leaves the others a minute to end too:
# ending them at once would turn 75 into the code of a kill.
srun --kill-on-bad-exit=0 --wait=60 bash "$launcher" --max-restarts "${MAX_RESTARTS:-3}" "$@" &
step=$!
signal=
pass_on() {
    signal=$1
    echo "slurm_train.sh: passing $1 on to the training" >&2
    kill -s "$1" "$step" 2>/dev/null  # srun sends it to the processes of the step
}
trap 'pass_on USR1' USR1
trap 'pass_on TERM' TERM
# A signal ends `wait` before the step has ended.
while :; do
    signal=
    wait "$step"
    code=$?
    [ -n "$signal" ] || break
done

if [ "$code" -eq 75 ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "${MAX_REQUEUES:-100}" ]; then
        echo "slurm_train.sh: state saved, but put back $SLURM_RESTART_COUNT times already (MAX_REQUEUES)" >&2
        exit "$code"
    fi
    echo "slurm_train.sh: state saved; putting job $SLURM_JOB_ID back into the queue" >&2
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
