"""Subtraction of DIV2K's mean colour and scaling of the image, as in EDSR."""

import torch
from torch import Tensor, nn

RGB_MEAN = (0.4488, 0.4371, 0.4040)


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

    def inverse(self, image: Tensor) -> Tensor:
        """Undo the shift: x / img_range + mean."""
        return image / self.img_range + self.mean
