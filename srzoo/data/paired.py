"""Pairs of LQ and GT files."""

from pathlib import Path
from typing import Literal

import numpy as np

from srzoo.data.cache import Cache
from srzoo.data.folders import match_folders
from srzoo.data.imageset import Color, ImageSet, Phase
from srzoo.data.listing import Fault, Pair
from srzoo.data.lists import find_images, read_pair_list
from srzoo.data.reduction import Kernel
from srzoo.images import MAX_PIXELS
from srzoo.registry import DATASETS, PositiveInt


@DATASETS.register
class PairedImages(ImageSet):
    """LQ and GT files that belong together: two folders, or a list of pairs.

    Args:
        scale: magnification; GT is `scale` times as large as LQ.
        phase: "train" crops and flips, "eval" uses whole images.
        gt: folder of GT images; sub-folders are searched too.
        lq: folder of LQ images, laid out like `gt`.
        gt_template: stem of GT files, with {} for the name that GT and LQ have in common; "{}_HR" for RealSR.
        lq_template: stem of LQ files, with {} for that name, such as "{}x4"; "{}_LR4" for RealSR.
        meta_info: BasicSR meta_info file naming the GT images to use, one `name.png (H,W,C)` per line, size optional.
        pairs: list file, one `lq_path gt_path` or `gt_path, lq_path` per line, absolute or relative to
            `lq` and `gt` (default: to the list). GT that is a little larger than `scale` times LQ is cut to fit, as
            D2C-SR does.
        gt_size: side of the training crop, a multiple of the scale [GT pixels].
        use_hflip: flip left-right at random (training).
        use_rot: flip top-bottom and transpose at random, as in BasicSR (training).
        modcrop: GT was cropped to multiples of this before LQ was made; default: the scale [GT pixels].
        lq_multiple: cut LQ at the bottom and right to multiples of this and GT to match, as RT4KSR's authors do with 2
            (evaluation) [LQ pixels].
        lq_kernel: kernel that LQ files were made with, which `srzoo data check` compares; other: none of these, as for
            pairs of cameras.
        cache: keep decoded images; true or ram: in the memory of each worker; disk: as raw pixels in the user's cache,
            written before the first step; auto: measure, choose one of these or none, and log it.
        color: channels of the network that images are converted to: rgb, or grey for one channel.
        max_pixels: largest image that is decoded, data.max_pixels [pixels].
    """

    def __init__(
        self,
        *,
        scale: int,
        phase: Phase,
        gt: Path | None = None,
        lq: Path | None = None,
        gt_template: str = "{}",
        lq_template: str = "{}",
        meta_info: Path | None = None,
        pairs: Path | None = None,
        gt_size: PositiveInt | None = None,
        use_hflip: bool = False,
        use_rot: bool = False,
        modcrop: PositiveInt | None = None,
        lq_multiple: PositiveInt = 1,
        lq_kernel: Kernel | Literal["other"] = "matlab",
        cache: Cache = False,
        color: Color = "rgb",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        for option, template in (("gt_template", gt_template), ("lq_template", lq_template)):
            if template.count("{}") != 1:
                raise ValueError(f"{option} must contain {{}} once, for the name of the pair, got {template!r}")
        if lq_multiple > 1 and phase == "train":
            raise ValueError("lq_multiple belongs to evaluation; training uses crops: remove it")
        self.lq_multiple = lq_multiple
        self.lq_kernel = lq_kernel
        self.is_list = pairs is not None
        if pairs is not None and (gt is None) == (lq is None) and meta_info is None:
            listing = read_pair_list(pairs, gt, lq)
        elif pairs is None and gt is not None and lq is not None:
            listing = match_folders(find_images(gt, meta_info), gt_template, lq, lq_template)
            if meta_info is not None:
                # The list selects some of the GT images, and the LQ folder may hold the others.
                faults = [fault for fault in listing.faults if not fault.reason.startswith("extra")]
                listing = listing._replace(faults=faults)
        else:
            raise ValueError("PairedImages needs either `gt` and `lq` (folders) or `pairs` (a list file), or all three")
        super().__init__(
            listing,
            scale=scale,
            phase=phase,
            gt_size=gt_size,
            use_hflip=use_hflip,
            use_rot=use_rot,
            modcrop=modcrop,
            cache=cache,
            color=color,
            max_pixels=max_pixels,
        )

    def _cropped(self, gt: tuple[int, int], lq: tuple[int, int] | None) -> tuple[int, int]:
        if not self.is_list or lq is None or gt == lq:
            return super()._cropped(gt, lq)
        # GT may have a margin of its own, below one LQ size: more means other images or another scale.
        if all(gt_side // lq_side == self.scale for gt_side, lq_side in zip(gt, lq, strict=True)):
            return lq[0] * self.scale, lq[1] * self.scale
        return super()._cropped(gt, lq)

    def _check_sizes(self, pair: Pair, sizes: dict[Path, tuple[int, int]], least_side: int) -> list[Fault]:
        assert pair.gt is not None
        assert pair.lq is not None
        height, width = sizes[pair.lq]
        fitting = (height * self.scale, width * self.scale)
        cut = self.is_list and sizes[pair.gt] != fitting == self._cropped(sizes[pair.gt], sizes[pair.lq])
        self._notes[f"GT of {{}} pair(s) is larger than {self.scale} times LQ and cut to fit"] += cut
        return super()._check_sizes(pair, sizes, least_side)

    def _whole(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        assert pair.gt is not None
        lq, gt = self._read_lq(pair), self._read(pair.gt)
        height, width = self._cropped(gt.shape[:2], lq.shape[:2])
        gt = gt[:height, :width]  # rows and columns are dropped at the bottom and right
        if gt.shape[:2] != (lq.shape[0] * self.scale, lq.shape[1] * self.scale):
            raise ValueError(
                f"{pair.lq} is {lq.shape[0]}x{lq.shape[1]}; GT of {gt.shape[0]}x{gt.shape[1]} at scale {self.scale} "
                f"needs {gt.shape[0] // self.scale}x{gt.shape[1] // self.scale}"
            )
        height, width = (side - side % self.lq_multiple for side in lq.shape[:2])
        return lq[:height, :width], gt[: height * self.scale, : width * self.scale]

    def _crop(self, pair: Pair, size: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        lq, gt = self._whole(pair)
        y, x = self._window(lq.shape[0], lq.shape[1], size, generator)
        # The same window in GT pixels.
        top, left, side = y * self.scale, x * self.scale, size * self.scale
        return lq[y : y + size, x : x + size], gt[top : top + side, left : left + side]
