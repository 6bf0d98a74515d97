"""GT images alone; LQ is made from them when they are read."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from srzoo.data.cache import Cache
from srzoo.data.enlarge import Enlarge, enlarged
from srzoo.data.imageset import Color, ImageSet, Phase
from srzoo.data.listing import Fault, ImageFile, Mapped, NamedImages, Pair, PairListing
from srzoo.data.lists import find_images
from srzoo.data.reduction import reduced
from srzoo.data.shared import SharedArray
from srzoo.data.sources import SourcePairs, WeightedCandidates, num_samples
from srzoo.images import MAX_PIXELS
from srzoo.keys import image_of
from srzoo.ops.resize import imresize
from srzoo.registry import DATASETS, PositiveFloat, PositiveInt

# The antialiased cubic kernel reaches 2 LQ pixels to each side; one is spare.
_MARGIN = 3


@dataclass(frozen=True, kw_only=True)
class Source:
    """One of several folders of a training set.

    Args:
        gt: folder of GT images; sub-folders are searched too.
        meta_info: BasicSR meta_info file naming the GT images to use.
        limit: largest number of images, the first by name; sub-images of one image (NAME_s001, NAME_s002, ...) count as
            one; null: all.
        weight: how often an epoch uses each image; fractions hold on average: 1.5 is every image once and half as many
            drawn at random.
    """

    # Read when option files are checked: unknown keys are refused.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    gt: Path
    meta_info: Path | None = None
    limit: PositiveInt | None = None
    weight: PositiveFloat = 1.0


@DATASETS.register
class GTImages(ImageSet):
    """GT files; LQ is their MATLAB-equivalent bicubic reduction, by default rounded to 8 bits as in classic LR files.

    A training crop reduces only its surroundings, yet equals the same crop of the whole reduced image bit for bit.

    Args:
        scale: magnification; LQ is GT reduced by it.
        phase: "train" crops and flips, "eval" uses whole images.
        gt_only: leave LQ out; a degradation makes it on the training device.
        gt: folder of GT images; sub-folders are searched too.
        meta_info: BasicSR meta_info file naming the GT images to use, one `name.png (H,W,C)` per line, size optional.
        sources: several folders by name instead of `gt`, each with a limit and a weight (training).
        gt_size: side of the training crop, a multiple of the scale [GT pixels].
        use_hflip: flip left-right at random (training).
        use_rot: flip top-bottom and transpose at random, as in BasicSR (training).
        modcrop: GT is cropped to multiples of this before LQ is made; default: the scale [GT pixels].
        enlarge: enlarge training images that are smaller than the crop. true or bicubic: to its size, proportions kept;
            each_side: each side separately, bilinear, as ImageNet trainings of HAT and DRCT do; reflect: by mirroring
            at the bottom and right, as Real-ESRGAN does.
        round_lq: round LQ to the levels of a file; false keeps fractions and overshoot beyond [0, 1].
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
        gt_only: bool = False,
        gt: Path | None = None,
        meta_info: Path | None = None,
        sources: dict[str, Source] | None = None,
        gt_size: PositiveInt | None = None,
        use_hflip: bool = False,
        use_rot: bool = False,
        modcrop: PositiveInt | None = None,
        enlarge: Enlarge = False,
        round_lq: bool = True,
        cache: Cache = False,
        color: Color = "rgb",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if enlarge and phase == "eval":
            raise ValueError("enlarge belongs to training; evaluation uses whole images: remove it")
        self.enlarge: Enlarge = enlarge
        self.round_lq, self.gt_only = round_lq, gt_only
        if (gt is None) == (not sources) or (sources and (meta_info is not None or phase == "eval")):
            raise ValueError("GTImages needs either `gt` (a folder) or, for training, `sources` (several, by name)")
        if gt is not None:
            images, faults, left_out = find_images(gt, meta_info)
            listing = PairListing(Mapped(images, _without_lq), faults, left_out)
            candidates = None
        else:
            listing, candidates = _collect_sources(sources or {})
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
        if candidates is not None:
            self.candidates = candidates

    def _whole(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        gt = self._read_gt(pair)
        return self._reduce(gt), gt

    def _read(self, path: Path) -> np.ndarray:
        image = super()._read(path)
        return image if self.gt_size is None else enlarged(image, self.gt_size, self.scale, self.enlarge)

    @property
    def least_training_side(self) -> int:
        return 1 if self.enlarge else super().least_training_side

    def _crop(self, pair: Pair, size: int, generator: np.random.Generator) -> tuple[np.ndarray | None, np.ndarray]:
        gt, scale = self._read_gt(pair), self.scale
        height, width = (side // scale for side in gt.shape[:2])  # of LQ, as are y, x and size
        y, x = self._window(height, width, size, generator)
        window = gt[y * scale : (y + size) * scale, x * scale : (x + size) * scale]
        if self.gt_only:
            return None, window
        # Reduce the window and the margin under the kernel; at the edges of the image both it and the whole have none.
        y0, x0 = max(0, y - _MARGIN), max(0, x - _MARGIN)
        y1, x1 = min(height, y + size + _MARGIN), min(width, x + size + _MARGIN)
        lq = self._reduce(gt[y0 * scale : y1 * scale, x0 * scale : x1 * scale])
        lq = lq[y - y0 : y - y0 + size, x - x0 : x - x0 + size]
        return lq, window

    def _reduce(self, gt: np.ndarray) -> np.ndarray:
        """Return LQ (h, w, 3) of GT (scale*h, scale*w, 3): in the same type, or float32 if it is not rounded."""
        if self.scale == 1:
            return gt
        if self.round_lq and gt.dtype != np.float32:
            return reduced(gt, self.scale)
        chw = torch.from_numpy(np.ascontiguousarray(gt.transpose(2, 0, 1)))  # (3, H, W)
        lq = imresize(chw.double(), 1 / self.scale).numpy().transpose(1, 2, 0)  # (h, w, 3)
        if not self.round_lq:
            return (lq / (1 if gt.dtype == np.float32 else np.iinfo(gt.dtype).max)).astype(np.float32)
        # Enlarged images are float32 in [0, 1]; their LQ files would have 8 bits.
        return (lq * 255).clip(0, 255).round().astype(np.uint8)


def _without_lq(image: ImageFile) -> Pair:
    return Pair(image.key, image.path, None, image.size, image.listed)


def _collect_sources(sources: dict[str, Source]) -> tuple[PairListing, Sequence[range]]:
    """Return the images of all sources with keys SOURCE/NAME, and the candidates of each sample of an epoch."""
    chosen: list[tuple[str, Sequence[ImageFile]]] = []
    shares: list[tuple[int, float]] = []
    faults: list[Fault] = []
    left_out: list[Fault] = []
    for name, source in sources.items():
        files, found, unused = find_images(source.gt, source.meta_info)
        faults += found
        left_out += unused
        files = _first(files, source.limit)
        chosen.append((name, files))
        shares.append((len(files), source.weight))
        if files and not num_samples(len(files), source.weight):
            reason = f"weight {source.weight:g} of {len(files)} images gives no sample per epoch: raise it"
            faults.append(Fault(source.gt, reason))
    return PairListing(SourcePairs(chosen), faults, left_out), WeightedCandidates(shares)


def _first(files: Sequence[ImageFile], limit: int | None) -> Sequence[ImageFile]:
    """Return the files of the first `limit` images; files that are sub-images of one image belong together."""
    if limit is None:
        return files
    keys = files.keys() if isinstance(files, NamedImages) else (file.key for file in files)
    images: set[str] = set()
    chosen = array("i")
    for index, key in enumerate(keys):
        image = image_of(key)
        if len(images) < limit:
            images.add(image)
        if image in images:
            chosen.append(index)
    return Mapped(range(len(chosen)), partial(_chosen, files, SharedArray(np.array(chosen, np.int32))))


def _chosen(files: Sequence[ImageFile], rows: SharedArray, index: int) -> ImageFile:
    return files[int(rows.array[index])]
