"""`srzoo sweep`: variants of a training with several seeds, trained, tested and compared."""

import argparse
from argparse import ArgumentTypeError

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file, its overrides, --jobs, --slurm, --dry-run and --resume."""
    describe(
        parser,
        "Train every variant of a study (an option file with `sweep:`) with every seed, each in a run folder below "
        "experiments/STUDY, score each with the study's test file, and end with a table of means over seeds.",
        "-opt options/train/reflash/ablation_dropout.yml --dry-run",
        "-opt study.yml --jobs 2 --resume auto",
        "-opt study.yml --slurm slurm_partition=gpu gpus_per_node=1 timeout_min=480",
    )
    add_options_file(parser, use="with the block `sweep`")
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="trainings at a time on this machine; they share its cores, and take its GPUs in turn (default: 1)",
    )
    parser.add_argument(
        "--slurm",
        nargs="+",
        type=_parameter,
        metavar="KEY=VALUE",
        help="submit the trainings as a Slurm array, with these parameters of submitit (default: train here)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan, train nothing and write nothing (default: off)"
    )
    parser.add_argument(
        "--resume",
        choices=["auto", "none"],
        default="none",
        help="auto: continue the study of this name, leave out what is done, or begin it; none: stop with an error if "
        "it exists (default: none)",
    )
    parser.add_argument("--debug", action="store_true", help="print the traceback of every error (default: off)")


def run(arguments: Arguments) -> None:
    """Run the study.

    Raises:
        ValueError: the study exists, its data are faulty, its options have changed, or trainings failed.
    """
    from srzoo.studies.sweep import run_study

    if arguments.slurm is not None and arguments.jobs != 1:
        raise ValueError("--jobs is for this machine; in a Slurm array, slurm_array_parallelism=N limits the jobs")
    run_study(
        arguments.opt,
        arguments.set,
        at_once=arguments.jobs,
        slurm=None if arguments.slurm is None else dict(arguments.slurm),
        dry_run=arguments.dry_run,
        resume=arguments.resume,
    )


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) == 0:
        raise ArgumentTypeError(f"expected a number of trainings, got {word!r}")
    return int(word)


def _parameter(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise ArgumentTypeError(f"expected KEY=VALUE, got {word!r}")
    return key, value
