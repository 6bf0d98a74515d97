"""LQ images without ground truth: for enlarging, not for scoring."""

from pathlib import Path
from typing import Any

from srzoo.data.imageset import ImageSet, Phase
from srzoo.data.listing import Fault, Pair, gt_files
from srzoo.images import to_tensor
from srzoo.registry import DATASETS


@DATASETS.register
class LQImages(ImageSet):
    """LQ files of a folder, to be enlarged and written (`val.save_img`): items {"lq": (3, h, w), "key": str}.

    Args:
        scale: magnification.
        phase: only "eval"; there is nothing to learn from.
        lq: folder of LQ images; sub-folders are searched too.
        meta_info: file naming the images to use, one a line; null: all.
    """

    # Nothing to compare with.
    has_gt = False

    def __init__(self, *, scale: int, phase: Phase, lq: Path, meta_info: Path | None = None) -> None:
        if phase == "train":
            raise ValueError("LQImages has no ground truth to train on; use PairedImages or GTImages")
        files, faults = gt_files(lq, meta_info)
        super().__init__(
            files,
            faults,
            scale=scale,
            phase=phase,
            gt_size=None,
            use_hflip=False,
            use_rot=False,
            modcrop=None,
            cache=False,
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]
        return {"lq": to_tensor(self._read(pair.gt)), "key": pair.key}

    def _check_pair(self, pair: Pair, full: bool, least_side: int) -> list[Fault]:
        del least_side  # of metrics, which there are none
        return super()._check_pair(pair, full, 1)
