"""Differentiable simulation of JPEG compression for batches.

ITU-T T.81 (1992): colour transform, 2x2 chroma averaging, 8x8 discrete cosine transform (DCT), quantisation by the
tables of annex K, scaled as in libjpeg. Written from the standard. BasicSR's simulation transposes the luminance table
and does not round the tables; `table="basicsr"` does the same, for parity with work that used it.
"""

import functools
import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Table = Literal["standard", "basicsr"]

# Annex K, tables K.1 and K.2; all further chroma steps are 99.
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
# Rows are the weights of R, G and B in Y, Cb and Cr, and the inverse (JFIF 1.02).
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def jpeg(
    image: Tensor,
    quality: Tensor,
    *,
    table: Table = "standard",
    rounding: Literal["exact", "soft"] = "exact",
) -> Tensor:
    """Compress and decompress RGB images with 4:2:0 chroma subsampling: (B, 3, H, W) in [0, 1] -> the same.

    Args:
        image: any size; padded to multiples of 16 by repeating the edge ("basicsr": with black).
        quality: libjpeg's quality of each image, (B,), 1 to 100.
        table: quantisation tables, standard or as in BasicSR's simulation.
        rounding: exact has no gradient; soft is the differentiable round(x) + (x - round(x))^3.
    """
    height, width = image.shape[-2:]
    padding = (0, -width % 16, 0, -height % 16)
    padded = F.pad(image, padding, mode="replicate" if table == "standard" else "constant") if any(padding) else image
    constants = _constants(image.dtype, image.device, table)
    luma_steps, chroma_steps = _quantisation_steps(constants.steps, quality.to(image), table).unbind(1)  # (B, 8, 8)
    batch, _, rows, columns = padded.shape
    # T.81 shifts samples by 128 before the DCT; Cb and Cr are centred on 0 here already.
    luma = (constants.to_ycc[:1] @ padded.flatten(2)).sub_(128).view(batch, 1, rows, columns)  # (B, 1, H, W)
    # Averaging commutes with the colour transform. Rows are summed here; the chroma DCT sums columns and divides by 4.
    row_sums = padded[..., ::2, :] + padded[..., 1::2, :]  # (B, 3, H / 2, W)
    chroma = (constants.to_ycc[1:] @ row_sums.flatten(2)).view(batch, 2, rows // 2, columns)  # (B, 2, H / 2, W)
    luma = _quantise_blocks(luma, luma_steps, constants.dct, constants.luma, rounding)
    chroma = _quantise_blocks(chroma, chroma_steps, constants.dct, constants.chroma, rounding)
    # One row of chroma serves two rows of luma.
    coloured = (constants.to_rgb[:, 1:] @ chroma.flatten(2)).view(batch, 3, rows // 2, 1, columns)
    grey = luma.add_(128).mul_(constants.to_rgb[0, 0]).view(batch, 1, rows // 2, 2, columns)
    return (grey + coloured).view(padded.shape).clamp_(0, 1)[..., :height, :width]  # (B, 3, H, W)


def _quantisation_steps(base: Tensor, quality: Tensor, table: str) -> Tensor:
    """Scale the tables of luma and chroma to libjpeg's quality: (2, 8, 8) and (B,) -> (B, 2, 8, 8)."""
    quality = quality.view(-1, 1, 1, 1)  # (B, 1, 1, 1)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    if table == "basicsr":
        return base * percent / 100
    return ((base * percent.floor() + 50) / 100).floor().clamp(1, 255)


def _quantise_blocks(plane: Tensor, steps: Tensor, dct: Tensor, transform: "_RowTransform", rounding: str) -> Tensor:
    """Transform 8x8 blocks, quantise their coefficients and transform back: (B, C, H, W) centred on 0 -> the same.

    Args:
        plane: luma, or chroma with its columns still at full resolution (`transform` halves and doubles them).
        steps: quantisation steps, (B, 8, 8).
        dct: 8-point DCT along the columns of a block, (8, 8).
        transform: DCT along its rows, and the inverse.
        rounding: exact or soft.
    """
    batch, channels, height, width = plane.shape
    blocks = (batch, channels, height // 8, 8, -1)
    # Columns of the blocks (B, C, H / 8, 8, W), then rows as a product with all rows of two blocks (.., n).
    spectrum = (dct @ plane.view(*blocks[:4], width)).view(-1, len(transform.forward)) @ transform.forward
    spectrum = spectrum.view(*blocks, 8)  # (B, C, H / 8, 8, W / 8, 8), chroma W / 16
    steps = steps.view(batch, 1, 1, 8, 1, 8)  # (B, 1, 1, 8, 1, 8)
    spectrum = spectrum.div_(steps)
    if rounding == "exact":
        rounded = spectrum.round_()
    else:
        rounded = spectrum.round()
        rounded = rounded + (spectrum - rounded) ** 3
    rows = rounded.mul_(steps).view(-1, len(transform.inverse)) @ transform.inverse
    return (dct.T @ rows.view(*blocks[:4], width)).view(plane.shape)  # (B, C, H, W)


class _RowTransform(NamedTuple):
    """Forward (n, m) and inverse (m, n) DCT along the rows of blocks, for products with rows of n pixels.

    Each matrix holds two blocks: half of it is zeros, but products with a narrower one are slower.
    """

    forward: Tensor
    inverse: Tensor


class _Constants(NamedTuple):
    """Colour matrices, base quantisation steps and transforms in one dtype and on one device."""

    to_ycc: Tensor  # (3, 3), RGB in [0, 1] -> levels
    to_rgb: Tensor  # (3, 3), levels -> RGB in [0, 1]
    steps: Tensor  # (2, 8, 8), luma and chroma at quality 50
    dct: Tensor  # (8, 8)
    luma: _RowTransform
    chroma: _RowTransform


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # cached tensors must also work in training
def _constants(dtype: torch.dtype, device: torch.device, table: Table) -> _Constants:
    """Return the constants in the dtype and on the device of an image."""
    frequency, sample = torch.arange(8.0, dtype=torch.float64)[:, None], torch.arange(8.0, dtype=torch.float64)[None]
    # Orthonormal 8-point DCT (T.81, A.3.3), frequencies as rows.
    dct = torch.cos((2 * sample + 1) * frequency * math.pi / 16) / 2
    dct[0] /= math.sqrt(2)
    luma, chroma = torch.tensor(LUMA, dtype=torch.float64), torch.full((8, 8), 99.0, dtype=torch.float64)
    chroma[:4, :4] = torch.tensor(CHROMA_CORNER)
    steps = torch.stack([luma.T if table == "basicsr" else luma, chroma])
    to_ycc, to_rgb = (torch.tensor(matrix, dtype=torch.float64) for matrix in (TO_YCC, TO_RGB))
    # The chroma DCT averages pairs of columns; it divides by 4, because rows arrive as sums of two.
    halving = dct.T.repeat_interleave(2, 0) / 4  # (16, 8)
    doubling = dct.repeat_interleave(2, 1)  # (8, 16)

    def convert(part: Tensor) -> Tensor:
        return part.to(device, dtype)

    def two_blocks(forward: Tensor, inverse: Tensor) -> _RowTransform:
        return _RowTransform(convert(torch.block_diag(forward, forward)), convert(torch.block_diag(inverse, inverse)))

    return _Constants(
        to_ycc=convert(to_ycc * 255),
        to_rgb=convert(to_rgb / 255),
        steps=convert(steps),
        dct=convert(dct),
        luma=two_blocks(dct.T, dct),
        chroma=two_blocks(halving, doubling),
    )
