"""LQ images without GT: for upscaling, not for scoring."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from srzoo.batch import Sample
from srzoo.data.imageset import SEVERAL_PICTURES, Color, ImageSet, Phase
from srzoo.data.listing import Fault, ImageFile, Mapped, Pair, PairListing
from srzoo.data.lists import find_images
from srzoo.data.storage import profile_of, read_header, read_image
from srzoo.images import (
    MAX_PIXELS,
    Header,
    to_levels,
    to_tensor,
    write_image,
)
from srzoo.ops.resize import imresize
from srzoo.registry import DATASETS


@DATASETS.register
class LQImages(ImageSet):
    """LQ files of a folder, to be upscaled and saved (`val.save_img`): items {"lq": (C, h, w), "key": str}.

    Args:
        scale: magnification.
        phase: only "eval"; training needs GT.
        lq: folder of LQ images; sub-folders are searched too.
        meta_info: file naming the images to use, one per line; null: all.
        color: channels of the network that images are converted to: rgb, or grey for one channel.
        max_pixels: largest image that is decoded, data.max_pixels [pixels].
    """

    has_gt = False  # read when option files are checked: such images cannot be scored

    def __init__(
        self,
        *,
        scale: int,
        phase: Phase,
        lq: Path,
        meta_info: Path | None = None,
        color: Color = "rgb",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if phase == "train":
            raise ValueError("LQImages has no GT to train on; use PairedImages or GTImages")
        images, faults, left_out = find_images(lq, meta_info)
        super().__init__(
            PairListing(Mapped(images, _without_gt), faults, left_out),
            scale=scale,
            phase=phase,
            gt_size=None,
            use_hflip=False,
            use_rot=False,
            modcrop=None,
            cache=False,
            color=color,
            max_pixels=max_pixels,
        )
        self.unused: list[Fault] = []

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        return cast(Sample, {"lq": to_tensor(self._read_lq(pair)), "key": pair.key})

    def check(self, full: bool, least_side: int = 1) -> Iterator[list[Fault]]:
        """Yield faults as :meth:`ImageSet.check` does, decoding every file.

        Damage is then known before the first image is enlarged, and decoding is quick beside that.
        """
        del full
        return super().check(True, least_side)

    def set_aside(self, faults: list[Fault]) -> list[Fault]:
        """Leave out the images of `faults`, which go to `unused`; return the faults that are not of single images.

        If no image would be left, all faults are returned.
        """
        reasons = {fault.file: fault for fault in faults}
        pairs = [pair for pair in self.pairs if pair.lq not in reasons]
        if not pairs:
            return faults
        self.unused = [reasons[pair.main_file] for pair in self.pairs if pair.main_file in reasons]
        self.pairs = pairs
        self.candidates = self.candidates[: len(pairs)]
        return [fault for fault in faults if fault not in self.unused]

    def write_output(self, index: int, sr: Tensor, path: Path) -> None:
        """Write output (C, H, W) in [0, 1] as PNG in the form of its LQ file: depth, grey, alpha, colour profile.

        Alpha is enlarged by bicubic interpolation.
        """
        pixels = self._as_lq_file(self.pairs[index].main_file, sr)
        write_image(path, pixels, profile_of(self.pairs[index].main_file, 1 if pixels.shape[2] == 1 else 3))

    def _as_lq_file(self, path: Path, sr: Tensor) -> np.ndarray:
        """Return output (C, H, W) as pixels (H, W, C) of the form of the LQ file at `path`."""
        header = read_header(path, self.max_pixels)
        image = sr.detach().float().cpu()
        if header.grey:
            image = image.mean(0, keepdim=True)  # (1, H, W); a network of three channels may colour grey a little
        alpha = read_image(path, self.max_pixels).alpha if header.alpha else None
        if alpha is not None:
            image = image.expand(3, -1, -1)
            enlarged = imresize(to_tensor(alpha[:, :, None]), self.scale)  # (1, H, W)
            image = torch.cat([image, enlarged])  # (4, H, W)
        return to_levels(image, header.bits)

    def _note(self, header: Header) -> None:
        self._notes[SEVERAL_PICTURES] += header.has_more

    def _check_sizes(self, pair: Pair, sizes: dict[Path, tuple[int, int]], least_side: int) -> list[Fault]:
        # The size of metrics does not matter, for there is nothing to score.
        del least_side
        return self._check_listed_size(pair, sizes)


def _without_gt(image: ImageFile) -> Pair:
    return Pair(image.key, None, image.path, image.size, image.listed)
