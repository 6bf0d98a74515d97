"""RGB to luma by ITU-R BT.601, 8-bit studio swing (Y in [16, 235]), as in MATLAB's ``rgb2ycbcr``."""

from torch import Tensor

# Weights of R, G and B. They sum to 219 = 235 - 16, the range of studio-swing luma.
BT601 = (65.481, 128.553, 24.966)


def luma(rgb: Tensor, weights: tuple[float, float, float] = BT601, offset: float = 16.0) -> Tensor:
    """Convert an RGB image to luma: (B, 3, H, W) in [0, 255] -> (B, 1, H, W), Y = offset + weights . rgb / 255."""
    red, green, blue = (rgb.narrow(-3, channel, 1) for channel in range(3))
    y = red * (weights[0] / 255)
    return y.add_(green, alpha=weights[1] / 255).add_(blue, alpha=weights[2] / 255).add_(offset)
