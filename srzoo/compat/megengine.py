"""Weights of D2C-SR as its authors released them: a pickle of MegEngine arrays for a network of BGR images.

Read without MegEngine and without running code from the file: the unpickler knows NumPy arrays and nothing else.
"""

import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srzoo.checkpoint import CheckpointError

PARTS = {"state_dict_D": "tree.", "state_dict_C": "fusion."}


class _FloatType:
    """Stands for numpy.dtype; floating-point types only."""

    def __init__(self, name: object = None, *_: object) -> None:
        if name not in ("f2", "f4", "f8"):
            raise pickle.UnpicklingError(f"it holds an array of type {name}, expected floating-point numbers")
        self.name, self.order = str(name), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _Array:
    """Stands for an array: what the pickle says of it, not yet in NumPy's hands."""

    def __init__(self, *_: object) -> None:
        self.shape, self.type, self.fortran, self.data = (), _FloatType("f4"), False, b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.type, self.fortran, self.data = state

    def tensor(self) -> Tensor:
        """The values as float32.

        Raises:
            ValueError: shape, type and data do not belong together.
        """
        sides: tuple[int, ...] = self.shape if isinstance(self.shape, tuple) else (-1,)
        if not isinstance(self.type, _FloatType) or not isinstance(self.data, bytes | bytearray):
            raise ValueError("an array without type or data")
        if not all(type(side) is int and side >= 0 for side in sides):
            raise ValueError(f"an array of shape {self.shape}")
        values = np.frombuffer(bytes(self.data), f"{self.type.order}{self.type.name}")
        if len(values) != math.prod(sides):
            raise ValueError(f"an array of shape {self.shape} with {len(values)} values")
        return torch.from_numpy(values.reshape(sides, order="F" if self.fortran else "C").astype(np.float32))


def _from_buffer(data: object, kind: object, shape: object, order: object) -> _Array:
    array = _Array()
    array.__setstate__((None, shape, kind, order == "F", data))
    return array


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes something else than bytes")
    return text.encode("latin1")


# What a pickled dict of arrays refers to, in NumPy's old and new spelling, and what stands for it here: nothing of
# NumPy itself is within the file's reach.
STAND_INS = {
    ("numpy", "dtype"): _FloatType,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _latin1,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return STAND_INS[module, name]


def is_megengine(path: Path) -> bool:
    """Whether a file is a pickle that names D2C-SR's two networks; nothing of it is carried out."""
    with path.open("rb") as file:
        try:
            return any(argument == "state_dict_D" for _, argument, _ in pickletools.genops(file))
        except Exception:  # on foreign bytes it raises almost any type
            return False


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
        f"{prefix}{name}": _tensor(path, f"{prefix}{name}", array)
        for part, prefix in PARTS.items()
        for name, array in content[part].items()
    }
    try:
        return {name: _to_rgb(name, tensor) for name, tensor in weights.items()}
    except (RuntimeError, IndexError) as error:
        raise CheckpointError(f"{path}: not the weights of a network of three colours: {error}") from error


def _tensor(path: Path, name: str, array: object) -> Tensor:
    if not isinstance(array, _Array):
        raise CheckpointError(f"{path}: {name}: expected an array, found {type(array).__name__}")
    try:
        tensor = array.tensor()
    except ValueError as error:
        raise CheckpointError(f"{path}: {name}: expected an array of floating-point numbers, found {error}") from error
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
