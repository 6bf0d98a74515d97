"""Weights of D2C-SR as its authors released them: a pickle of MegEngine arrays for a network of BGR images.

Read without MegEngine and without running code from the file: the unpickler knows NumPy arrays and nothing else.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srzoo.checkpoint import CheckpointError

# What a pickled dict of arrays refers to, in NumPy's old and new spelling.
ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}
PARTS = {"state_dict_D": "tree.", "state_dict_C": "fusion."}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return super().find_class(module, name)


def is_megengine(path: Path) -> bool:
    """Whether a file is a pickle that names D2C-SR's two networks, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(4096)
    return head[:1] == b"\x80" and b"state_dict_D" in head


def read_d2c(path: Path) -> dict[str, Tensor]:
    """The released weights under D2CNet's keys, for RGB images.

    Raises:
        CheckpointError: the file holds something else than the two networks' arrays.
    """
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file).load()
    except FileNotFoundError:
        raise
    except Exception as error:  # on foreign bytes an unpickler raises almost any type
        raise CheckpointError(f"{path}: refused: expected a pickle of NumPy arrays only; {error}") from error
    if not isinstance(content, Mapping) or not all(isinstance(content.get(part), Mapping) for part in PARTS):
        raise CheckpointError(f"{path}: expected a dict with {' and '.join(PARTS)}, as D2C-SR's authors save it")
    weights = {
        prefix + name: _tensor(path, prefix + name, array)
        for part, prefix in PARTS.items()
        for name, array in content[part].items()
    }
    return {name: _to_rgb(name, tensor) for name, tensor in weights.items()}


def _tensor(path: Path, name: str, array: object) -> Tensor:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise CheckpointError(f"{path}: {name}: expected an array of floating-point numbers, found {found}")
    tensor = torch.from_numpy(np.array(array, dtype=np.float32))
    # MegEngine keeps the biases of convolutions as (1, C, 1, 1).
    return tensor.flatten() if name.endswith("bias") else tensor


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    """Reverse the colours of what touches images: first and last convolutions, mean shifts, the fusion's input."""
    if re.fullmatch(r"tree\.(sub_mean|add_mean)\.(weight|bias)", name):
        return tensor.flip(0, 1) if tensor.ndim > 1 else tensor.flip(0)
    if name == "tree.head.0.weight":
        return tensor.flip(1)
    if re.fullmatch(r"tree\.tail\d+\.1\.(weight|bias)", name):
        return tensor.flip(0)
    if name == "fusion.fusion_final.0.conv.weight":
        return tensor.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
    return tensor
