"""Reader of an option file whose keys are popped one by one, so that the keys nobody asked for can be reported."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from srzoo.contract import PlainValue

# One section of the converted file.
Section: TypeAlias = dict[str, PlainValue]

# Characters that srzoo does not allow in the name of a run, and in the name of a dataset or metric.
NOT_IN_RUN_NAMES = r"[^\w.+-]"
NOT_IN_ENTRY_NAMES = r"[^\w+-]"


@dataclass(frozen=True)
class Note:
    """A remark on a key that was dropped, or converted to something else than the same value under srzoo's name.

    Args:
        path: of the key in the old file.
        reason: why the key was dropped, or how its value changed.
    """

    path: tuple[str, ...]
    reason: str


class OptionReader:
    """One section of an old option file, from which keys are popped.

    Args:
        values: content of the section.
        path: keys that lead to the section.
        notes: list that remarks are appended to, shared by all sections of a file.
        refusals: list of requests that srzoo cannot meet, shared likewise.
    """

    def __init__(
        self, values: Mapping[str, PlainValue], path: tuple[str, ...], notes: list[Note], refusals: list[str]
    ) -> None:
        # In BasicSR a key without a value (`key: ~`) means the same as a missing key.
        self._left = {name: value for name, value in values.items() if value is not None}
        self._empty = values.keys() - self._left.keys()
        self._sections: dict[str, OptionReader] = {}
        self.path, self.notes, self.refusals = path, notes, refusals

    def pop(self, *names: str, default: PlainValue = None) -> PlainValue:
        """Remove and return the value of the first of these spellings that is present; `default` if none is."""
        for name in names:
            value = self._left.pop(name, None)
            if value is not None:
                return value
        return default

    def peek(self, *names: str, default: PlainValue = None) -> PlainValue:
        """Return the value of the first of these spellings that is present, and keep it; `default` if none is."""
        return next((self._left[name] for name in names if name in self._left), default)

    def pop_given(self, *names: str) -> Section:
        """Remove and return those of these keys that are present, under the same names."""
        return given({name: self.pop(name) for name in names})

    def pop_rest(self) -> Section:
        """Remove and return all keys that are left, under the same names."""
        return self.pop_given(*self.names())

    def section(self, name: str) -> "OptionReader":
        """Return the reader of a nested section, which is empty if the file has none."""
        if name not in self._sections:
            values = self._left.pop(name, {})
            if not isinstance(values, Mapping):
                self.refuse(name, f"expected a section, got {values!r}")
                values = {}
            self._sections[name] = OptionReader(values, (*self.path, name), self.notes, self.refusals)
        return self._sections[name]

    def numbered_sections(self, kind: str) -> "dict[str, OptionReader]":
        """Return the readers of all nested sections of one kind, such as val, val_1, val_2."""
        names = [name for name in self._left if name.split("_")[0] == kind]
        return {name: self.section(name) for name in names}

    def is_empty(self, name: str) -> bool:
        """Return True if the key is present without a value (``~``)."""
        return name in self._empty

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Remove those of the keys that are present, and note the reason for each."""
        for name, reason in reasons.items():
            if self._left.pop(name, None) is not None:
                self.note(name, reason)

    def note(self, name: str, reason: str) -> None:
        """Add a remark on a key of this section."""
        self.notes.append(Note((*self.path, name), reason))

    def refuse(self, name: str, request: str) -> None:
        """Record a request of a key that srzoo cannot meet, so that the converted file cannot be used as it is."""
        self.refusals.append(f"{'.'.join((*self.path, name))}: {request}")

    def allowed_name(self, name: str, forbidden: str) -> str:
        """Return `name` with an underscore for each character that matches `forbidden`, and note a change."""
        allowed = re.sub(forbidden, "_", name).lstrip(".+-") or "converted"
        if allowed != name:
            self.note("name", f"renamed from {name!r} to {allowed!r}")
        return allowed

    def names(self) -> list[str]:
        """Return the keys that are left."""
        return list(self._left)

    def left_over(self) -> Iterator[tuple[str, ...]]:
        """Yield the paths of all keys that are left, here and in the nested sections that were read."""
        for name in self._left:
            yield (*self.path, name)
        for section in self._sections.values():
            yield from section.left_over()

    def __bool__(self) -> bool:
        return bool(self._left)


def given(values: Mapping[str, PlainValue]) -> Section:
    """Return the values without those that are None, which the old file does not give."""
    return {name: value for name, value in values.items() if value is not None}


def whole(value: PlainValue) -> PlainValue:
    """Return counts written as 5e3 as integers, in lists too; other values are returned unchanged."""
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def with_yaml_1_1_booleans(value: PlainValue) -> PlainValue:
    """Replace yes, no, on and off by booleans at every depth: BasicSR reads YAML 1.1, srzoo reads them as text."""
    if isinstance(value, Mapping):
        return {name: with_yaml_1_1_booleans(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_yaml_1_1_booleans(item) for item in value]
    words = {"yes": True, "on": True, "no": False, "off": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value
