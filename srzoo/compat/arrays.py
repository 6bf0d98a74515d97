"""Pickles of NumPy arrays, read without NumPy's unpickling and without running code from the file.

The unpickler knows arrays and nothing else; shapes, types and data are checked before they become tensors.
"""

import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srzoo.tensor_files import CheckpointError


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


def mentions(path: Path, word: str) -> bool:
    """Whether a file is a pickle in which a word stands; nothing of it is carried out."""
    with path.open("rb") as file:
        try:
            return any(argument == word for _, argument, _ in pickletools.genops(file))
        except Exception:  # on foreign bytes it raises almost any type
            return False


def read_arrays(path: Path) -> Any:
    """What a pickle of nested dicts of arrays holds, arrays as :func:`tensor_of` takes them.

    Raises:
        CheckpointError: it holds something else.
    """
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file).load()
    except FileNotFoundError:
        raise
    except Exception as error:  # on foreign bytes an unpickler raises almost any type
        raise CheckpointError(f"{path}: refused: expected a pickle of NumPy arrays only; {error}") from error


def tensor_of(path: Path, name: str, array: object) -> Tensor:
    """An array of a file as float32.

    Raises:
        CheckpointError: it is none, or not a sound one; names the file and the entry.
    """
    if not isinstance(array, _Array):
        raise CheckpointError(f"{path}: {name}: expected an array, found {type(array).__name__}")
    try:
        return array.tensor()
    except ValueError as error:
        raise CheckpointError(f"{path}: {name}: expected an array of floating-point numbers, found {error}") from error
