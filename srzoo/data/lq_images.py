"""LQ images without GT: for upscaling, not for scoring."""

from pathlib import Path
from typing import cast

from srzoo.batch import Sample
from srzoo.data.imageset import ImageSet, Phase
from srzoo.data.listing import Fault, Pair, find_images
from srzoo.images import to_tensor
from srzoo.registry import DATASETS


@DATASETS.register
class LQImages(ImageSet):
    """LQ files of a folder, to be upscaled and saved (`val.save_img`): items {"lq": (3, h, w), "key": str}.

    Args:
        scale: magnification.
        phase: only "eval"; training needs GT.
        lq: folder of LQ images; sub-folders are searched too.
        meta_info: file naming the images to use, one per line; null: all.
    """

    has_gt = False  # read when option files are checked: such images cannot be scored

    def __init__(self, *, scale: int, phase: Phase, lq: Path, meta_info: Path | None = None) -> None:
        if phase == "train":
            raise ValueError("LQImages has no GT to train on; use PairedImages or GTImages")
        files, faults = find_images(lq, meta_info)
        super().__init__(
            [Pair(file.key, None, file.path, file.size) for file in files],
            faults,
            scale=scale,
            phase=phase,
            gt_size=None,
            use_hflip=False,
            use_rot=False,
            modcrop=None,
            cache=False,
        )

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        return cast(Sample, {"lq": to_tensor(self._read_lq(pair)), "key": pair.key})

    def _check_sizes(self, pair: Pair, sizes: dict[Path, tuple[int, int]], least_side: int) -> list[Fault]:
        # The size of metrics does not matter, for there is nothing to score.
        del least_side
        return self._check_listed_size(pair, sizes)
