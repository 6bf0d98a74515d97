"""srzoo: super-resolution research in which every number can be checked.

Importing the package is cheap; networks, data and training parts are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from srzoo.contract import contract_of as contract_of
    from srzoo.infer.upscale import upscale as upscale
    from srzoo.weights import load_network as load_network
    from srzoo.weights import load_weights as load_weights

__all__ = ["__version__", "contract_of", "load_network", "load_weights", "upscale"]

_HOMES = {
    "contract_of": "srzoo.contract",
    "load_network": "srzoo.weights",
    "load_weights": "srzoo.weights",
    "upscale": "srzoo.infer.upscale",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'srzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    # Without it, dir() and completion leave out names that have not been used yet.
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
