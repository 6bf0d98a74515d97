"""Options written back as plain YAML values."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srzoo.options.entry import Entry


def plain(value: Any) -> Any:
    """Return options as plain YAML values, complete with defaults; loading them gives equal options."""
    if isinstance(value, Entry):
        own = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name != "args"}
        return plain(own | value.args)
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
