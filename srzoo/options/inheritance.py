"""Inheritance and overrides: an option file, the files under its ``base:``, and ``--set`` on top."""

from collections.abc import Sequence
from pathlib import Path

from srzoo.options.limits import MAX_LEVELS, Budget, LimitExceeded, shortened
from srzoo.options.removal import merge_options
from srzoo.options.shipped import find_option_file
from srzoo.options.source import parse_file, parse_override
from srzoo.options.tree import Tree, paths_below


class OptionFiles:
    """The files of one loading: each is read once, however many others inherit from it."""

    def __init__(self) -> None:
        self.budget = Budget()
        self._inherited: dict[Path, Tree] = {}  # by resolved path, bases included

    def read(self, file: Path, overrides: Sequence[str] = ()) -> Tree:
        """Read a file with everything that it inherits (``base:``), and the overrides on top.

        Bad YAML, missing bases, repeated keys and files beyond the limits are faults of the tree returned.

        Args:
            file: the option file.
            overrides: ``key.path=value`` texts, applied in order.

        Raises:
            FileNotFoundError: the option file itself does not exist.
        """
        if not file.is_file():
            reason = " (it is a folder)" if file.is_dir() else ""
            raise FileNotFoundError(f"option file {file} does not exist{reason}")
        tree = Tree()
        try:
            merge_options(tree, self._read_with_bases(file, ()))
        except LimitExceeded as error:
            tree.refuse(error, str(file))
        apply_overrides(tree, overrides)
        return tree

    def read_bases(self, own: Tree, file: Path, descendants: tuple[Path, ...]) -> Tree:
        """Remove the key `base` from a tree and return the options inherited through it.

        Args:
            own: a tree read from `file`; gets the faults of its `base`.
            file: bases are looked for beside it.
            descendants: files that inherit from this tree, itself included, resolved; none of them may be its base.

        Raises:
            LimitExceeded: there is too much to read.
        """
        bases = own.value.pop("base", [])
        names = [bases] if isinstance(bases, str) else bases
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            own.fault(("base",), f"expected a file name or a list of them, got {shortened(repr(bases))}")
            names = []
        tree = Tree()
        for name in names:
            base = find_option_file(name, file.parent)
            if base.resolve() in descendants:
                own.fault(("base",), f"{name} inherits from itself")
            elif len(descendants) > MAX_LEVELS:
                raise LimitExceeded(f"expected at most {MAX_LEVELS} files, each a base of the one before, got more")
            elif base.is_file():
                self.inherit(tree, self._read_with_bases(base, descendants))
            else:
                own.fault(
                    ("base",),
                    f"{base} does not exist; a base is looked for beside the file that names it, options/... also "
                    "among the files that come with srzoo",
                )
        return tree

    def inherit(self, tree: Tree, top: Tree) -> None:
        """Merge `top` into `tree` as :func:`merge_options` does.

        Raises:
            LimitExceeded: too many values were inherited before.
        """
        self.budget.add_inherited(sum(1 for _ in paths_below(top.value)) + len(top.faults))
        merge_options(tree, top)

    def _read_with_bases(self, file: Path, descendants: tuple[Path, ...]) -> Tree:
        resolved = file.resolve()
        if resolved not in self._inherited:
            own = parse_file(file, self.budget)
            tree = self.read_bases(own, file, (*descendants, resolved))
            self.inherit(tree, own)
            self._inherited[resolved] = tree
        return self._inherited[resolved]


def read_tree(file: Path, overrides: Sequence[str] = ()) -> Tree:
    """Read an option file with everything that it inherits; see :meth:`OptionFiles.read`."""
    return OptionFiles().read(file, overrides)


def apply_overrides(tree: Tree, overrides: Sequence[str]) -> None:
    """Merge overrides into a tree, in order."""
    for override in overrides:
        merge_options(tree, parse_override(override))
