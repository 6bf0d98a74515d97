"""Full-reference metrics of the package piq (Apache-2.0; `pip install "srzoo[metrics]"`), with its defaults.

Images are prepared by a protocol and handed over as float64 in [0, 1], the output first: VIF is not symmetric.
"""

import importlib
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from srzoo.metrics.protocol import PROTOCOLS, ProtocolName
from srzoo.registry import METRICS

# (output, ground truth, reduction="none") -> (B,)
Measure = Callable[..., Tensor]


class _FromPiq:
    """Base of these metrics: a protocol, and the function of piq that `function` names."""

    function: str
    least = 16
    channels = (1, 3)

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-rgb") -> None:
        self.scale = scale
        self.protocol = PROTOCOLS[protocol]
        if self.protocol.color == "y" and 1 not in self.channels:
            raise ValueError(f"{type(self).__name__} compares colours: choose an RGB protocol, not {protocol}")
        try:
            self.measure = cast(Measure, getattr(importlib.import_module("piq"), self.function))
        except ImportError as error:
            raise ValueError(f'{type(self).__name__} needs the package piq: pip install "srzoo[metrics]"') from error
        self.least_side = 2 * self.protocol.border(scale) + self.least

    def options(self, channels: int) -> dict[str, object]:
        """Return the arguments of piq's function for images of so many channels."""
        del channels
        return {}

    @torch.no_grad()
    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        if sr.shape[1] not in self.channels:
            raise ValueError(f"{type(self).__name__} compares colours, got images of {sr.shape[1]} channel(s)")
        pair = (image.clamp(0, 255) / 255 for image in self.protocol.prepare(sr, gt, self.scale))
        return self.measure(*pair, data_range=1.0, reduction="none", **self.options(sr.shape[1])).flatten()  # (B,)


@METRICS.register
class FSIM(_FromPiq):
    """Feature similarity, FSIMc for colour: two images (B, 3, H, W) in [0, 1] -> (B,), higher is better.

    From 0 to 1, for equal images. Zhang et al., "FSIM: A Feature Similarity Index for Image Quality Assessment", IEEE
    TIP 20(8), 2011. Large images are reduced first, as in the paper.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    function = "fsim"
    least = 32
    higher_is_better = True

    def options(self, channels: int) -> dict[str, object]:
        return {"chromatic": channels == 3 and self.protocol.color == "rgb"}


@METRICS.register
class VIF(_FromPiq):
    """Visual information fidelity in the pixel domain: two images (B, 3, H, W) in [0, 1] -> (B,), higher is better.

    From 0; 1 for equal images, above 1 where the output has more contrast than the ground truth. Sheikh, Bovik, "Image
    information and visual quality", IEEE TIP 15(2), 2006. RGB is compared in its luma.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    function = "vif_p"
    least = 41
    higher_is_better = True


@METRICS.register
class GMSD(_FromPiq):
    """Gradient magnitude similarity deviation: two images (B, 3, H, W) in [0, 1] -> (B,), lower is better.

    0 for equal images. Xue et al., "Gradient Magnitude Similarity Deviation: A Highly Efficient Perceptual Image
    Quality Index", IEEE TIP 23(2), 2014. Images are halved first, as in the paper.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    function = "gmsd"
    higher_is_better = False


@METRICS.register
class HaarPSI(_FromPiq):
    """Haar wavelet-based similarity: two images (B, 3, H, W) in [0, 1] -> (B,), higher is better.

    From 0 to 1, for equal images. Reisenhofer et al., "A Haar wavelet-based perceptual similarity index for image
    quality assessment", Signal Processing: Image Communication 61, 2018.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    function = "haarpsi"
    least = 32
    higher_is_better = True


@METRICS.register
class VSI(_FromPiq):
    """Visual saliency-induced index: two colour images (B, 3, H, W) in [0, 1] -> (B,), higher is better.

    From 0 to 1, for equal images. Zhang, Shen, Li, "VSI: A Visual Saliency-Induced Index for Perceptual Image Quality
    Assessment", IEEE TIP 23(10), 2014.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: rounding and border convention, RGB (docs/protocols.md).
    """

    function = "vsi"
    least = 32
    channels = (3,)
    higher_is_better = True


@METRICS.register
class MDSI(_FromPiq):
    """Mean deviation similarity index: two colour images (B, 3, H, W) in [0, 1] -> (B,), lower is better.

    0 for equal images, mostly below 1. Ziaei Nafchi et al., "Mean Deviation Similarity Index", IEEE Access 4, 2016.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: rounding and border convention, RGB (docs/protocols.md).
    """

    function = "mdsi"
    channels = (3,)
    higher_is_better = False
