"""Inheritance and overrides: an option file, the files under its ``base:``, and ``--set`` on top."""

from collections.abc import Sequence
from pathlib import Path

from srzoo.options.shipped import find_option_file
from srzoo.options.source import parse_file, parse_override
from srzoo.options.tree import Tree, merge


def read_tree(file: Path, overrides: Sequence[str] = ()) -> Tree:
    """Read an option file with everything that it inherits (``base:``), and the overrides on top.

    Bad YAML, missing bases and repeated keys are faults of the tree returned.

    Args:
        file: the option file.
        overrides: ``key.path=value`` texts, applied in order.

    Raises:
        FileNotFoundError: the option file itself does not exist.
    """
    if not file.is_file():
        raise FileNotFoundError(f"option file {file} does not exist" + (" (it is a folder)" if file.is_dir() else ""))
    tree = _read_with_bases(file, ())
    apply_overrides(tree, overrides)
    return tree


def apply_overrides(tree: Tree, overrides: Sequence[str]) -> None:
    """Merge overrides into a tree, in order."""
    for override in overrides:
        merge(tree, parse_override(override))


def read_bases(own: Tree, file: Path, descendants: tuple[Path, ...]) -> Tree:
    """Remove the key `base` from a tree and return the options inherited through it.

    Args:
        own: a tree read from `file`; gets the faults of its `base`.
        file: bases are looked for beside it.
        descendants: files that inherit from this tree, itself included, resolved; none of them may be its base.
    """
    bases = own.value.pop("base", [])
    names = [bases] if isinstance(bases, str) else bases
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        own.fault(("base",), f"expected a file name or a list of them, got {bases!r}")
        names = []
    tree = Tree()
    for name in names:
        base = find_option_file(name, file.parent)
        if base.resolve() in descendants:
            own.fault(("base",), f"{name} inherits from itself")
        elif base.is_file():
            merge(tree, _read_with_bases(base, descendants))
        else:
            own.fault(
                ("base",),
                f"{base} does not exist; a base is looked for beside the file that names it, options/... also among "
                "the files that come with srzoo",
            )
    return tree


def _read_with_bases(file: Path, descendants: tuple[Path, ...]) -> Tree:
    own = parse_file(file)
    tree = read_bases(own, file, (*descendants, file.resolve()))
    merge(tree, own)
    return tree
