"""Entries that only a plugin can check, in an option file that is looked at without running its plugins."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from srzoo.options.entry import Entry, loose_types
from srzoo.options.lookup import raw_blocks
from srzoo.options.tree import KeyPath, Tree
from srzoo.registry import closest


class UnknownTypes:
    """The entries of a raw tree whose type is not registered.

    Args:
        tree: of a file with plugins that were not run.
    """

    def __init__(self, tree: Tree) -> None:
        # Path of the entry -> the reason why it is not checked.
        self.reasons: dict[KeyPath, str] = {}
        self._types: set[tuple[str, str]] = set()
        for path, section, block in raw_blocks(tree.value):
            if not issubclass(section, Entry):
                continue
            name, registry = block.get("type"), section.registry
            if isinstance(name, str) and name not in registry:
                hint = closest(name, list(registry))
                self.reasons[path] = f"a {registry.family} of a plugin" + (
                    f"; {hint}" if hint.startswith("did you mean") else ""
                )
                self._types.add((registry.family, name))

    @contextmanager
    def accepted(self) -> Iterator[None]:
        """Let the check of types inside accept these entries, with any options besides the framework's."""
        token = loose_types.set(frozenset(self._types))
        try:
            yield
        finally:
            loose_types.reset(token)

    def covers(self, path: KeyPath) -> bool:
        """Return True for an option inside one of these entries."""
        return any(path[: len(entry)] == entry for entry in self.reasons)


def plugin_files(tree: Tree) -> list[tuple[int, Path]]:
    """Return the files under `plugins:` with their positions; other values are left to the check of types."""
    plugins = tree.value.get("plugins")
    named = enumerate(plugins if isinstance(plugins, list) else [])
    return [(position, Path(name)) for position, name in named if isinstance(name, str)]


def marked(text: str, reasons: Mapping[KeyPath, str]) -> str:
    """Return the text of an option file with a comment at the `type` of each entry that is not checked."""
    lines, root = text.splitlines(), yaml.compose(text, Loader=yaml.SafeLoader)
    for path, reason in reasons.items():
        node = root
        for key in (*path, "type"):
            if isinstance(node, yaml.MappingNode):
                node = next(value for name, value in node.value if name.value == key)
            else:
                assert isinstance(node, yaml.SequenceNode)
                assert isinstance(key, int)
                node = node.value[key]
        assert node is not None
        lines[node.start_mark.line] += f"  # unchecked: {reason}"
    return "\n".join(lines) + "\n"
