"""Reading another project's options: what is taken, and what is left over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Note:
    """What became of one key that did not simply get another name.

    Args:
        path: of the key in the old file.
        reason: why it is dropped, or what else happened.
    """

    path: tuple[str, ...]
    reason: str


class Reader:
    """A section of an old file, of which keys are taken one by one.

    Args:
        values: the section.
        path: where it stands.
        notes: where remarks go; shared by all sections of a file.
        refusals: what keeps the file from being used, in words; shared likewise.
    """

    def __init__(
        self, values: Mapping[str, Any], path: tuple[str, ...], notes: list[Note], refusals: list[str]
    ) -> None:
        # An empty value says no more than a missing key.
        self._left = {name: value for name, value in values.items() if value is not None}
        self._empty = values.keys() - self._left.keys()
        self._sections: dict[str, Reader] = {}
        self.path, self.notes, self.refusals = path, notes, refusals

    def take(self, *names: str, default: Any = None) -> Any:
        """The value of the first of several spellings of a key that is there, with a value."""
        for name in names:
            value = self._left.pop(name, None)
            if value is not None:
                return value
        return default

    def section(self, name: str) -> "Reader":
        """A nested section; empty if there is none."""
        if name not in self._sections:
            values = self._left.pop(name, {})
            if not isinstance(values, Mapping):
                self.refuse(name, f"a section is expected, not {values!r}")
                values = {}
            self._sections[name] = Reader(values, (*self.path, name), self.notes, self.refusals)
        return self._sections[name]

    def sections(self, wanted: str) -> "dict[str, Reader]":
        """The nested sections of a kind, such as val, val_1, val_2."""
        names = [name for name in self._left if name.split("_")[0] == wanted]
        return {name: self.section(name) for name in names}

    def is_empty(self, name: str) -> bool:
        """Whether a key is there without a value (``~``)."""
        return name in self._empty

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Put aside those of the keys that are there, each with its reason."""
        for name, reason in reasons.items():
            if self._left.pop(name, None) is not None:
                self.note(name, reason)

    def note(self, name: str, reason: str) -> None:
        """Remark on a key of this section."""
        self.notes.append(Note((*self.path, name) if name else self.path, reason))

    def refuse(self, name: str, what: str) -> None:
        """Something that srzoo does not have, so that the file cannot be used as it is."""
        self.refusals.append(f"{'.'.join((*self.path, name) if name else self.path)}: {what}")

    def names(self) -> list[str]:
        """Keys that nobody has taken yet."""
        return list(self._left)

    def left_over(self) -> Iterator[tuple[str, ...]]:
        """Paths of keys with a value that nobody took, here and in the sections below."""
        for name in self._left:
            yield (*self.path, name)
        for section in self._sections.values():
            yield from section.left_over()

    def __bool__(self) -> bool:
        return bool(self._left)
