"""The check of every export: loaded in its runtime, it must give the network's output on images of several sizes."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.contract import contract_of, identity_of
from srzoo.data.folders import search
from srzoo.export.artifact import Artifact, Precision, Size
from srzoo.images import Picture, read_image, to_tensor
from srzoo.ops.resize import imresize

# Largest difference, in units of the value range, of a float32 export.
TOLERANCE = 1e-3
# Least PSNR between the outputs of export and network [dB]; at 50 dB the difference is below the rounding to 8 bits.
MIN_DECIBELS = {"fp16": 50.0, "int8": 25.0}
# Checked where sizes vary: even and odd sides, portrait and landscape.
_SIZES = ((48, 64), (61, 45), (37, 83))


@dataclass(frozen=True)
class Parity:
    """Agreement of an export with its network on one image.

    Args:
        size: (H, W) of the image [LQ pixels].
        largest: largest difference of the outputs, in units of the value range.
        decibels: PSNR between the outputs [dB].
        drop: PSNR to the photograph that the image was reduced from, network minus export; None: not reduced [dB].
    """

    size: Size
    largest: float
    decibels: float
    drop: float | None

    def __str__(self) -> str:
        height, width = self.size
        drop = "" if self.drop is None else f", {self.drop:+.3f} dB lost against the photograph"
        return f"{width}x{height}: largest difference {self.largest:.1e}, {self.decibels:.1f} dB{drop}"


def check_photographs(folder: Path | None, num_in_ch: int) -> tuple[list[Tensor], str]:
    """Return images to check with, (C, H, W) in [0, 1], and a name for them.

    Args:
        folder: with photographs; None: those of scikit-image if it is installed, else images with natural statistics.
        num_in_ch: 3, or 1 for luma; other networks get repeated channels.

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
    """
    if folder is not None:
        pictures = [read_image(image.path) for image in search(folder).images[:3]]
        return [_tensor(picture, num_in_ch) for picture in pictures], f"images of {folder}"
    if importlib.util.find_spec("skimage") is None:
        noise = [_natural_noise(seed, num_in_ch) for seed in range(3)]
        return noise, "synthetic images (for photographs: --check DIR, or install scikit-image)"
    import skimage.data

    rgb = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    return [_tensor(Picture(pixels), num_in_ch) for pixels in rgb], "photographs of scikit-image"


def check(net: nn.Module, artifact: Artifact, photographs: Sequence[Tensor]) -> list[Parity]:
    """Compare an export with its network on windows of photographs, reduced by the network's scale.

    Windows have the one size of the export, or three sizes, odd ones too, rounded to its multiple.

    Raises:
        ValueError: the export fails on one of them; the message names its size.
    """
    results = []
    for number, (rows, columns) in enumerate([artifact.size] * 3 if artifact.size else _SIZES):
        size = _rounded(rows, artifact.multiple), _rounded(columns, artifact.multiple)
        lq, gt = _sample(photographs[number % len(photographs)], size, identity_of(net).scale)
        with torch.inference_mode():
            expected = net(lq)
        try:
            found = torch.from_numpy(artifact.compute(lq.numpy()))
        except Exception as error:  # runtimes raise errors of many types
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"the export fails on an image of {size[1]}x{size[0]}: {reason}") from error
        if found.shape != expected.shape:
            shapes = tuple(found.shape), tuple(expected.shape)
            raise ValueError(
                f"of an image of {size[1]}x{size[0]} the export returns {shapes[0]} instead of {shapes[1]}"
            )
        low, high = contract_of(net).value_range
        found, expected = found.float() / (high - low), expected / (high - low)
        largest = float((found - expected).abs().max())
        drop = None if gt is None else _psnr(expected, gt) - _psnr(found, gt)
        results.append(Parity(size, largest, _psnr(found, expected), drop))
    return results


def refuse_difference(results: Sequence[Parity], precision: Precision) -> None:
    """Check that an export is close enough to its network.

    Raises:
        ValueError: float32 differs by more than 1e-3, or another precision is below its PSNR.
    """
    worst, decibels = max(_or_inf(result.largest) for result in results), min(result.decibels for result in results)
    # Written so that NaN fails too.
    if precision == "fp32" and not worst <= TOLERANCE:
        raise ValueError(f"the export differs from the network by {worst:.1e}, more than {TOLERANCE:.0e}: not written")
    if precision != "fp32" and not decibels >= MIN_DECIBELS[precision]:
        least = MIN_DECIBELS[precision]
        raise ValueError(f"the {precision} export is {decibels:.1f} dB from the network, below {least:g}: not written")


def _rounded(side: int, multiple: int) -> int:
    """Round a side down to a multiple, but not to zero."""
    return max(side // multiple, 1) * multiple


def _sample(photograph: Tensor, size: Size, scale: int) -> tuple[Tensor, Tensor | None]:
    """Return LQ (1, C, *size) and the window that it was reduced from, or LQ as it is where that is too large."""
    height, width = (side * scale for side in size)
    if photograph.shape[-2] >= height and photograph.shape[-1] >= width:
        gt = photograph[None, :, :height, :width]
        return imresize(gt, size=size).clamp(0, 1).contiguous(), gt
    # A photograph smaller than the size of the export is repeated.
    rows, columns = (torch.arange(side) % own for side, own in zip(size, photograph.shape[-2:], strict=True))
    return photograph[None, :, rows][..., columns].contiguous(), None


def _tensor(picture: Picture, num_in_ch: int) -> Tensor:
    pixels = picture.grey if num_in_ch == 1 else picture.rgb
    image = to_tensor(pixels)  # (C, H, W)
    return image[torch.arange(num_in_ch) % len(image)]


def _natural_noise(seed: int, num_in_ch: int) -> Tensor:
    """Return noise whose amplitude falls with the frequency as in photographs: (num_in_ch, 512, 512) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(num_in_ch, 512, 512, generator=generator))
    frequency = torch.hypot(torch.fft.fftfreq(512)[:, None], torch.fft.rfftfreq(512)[None]).clamp_min(1 / 512)
    image = torch.fft.irfft2(spectrum / frequency)
    return (0.5 + image / (6 * image.std())).clamp(0, 1)


def _psnr(image: Tensor, other: Tensor) -> float:
    error = float((image - other).double().square().mean())
    return math.inf if error == 0 else -10 * math.log10(error) if error > 0 else math.nan


def _or_inf(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def calibration_images(folder: Path, num_in_ch: int, size: Size | None) -> list[np.ndarray]:
    """Return up to 32 windows of a folder's images for a quantiser, (1, C, H, W) float32 in [0, 1].

    Args:
        folder: images as the network will see them.
        num_in_ch: channels of the network.
        size: (H, W) of every window; None: 128x128, or the whole of smaller images [pixels].

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
    """
    windows = []
    for image in search(folder).images[:32]:
        picture = _tensor(read_image(image.path), num_in_ch)
        height, width = size or (min(picture.shape[-2], 128), min(picture.shape[-1], 128))
        windows.append(_sample(picture, (height, width), 1)[0].numpy())
    return windows
