"""`srzoo convert options`: a BasicSR option file in, the same for srzoo out, with a reason for every dropped key."""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite, check_target, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file to read and the file to write."""
    describe(
        parser,
        "Convert an option file of BasicSR, DRCT, HAT, Real-ESRGAN or Reflash Dropout to srzoo. Keys without a "
        "counterpart are reported with the reason, on the screen and in comments at the top of the new file.",
        "train_DRCT_SRx4.yml -o DRCT_x4.yml",
    )
    parser.add_argument("source", type=Path, metavar="OLD", help="file to read")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="NEW", help="file to write (default: print to standard output)"
    )
    add_overwrite(parser, "NEW")


def run(arguments: Arguments) -> None:
    """Write the converted file and report each key that was dropped, with the reason.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not of BasicSR's kind, asks for something that srzoo lacks, or NEW exists.
    """
    from srzoo.atomic import write_text
    from srzoo.compat.basicsr.convert import convert, is_basicsr
    from srzoo.options import OptionsError
    from srzoo.options.inheritance import read_tree
    from srzoo.options.tree import dotted

    source, target = arguments.source, arguments.out
    tree = read_tree(source)
    if tree.faults:
        raise OptionsError(source, tree.faults)
    if not is_basicsr(tree.value):
        raise ValueError(f"{source} is not an option file of BasicSR's kind: it has no `model_type`")
    if target is not None:
        check_target(target, arguments.overwrite)
    converted = convert(tree.value)
    text = _text(source, [f"{dotted(note.path)}: {note.reason}" for note in converted.notes], converted.options)
    for note in converted.notes:
        sys.stderr.write(f"{tree.location(note.path)}: {dotted(note.path)}: {note.reason}\n")
    if not converted.unsupported:
        _check(source, text)
    if target is None:
        sys.stdout.write(text)
    else:
        write_text(target, text)
    # The file is written all the same: most of it is right, and the user replaces the rest by hand.
    if converted.unsupported:
        where = f". The rest is in {target}" if target is not None else ""
        raise ValueError(f"srzoo does not have what {source} asks for: {'; '.join(converted.unsupported)}{where}")
    if target is not None:
        script = "train.py" if "train" in converted.options else "test.py"
        sys.stderr.write(f"wrote {target}; next: python srzoo/{script} -opt {target}\n")


def _text(source: Path, remarks: Sequence[str], options: Mapping[str, object]) -> str:
    """Return the new file: a comment for each remark, then the options as YAML."""
    import yaml

    lines = [f"# Converted from {source.name} by `srzoo convert options`.", *(f"# {remark}" for remark in remarks)]
    content = yaml.safe_dump(dict(options), sort_keys=False, width=120, default_flow_style=None)
    return "\n".join(lines) + "\n" + content


def _check(source: Path, text: str) -> None:
    """Check that srzoo can load the new file.

    Raises:
        ValueError: the values of the old file do not fit together.
    """
    from srzoo.options import OptionsError, load_options
    from srzoo.options.tree import dotted

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / source.name
        file.write_text(text)
        try:
            load_options(file)
        except OptionsError as error:
            faults = "\n".join(f"  {dotted(fault.path)}: {fault.message}" for fault in error.faults)
            raise ValueError(f"{source} was converted, but its values do not fit together:\n{faults}") from error
