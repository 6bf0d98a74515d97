"""Pairs of LQ and GT files."""

from pathlib import Path

import numpy as np

from srzoo.data.imageset import ImageSet, Phase
from srzoo.data.listing import Pair, find_images, match_folders, read_pair_list
from srzoo.registry import DATASETS, PositiveInt


@DATASETS.register
class PairedImages(ImageSet):
    """LQ and GT files that belong together: two folders, or a list of pairs.

    Args:
        scale: magnification; GT is `scale` times as large as LQ.
        phase: "train" crops and flips, "eval" uses whole images.
        gt: folder of GT images; sub-folders are searched too.
        lq: folder of LQ images, laid out like `gt`.
        lq_template: stem of LQ files, with {} for the stem of the GT file, such as "{}x4".
        meta_info: BasicSR meta_info file naming the GT images to use, one `name.png (H,W,C)` per line, size optional.
        pairs: list file instead of folders, one `lq_path gt_path` per line, absolute or relative to the list.
        gt_size: side of the training crop, a multiple of the scale [GT pixels].
        use_hflip: flip left-right at random (training).
        use_rot: flip top-bottom and transpose at random, as in BasicSR (training).
        modcrop: GT was cropped to multiples of this before LQ was made; default: the scale [GT pixels].
        cache: keep decoded images in memory.
    """

    def __init__(
        self,
        *,
        scale: int,
        phase: Phase,
        gt: Path | None = None,
        lq: Path | None = None,
        lq_template: str = "{}",
        meta_info: Path | None = None,
        pairs: Path | None = None,
        gt_size: PositiveInt | None = None,
        use_hflip: bool = False,
        use_rot: bool = False,
        modcrop: PositiveInt | None = None,
        cache: bool = False,
    ) -> None:
        if lq_template.count("{}") != 1:
            raise ValueError(f"lq_template must contain {{}} once, for the GT stem, got {lq_template!r}")
        if pairs is not None and gt is None and lq is None and meta_info is None:
            found, faults = read_pair_list(pairs)
        elif pairs is None and gt is not None and lq is not None:
            listed, faults = find_images(gt, meta_info)
            found, unmatched = match_folders(listed, lq, lq_template)
            if not found and match_folders(find_images(lq, None)[0], gt, lq_template)[0]:
                raise ValueError(
                    f"LQ and GT (LR and HR) are swapped: files of gt {gt} are named {lq_template!r} after those of "
                    f"lq {lq}; exchange `lq` and `gt`"
                )
            # If meta_info selects some of the GT images, the LQ folder may hold the others.
            faults += [fault for fault in unmatched if meta_info is None or not fault.reason.startswith("extra")]
        else:
            raise ValueError("PairedImages needs either `gt` and `lq` (folders) or `pairs` (a list file)")
        super().__init__(
            found,
            faults,
            scale=scale,
            phase=phase,
            gt_size=gt_size,
            use_hflip=use_hflip,
            use_rot=use_rot,
            modcrop=modcrop,
            cache=cache,
        )

    def _whole(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        lq, gt = self._read_lq(pair), self._read_gt(pair)
        if gt.shape[:2] != (lq.shape[0] * self.scale, lq.shape[1] * self.scale):
            raise ValueError(
                f"{pair.lq} is {lq.shape[0]}x{lq.shape[1]}; GT of {gt.shape[0]}x{gt.shape[1]} at scale {self.scale} "
                f"needs {gt.shape[0] // self.scale}x{gt.shape[1] // self.scale}"
            )
        return lq, gt

    def _crop(self, pair: Pair, size: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        lq, gt = self._whole(pair)
        y, x = self._window(lq.shape[0], lq.shape[1], size, generator)
        # The same window in GT pixels.
        top, left, side = y * self.scale, x * self.scale, size * self.scale
        return lq[y : y + size, x : x + size], gt[top : top + side, left : left + side]
