"""``basicsr.utils.registry``: registries whose members join srzoo's once the plugin file has been imported."""

from collections.abc import Callable, Iterator
from typing import TypeVar

M = TypeVar("M", bound=Callable[..., object])


class NamedMembers:
    """Classes or functions by name, added with ``@REGISTRY.register()`` or ``REGISTRY.register(member)``."""

    def __init__(self) -> None:
        self._members: dict[str, Callable[..., object]] = {}

    def register(self, obj: M | None = None, suffix: str | None = None) -> M | Callable[[M], M]:
        """Add a member under its own name; return it, or the decorator that adds it."""
        del suffix  # keeps several packages apart
        if obj is None:
            return self._add
        return self._add(obj)

    def get(self, name: str) -> Callable[..., object]:
        """Return a member.

        Raises:
            KeyError: there is none of this name.
        """
        return self._members[name]

    def __iter__(self) -> Iterator[tuple[str, Callable[..., object]]]:
        return iter(list(self._members.items()))

    def _add(self, member: M) -> M:
        self._members[member.__name__] = member
        return member


ARCH_REGISTRY = NamedMembers()
LOSS_REGISTRY = NamedMembers()
METRIC_REGISTRY = NamedMembers()
DATASET_REGISTRY = NamedMembers()
MODEL_REGISTRY = NamedMembers()
