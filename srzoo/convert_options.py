"""`srzoo convert options`: an option file of BasicSR's kind in, one of srzoo's out, and what became of every key."""

import sys
import tempfile
from pathlib import Path

import yaml

from srzoo.atomic import write_text
from srzoo.command import Arguments
from srzoo.compat.basicsr_options import Converted, convert, is_basicsr
from srzoo.options import OptionsError, load_options
from srzoo.options.source import dotted, read_tree


def convert_options(arguments: Arguments) -> None:
    """Write the converted file (to the screen without -o) and say what was dropped and why.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is of another kind, srzoo lacks something that it asks for, or the target exists.
    """
    source, target = arguments.source, arguments.out
    tree = read_tree(source)
    if tree.faults:
        raise OptionsError(source, tree.faults)
    if not is_basicsr(tree.value):
        raise ValueError(f"{source} is not an option file of BasicSR's kind: it has no `model_type`")
    if target is not None and target.exists() and not arguments.overwrite:
        raise ValueError(f"{target} exists: choose another name, or replace it with --overwrite")
    converted = convert(tree.value)
    text = _text(source, converted)
    remarks = "".join(f"{tree.place(note.path)}: {dotted(note.path)}: {note.reason}\n" for note in converted.notes)
    sys.stderr.write(remarks)
    if not converted.unsupported:
        _check(source, text)
    if target is None:
        sys.stdout.write(text)
    else:
        write_text(target, text)
    where = f" The rest is in {target}." if target is not None else ""
    if converted.unsupported:
        raise ValueError(f"srzoo does not have what {source} asks for: {'; '.join(converted.unsupported)}.{where}")
    if target is not None:
        command = "train.py" if "train" in converted.options else "test.py"
        sys.stderr.write(f"wrote {target}; python srzoo/{command} -opt {target}\n")


def _text(source: Path, converted: Converted) -> str:
    lines = [f"# Converted from {source.name} by `srzoo convert options`."]
    lines += [f"# {dotted(note.path)}: {note.reason}" for note in converted.notes]
    return (
        "\n".join(lines) + "\n" + yaml.safe_dump(converted.options, sort_keys=False, width=120, default_flow_style=None)
    )


def _check(source: Path, text: str) -> None:
    """A file that was converted must be one that srzoo takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / source.name
        file.write_text(text)
        try:
            load_options(file)
        except OptionsError as error:
            faults = "\n".join(f"  {dotted(fault.path)}: {fault.message}" for fault in error.faults)
            raise ValueError(f"{source} was converted, but its values do not fit together:\n{faults}") from error
