"""Subtraction of DIV2K's mean colour and scaling of the image, as in EDSR."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

RGB_MEAN = (0.4488, 0.4371, 0.4040)


def published_range(tensors: Mapping[str, Tensor]) -> float:
    """Return the range of values that a published file's `sub_mean` is for; without one, 255, EDSR's and RCAN's."""
    bias = tensors.get("sub_mean.bias")
    return 255.0 if bias is None or len(bias) != 3 else round(-float(bias[0]) / RGB_MEAN[0], 3)


class MeanShift(nn.Module):
    """(x - mean) * img_range before a network and its inverse after it: (B, C, H, W) -> (B, C, H, W), [0, 1] outside.

    Images without three channels are only scaled. The mean is not in the state dict, as in published files.
    """

    mean: Tensor

    def __init__(self, num_ch: int, img_range: float) -> None:
        super().__init__()
        self.img_range = img_range
        mean = torch.tensor(RGB_MEAN if num_ch == 3 else (0.0,) * num_ch).view(1, num_ch, 1, 1)
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) * self.img_range

    def as_convolutions(self) -> dict[str, Tensor]:
        """Return the shift and its inverse as the published 1x1 convolutions, on images in [0, img_range]."""
        mean = self.mean.flatten() * self.img_range  # (C,)
        identity = torch.eye(len(mean))[:, :, None, None]  # (C, C, 1, 1)
        return {
            "sub_mean.weight": identity,
            "sub_mean.bias": -mean,
            "add_mean.weight": identity,
            "add_mean.bias": mean,
        }

    def inverse(self, image: Tensor) -> Tensor:
        """Undo the shift: x / img_range + mean."""
        return image / self.img_range + self.mean
