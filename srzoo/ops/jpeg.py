"""JPEG compression as a differentiable simulation over batches.

ITU-T T.81 (1992): colour transform, 2x2 chroma means, 8x8 cosine transform, quantisation by the tables of annex K,
scaled as libjpeg does. Written from the standard. BasicSR's simulation has its luminance table transposed and leaves
tables unrounded; `table="basicsr"` does the same, for parity with work that used it.
"""

import functools
import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Table = Literal["standard", "basicsr"]

# Annex K, tables K.1 and K.2.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
# Rows give Y, Cb and Cr of RGB (JFIF 1.02).
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def jpeg(
    image: Tensor,
    quality: Tensor,
    *,
    table: Table = "standard",
    rounding: Literal["exact", "soft"] = "exact",
) -> Tensor:
    """What is left of RGB images after compression with chroma halved: (B, 3, H, W) in [0, 1] -> the same.

    Args:
        image: any size; borders are repeated up to whole blocks ("basicsr": black).
        quality: libjpeg's quality of each image (B,), 1 to 100.
        table: standard tables, or those of BasicSR's simulation.
        rounding: exact has no gradient; soft is round(x) + (x - round(x))^3, which has.
    """
    height, width = image.shape[-2:]
    beyond = (0, -width % 16, 0, -height % 16)
    padded = F.pad(image, beyond, mode="replicate" if table == "standard" else "constant") if any(beyond) else image
    constants = _constants(image.dtype, image.device, table)
    luma_steps, chroma_steps = _scaled(constants.steps, quality.to(image), table).unbind(1)
    batch, _, rows, columns = padded.shape
    # Y is centred on 128; Cb and Cr stand around 0 already.
    luma = (constants.to_ycc[:1] @ padded.flatten(2)).sub_(128).view(batch, 1, rows, columns)
    # Means commute with the colour transform: those of two rows here, those of two columns with the cosine transform.
    halved = padded[..., ::2, :] + padded[..., 1::2, :]
    chroma = (constants.to_ycc[1:] @ halved.flatten(2)).view(batch, 2, rows // 2, columns)
    luma = _through_blocks(luma, luma_steps, constants.cosines, constants.luma, rounding)
    chroma = _through_blocks(chroma, chroma_steps, constants.cosines, constants.chroma, rounding)
    coloured = (constants.to_rgb[:, 1:] @ chroma.flatten(2)).view(batch, 3, rows // 2, 1, columns)
    grey = luma.add_(128).mul_(constants.to_rgb[0, 0]).view(batch, 1, rows // 2, 2, columns)
    return (grey + coloured).view(padded.shape).clamp_(0, 1)[..., :height, :width]


def _scaled(base: Tensor, quality: Tensor, table: str) -> Tensor:
    """Both kinds of quantisation steps at libjpeg's quality: (2, 8, 8) and (B,) -> (B, 2, 8, 8)."""
    quality = quality.view(-1, 1, 1, 1)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    if table == "basicsr":
        return base * percent / 100
    return ((base * percent.floor() + 50) / 100).floor().clamp(1, 255)


def _through_blocks(plane: Tensor, steps: Tensor, cosines: Tensor, across: "_Across", rounding: str) -> Tensor:
    """Cosine transform, quantisation and back over 8x8 blocks: (B, C, H, W), centred on 0, -> the same.

    Args:
        plane: the rows of what is compressed; what becomes of its columns, `across` says.
        steps: (B, 8, 8).
        cosines: the transform of 8 rows.
        across: that of columns.
        rounding: exact or soft.
    """
    batch, channels, height, width = plane.shape
    blocks = (batch, channels, height // 8, 8, -1)
    spectrum = (cosines @ plane.view(*blocks[:4], width)).view(-1, len(across.there)) @ across.there
    spectrum = spectrum.view(*blocks, 8)
    steps = steps.view(batch, 1, 1, 8, 1, 8)
    spectrum = spectrum.div_(steps)
    if rounding == "exact":
        rounded = spectrum.round_()
    else:
        rounded = spectrum.round()
        rounded = rounded + (spectrum - rounded) ** 3
    rows = rounded.mul_(steps).view(-1, len(across.back)) @ across.back
    return (cosines.T @ rows.view(*blocks[:4], width)).view(plane.shape)


class _Across(NamedTuple):
    """The cosine transform of columns and its inverse, (n, m) and (m, n), for products with rows of n pixels.

    Two blocks are in one matrix: half of it is zeros then, and still it is faster than a narrow one.
    """

    there: Tensor
    back: Tensor


class _Constants(NamedTuple):
    """What a compression needs besides the image, in its type and on its device."""

    to_ycc: Tensor
    to_rgb: Tensor
    steps: Tensor
    cosines: Tensor
    luma: _Across
    chroma: _Across


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve training too
def _constants(dtype: torch.dtype, device: torch.device, table: Table) -> _Constants:
    frequency, place = torch.arange(8.0, dtype=torch.float64)[:, None], torch.arange(8.0, dtype=torch.float64)[None]
    # The orthonormal 8-point cosine transform (T.81, A.3.3).
    cosines = torch.cos((2 * place + 1) * frequency * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    luma, chroma = torch.tensor(LUMA, dtype=torch.float64), torch.full((8, 8), 99.0, dtype=torch.float64)
    chroma[:4, :4] = torch.tensor(CHROMA_CORNER)
    steps = torch.stack([luma.T if table == "basicsr" else luma, chroma])
    to_ycc, to_rgb = (torch.tensor(matrix, dtype=torch.float64) for matrix in (TO_YCC, TO_RGB))
    # Chroma's columns are halved on the way there and doubled on the way back; a quarter, for its rows are sums.
    halved, doubled = cosines.T.repeat_interleave(2, 0) / 4, cosines.repeat_interleave(2, 1)

    def ready(part: Tensor) -> Tensor:
        return part.to(device, dtype)

    def two_blocks(there: Tensor, back: Tensor) -> _Across:
        return _Across(ready(torch.block_diag(there, there)), ready(torch.block_diag(back, back)))

    return _Constants(
        to_ycc=ready(to_ycc * 255),
        to_rgb=ready(to_rgb / 255),
        steps=ready(steps),
        cosines=ready(cosines),
        luma=two_blocks(cosines.T, cosines),
        chroma=two_blocks(halved, doubled),
    )
