"""Padding to a size that a network can take."""

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Enlarge (B, C, H, W) at the bottom and right so that `multiple` divides H and W.

    Mirrors without repeating the edge where the image is large enough, else repeats the edge pixel.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not (bottom or right):
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)
