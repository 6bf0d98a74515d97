"""Pickles of NumPy arrays, read without NumPy's unpickling and without running code from the file.

The unpickler knows arrays only; shapes, types and data are checked before they become tensors.
"""

import math
import pickle
import pickletools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srzoo.tensor_files import CheckpointError


class _FloatType:
    """Substitute for numpy.dtype that accepts floating-point types only."""

    def __init__(self, name: object = None, *_: object) -> None:
        if name not in ("f2", "f4", "f8"):
            raise pickle.UnpicklingError(f"it holds an array of type {name}, expected floating-point numbers")
        self.name, self.order = str(name), "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        # State of a dtype: (version, byte order, ...).
        self.order = ">" if state[1] == ">" else "<"


class _Array:
    """Substitute for numpy.ndarray: the parts of an array as the pickle states them, unchecked."""

    def __init__(self, *_: object) -> None:
        self.shape: object = ()
        self.type: object = _FloatType("f4")
        self.fortran: object = False
        self.data: object = b""

    def __setstate__(self, state: tuple[object, ...]) -> None:
        # State of an array: (version, shape, dtype, True if Fortran order, bytes).
        _, self.shape, self.type, self.fortran, self.data = state

    def tensor(self) -> Tensor:
        """Return the values as float32.

        Raises:
            ValueError: shape, type and data do not fit together.
        """
        sides: tuple[object, ...] = self.shape if isinstance(self.shape, tuple) else (None,)
        if not isinstance(self.type, _FloatType) or not isinstance(self.data, bytes | bytearray):
            raise ValueError("an array without type or data")
        # A bool is an int too, and would pass isinstance.
        shape = [side for side in sides if type(side) is int and side >= 0]
        if len(shape) != len(sides):
            raise ValueError(f"an array of shape {self.shape}")
        values = np.frombuffer(bytes(self.data), f"{self.type.order}{self.type.name}")
        if len(values) != math.prod(shape):
            raise ValueError(f"an array of shape {self.shape} with {len(values)} values")
        return torch.from_numpy(values.reshape(shape, order="F" if self.fortran else "C").astype(np.float32))


def _from_buffer(data: object, kind: object, shape: object, order: object) -> _Array:
    """Build an array as numpy's `_frombuffer` does, which pickle protocol 5 refers to."""
    array = _Array()
    array.__setstate__((None, shape, kind, order == "F", data))
    return array


def _encode_latin1(text: object, encoding: object) -> bytes:
    """Decode bytes as pickle protocol 2 writes them: as text, with a call of codecs.encode."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes something other than bytes")
    return text.encode("latin1")


# (module, name) that a pickled dict of arrays refers to, in NumPy's old and new spelling -> substitute. A file cannot
# reach anything else, NumPy included.
SUBSTITUTES = {
    ("numpy", "dtype"): _FloatType,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _encode_latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that resolves the names in SUBSTITUTES and refuses all others."""

    def find_class(self, module: str, name: str) -> object:
        """Return the substitute for a name in the file."""
        if (module, name) not in SUBSTITUTES:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return SUBSTITUTES[module, name]


def pickle_contains(path: Path, text: str) -> bool:
    """Return True if the file is a pickle that contains this string; the file is scanned, never executed."""
    with path.open("rb") as file:
        try:
            return any(argument == text for _, argument, _ in pickletools.genops(file))
        except Exception:  # on foreign bytes it raises almost any type
            return False


def read_arrays(path: Path) -> object:
    """Read a pickle of nested dicts of arrays; :func:`tensor_of` turns the arrays in it into tensors.

    Raises:
        CheckpointError: the file holds something else.
    """
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file).load()
    except FileNotFoundError:
        raise
    except Exception as error:  # on foreign bytes an unpickler raises almost any type
        raise CheckpointError(f"{path}: refused: expected a pickle of NumPy arrays only; {error}") from error


def tensor_of(path: Path, name: str, array: object) -> Tensor:
    """Return an array of a file as float32.

    Args:
        path: the file, for error messages.
        name: of the array in the file, for error messages.
        array: value that :func:`read_arrays` returned in that place.

    Raises:
        CheckpointError: the value is no array, or a damaged one.
    """
    if not isinstance(array, _Array):
        raise CheckpointError(f"{path}: {name}: expected an array, found {type(array).__name__}")
    try:
        return array.tensor()
    except ValueError as error:
        raise CheckpointError(f"{path}: {name}: expected an array of floating-point numbers, found {error}") from error
