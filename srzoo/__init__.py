"""srzoo: super-resolution research in which every number can be checked.

Importing the package is cheap; networks, data and training parts are imported when they are first used.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from srzoo.checkpoint import load_network as load_network
    from srzoo.checkpoint import load_weights as load_weights

__all__ = ["__version__", "load_network", "load_weights"]


def __getattr__(name: str) -> object:
    if name in ("load_network", "load_weights"):
        from srzoo import checkpoint

        return getattr(checkpoint, name)
    raise AttributeError(f"module 'srzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    # Without it, dir() and completion leave out names that have not been used yet.
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
