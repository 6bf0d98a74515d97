"""All measurements of one image or pair; the work of one worker, which holds one image at a time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from srzoo.data.examine.alignment import Shift, shift_between
from srzoo.data.examine.colours import ChannelOrder, channel_order, in_order
from srzoo.data.examine.compression import Compression, jpeg_traces
from srzoo.data.examine.findings import Check
from srzoo.data.examine.kernels import residuals
from srzoo.data.examine.perceptual import Likeness, likeness_of
from srzoo.data.examine.region import SIDE, Region, centre, levels, luma_levels, region_of
from srzoo.data.examine.spectrum import Cliff, spectral_cliff
from srzoo.data.listing import Fault, Pair
from srzoo.data.reduction import reduced
from srzoo.data.storage import read_header, read_image


@dataclass(frozen=True)
class PairTask:
    """An image to measure.

    Args:
        pair: its files.
        scale: GT pixels per LQ pixel.
        kernel: that LQ files are expected to be made with; "other": none of the known ones.
        max_pixels: largest image that is decoded.
        checks: to measure for.
    """

    pair: Pair
    scale: int
    kernel: str
    max_pixels: int
    checks: Collection[Check]


@dataclass(frozen=True)
class Measurement:
    """Measurements of an image; None or empty where there is nothing to measure.

    Args:
        pair: its files.
        order: of LQ's colour channels.
        shift: of LQ against GT.
        residuals: kernel -> residual of LQ [dB], the expected kernel first.
        cliff: of GT's spectrum.
        compression: traces of JPEG in GT.
        stored_as: kind of the GT file.
        padded: GT holds 8 bits in 16.
        likeness: small picture.
        unreadable: file that could not be read, and why; None: all could.
    """

    pair: Pair
    order: ChannelOrder | None = None
    shift: Shift | None = None
    residuals: Mapping[str, float] = field(default_factory=dict)
    cliff: Cliff | None = None
    compression: Compression | None = None
    stored_as: str = ""
    padded: bool = False
    likeness: Likeness | None = None
    unreadable: Fault | None = None


def measure(task: PairTask) -> Measurement:
    """Read and measure an image or pair."""
    pair, checks = task.pair, task.checks
    images: dict[Path, np.ndarray] = {}
    for path in [path for path in (pair.gt, pair.lq) if path is not None]:
        try:
            images[path] = read_image(path, task.max_pixels).rgb
        except (ValueError, OSError) as error:
            return Measurement(pair, unreadable=Fault(path, str(error).removeprefix(f"{path}: ")))
    main, lq = images[pair.main_file], images[pair.lq] if pair.gt is not None and pair.lq is not None else None
    stored_as = read_header(pair.main_file, task.max_pixels).kind
    region = region_of(lq, main, task.scale) if lq is not None else None
    order, shift, found = (None, None, {}) if region is None else _measure_pair(region, task)
    wanted = pair.gt is not None and {"enlarged", "compression"} & set(checks)
    luma = luma_levels(centre(main, SIDE)) if wanted else None
    return Measurement(
        pair,
        order,
        shift,
        found,
        spectral_cliff(luma) if luma is not None and "enlarged" in checks else None,
        jpeg_traces(luma) if luma is not None and "compression" in checks else None,
        stored_as,
        "depth" in checks and _is_padded(main),
        likeness_of(main) if "duplicates" in checks else None,
    )


def _measure_pair(region: Region, task: PairTask) -> tuple[ChannelOrder | None, Shift | None, dict[str, float]]:
    """Measure colours, then alignment and kernel of LQ in the right order of colours."""
    checks, scale = task.checks, task.scale
    small = levels(region.gt if scale == 1 else reduced(region.gt, scale))  # (h, w, 3)
    lq = levels(region.lq)
    order = channel_order(lq[region.inner], small[region.inner]) if "colours" in checks else None
    if order is not None and order.order != "RGB":
        region = Region(in_order(region.lq, order.order), region.gt, region.inner)
        lq = levels(region.lq)
    shift = None
    if "alignment" in checks:
        shift = shift_between(luma_levels(lq), luma_levels(small), scale)
    known = scale > 1 and task.kernel != "other" and "kernel" in checks
    return order, shift, residuals(region, scale, task.kernel) if known else {}


def _is_padded(pixels: np.ndarray) -> bool:
    """Return True for 16-bit pixels that are 8-bit ones, times 257 or 256."""
    if pixels.dtype != np.uint16 or bool((pixels == pixels[0, 0]).all()):
        return False
    return not (pixels % 257).any() or not (pixels % 256).any()
