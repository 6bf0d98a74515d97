"""Images centred on the mean colour of DIV2K and scaled, as EDSR introduced it."""

import torch
from torch import Tensor, nn

RGB_MEAN = (0.4488, 0.4371, 0.4040)


class MeanShift(nn.Module):
    """(x - mean) * img_range on the way in, the inverse on the way out; (B, 3 or 1, H, W), [0, 1] outside.

    Images of other than three channels are only scaled. The mean is no entry of the state dict, as in published files.
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
        """Back to [0, 1]."""
        return image / self.img_range + self.mean
