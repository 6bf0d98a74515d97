"""`srzoo data get`: published datasets and weights."""

import argparse
import difflib
import sys
import textwrap
from pathlib import Path

from srzoo.catalogue import DATASETS, WEIGHTS, names
from srzoo.command import Arguments
from srzoo.commands.arguments import describe
from srzoo.commands.preparation import add_dry_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names, the mirror and the target."""
    describe(
        parser,
        "Get published datasets and weights and put them where the option files look: datasets/NAME and weights/FILE. "
        "Downloads continue where they stopped and are compared with published checksums; where there is no public "
        "address, the page and the folders to make are named. Files that are there already are left alone. Mind the "
        "licences (docs/datasets.md).\n"
        f"\n{_listed()}",
        "Set5 IMDN_x2",
        "DF2K --to /data",
        "Set5 Set14 Manga109 rt4ksr_x3 --from /mnt/mirror",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="dataset, or weights file with or without suffix")
    parser.add_argument(
        "--from",
        dest="mirror",
        type=Path,
        metavar="DIR",
        help="local mirror: DIR/NAME/, DIR/NAME.zip or .tar.gz in any packing, or the weights file (default: download)",
    )
    parser.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="folder of datasets/ and weights/ (default: here)"
    )
    add_dry_run(parser)


def run(arguments: Arguments) -> None:
    """Get them all; the errors of all are reported at the end.

    Raises:
        LookupError: an unknown name; nothing is fetched.
        ValueError: something could not be got; the others are done.
    """
    from srzoo.data.prepare.fetch import Place, discard_archives, get_dataset
    from srzoo.data.prepare.fetch_weights import get_weights

    wanted = list(dict.fromkeys(_published(name) for name in arguments.names))
    place = Place(arguments.to, arguments.mirror, arguments.dry_run)
    errors = []
    for name in wanted:
        try:
            lines = get_dataset(DATASETS[name], place) if name in DATASETS else get_weights(WEIGHTS[name], place)
        except (ValueError, OSError) as error:
            errors.append(str(error))
        else:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
    if not arguments.dry_run:
        discard_archives(place)
    if errors:
        done = "; the others are done" if len(errors) < len(wanted) else ""
        raise ValueError(f"{len(errors)} of {len(wanted)} could not be got{done}:\n  " + "\n  ".join(errors))


def _published(name: str) -> str:
    """Return the catalogue's name for a user's spelling of it, with or without suffix, in any case.

    Raises:
        LookupError: there is none.
    """
    known = {known.lower(): known for known in names()} | {w.file.lower(): w.name for w in WEIGHTS.values()}
    if name.lower() in known:
        return known[name.lower()]
    near = [known[match] for match in difflib.get_close_matches(name.lower(), known, 2)]
    suggestion = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
    raise LookupError(f"unknown name {name!r}{suggestion}\n{_listed()}")


def _listed() -> str:
    """List all names, in indented lines that break between names alone."""
    lines = (f"datasets: {', '.join(DATASETS)}", f"weights: {', '.join(WEIGHTS)}")
    return "\n".join(
        textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        for line in lines
    )
