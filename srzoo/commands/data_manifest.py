"""`srzoo data manifest`: the files that a run used, and whether another run used the same."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    from srzoo.data.fingerprint import FileRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the manifests and the choice of options."""
    describe(
        parser,
        "Print the checksum of each dataset, plugin and weights file that a run used, as manifest.json in its folder "
        "states them. With a second run, list the files that differ; the exit code is then 2. Places of files do not "
        "matter. Checksums of evaluation sets are those in results (data_sha256).",
        "experiments/IMDN_x2",
        "experiments/IMDN_x2 /mnt/colleague/manifest.json --only datasets.train",
    )
    parser.add_argument("first", type=Path, metavar="RUN", help="folder of a run, or a manifest")
    parser.add_argument("other", type=Path, metavar="OTHER", nargs="?", help="another one (default: none)")
    parser.add_argument(
        "--only", metavar="OPTION", help="the files of this option or section, such as datasets.train (default: all)"
    )


def run(arguments: Arguments) -> None:
    """Print or compare the manifests.

    Raises:
        FileNotFoundError: there is none.
        ValueError: one is damaged, or files differ.
    """
    from srzoo.data.manifest import differences

    first = _chosen(arguments.first, arguments.only)
    if arguments.other is None:
        sys.stdout.write("".join(f"{option}: {_facts(record)}\n" for option, record in first.items()))
        return
    second = _chosen(arguments.other, arguments.only)
    found = differences(first, second)
    for option, lines in found.items():
        if not lines:
            contents = {first[option].compared, second[option].compared} == {"contents"}
            sys.stdout.write(f"{option}: the same {'contents' if contents else 'names and sizes; contents unknown'}\n")
    lines = [f"  {option}: {line}" for option, lines in found.items() for line in lines]
    if lines:
        raise ValueError(f"{arguments.other} differs from {arguments.first}:\n" + "\n".join(lines))


def _chosen(path: Path, only: str | None) -> "dict[str, FileRecord]":
    from srzoo.data.manifest import read_manifest

    manifest = read_manifest(path)
    chosen = {
        option: record for option, record in manifest.items() if only is None or f"{option}.".startswith(f"{only}.")
    }
    if not chosen:
        raise ValueError(f"{path} has no {only}; it has {', '.join(manifest)}")
    return chosen


def _facts(record: "FileRecord") -> str:
    basis = "" if record.compared == "contents" else ", of names and sizes alone"
    return f"{len(record.names)} of {record.num_bytes:,} bytes, sha256 {record.digest}{basis}"
