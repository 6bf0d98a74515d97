"""Weights of D2C-SR as its authors released them: a pickle of MegEngine arrays for a network of BGR images.

The file is read without MegEngine and without running code from it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from srzoo.compat.arrays import pickle_contains, read_arrays, tensor_of
from srzoo.tensor_files import CheckpointError

# Divergence (the tree) and convergence (the fusion), as the authors call the two networks -> prefix of D2CNet's keys.
PARTS = {"state_dict_D": "tree.", "state_dict_C": "fusion."}


def is_megengine(path: Path) -> bool:
    """Return True if the file is a pickle that names D2C-SR's two networks; it is scanned, never executed."""
    return pickle_contains(path, "state_dict_D")


def read_d2c(path: Path) -> dict[str, Tensor]:
    """Read the released weights under D2CNet's keys, converted to RGB images.

    Raises:
        CheckpointError: the file holds something other than the arrays of the two networks.
    """
    content = read_arrays(path)
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
    tensor = tensor_of(path, name, array)
    # MegEngine keeps the biases of convolutions as (1, C, 1, 1).
    return tensor.flatten() if name.endswith("bias") else tensor  # biases: (C,)


def _to_rgb(name: str, tensor: Tensor) -> Tensor:
    """Reverse the channels of weights that touch images: first and last convolutions, mean shifts, fusion input."""
    if re.fullmatch(r"tree\.(sub_mean|add_mean)\.(weight|bias)", name):
        # A mean shift is a 1x1 convolution from colours to colours: (3, 3, 1, 1), its bias (3,).
        return tensor.flip(0, 1) if tensor.ndim > 1 else tensor.flip(0)
    if name == "tree.head.0.weight":
        return tensor.flip(1)
    if re.fullmatch(r"tree\.tail\d+\.1\.(weight|bias)", name):
        return tensor.flip(0)
    if name == "fusion.fusion_final.0.conv.weight":
        # Its input is the leaves side by side: (out, leaves*3, kh, kw) -> (out, leaves, 3, kh, kw) -> back.
        return tensor.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)  # (out, leaves*3, kh, kw)
    return tensor
