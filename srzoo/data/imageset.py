"""Base of the built-in datasets: reading, cropping, flipping and checking of image files."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from srzoo import heap
from srzoo.batch import Sample
from srzoo.data.cache import Cache, cached_name, chosen_cache, disk_cache, free_memory
from srzoo.data.folders import summary
from srzoo.data.levels import Crop, collate_crops, finished
from srzoo.data.listing import Fault, Mapped, Pair, PairListing
from srzoo.data.storage import read_header, read_image, same_content, same_place, store_faults, verify_image
from srzoo.images import Header, to_tensor

Phase = Literal["train", "eval"]
Color = Literal["rgb", "grey"]

# Memory that cached images leave free [bytes].
_RESERVE = 2**28
# Samples whose listing frees much memory.
_MANY = 100_000
# Note of the pre-flight.
SEVERAL_PICTURES = "{} file(s) hold several pictures, of which the first is used"


class ImageSet(Dataset[Sample]):
    """Pairs of image files: whole images for evaluation, random crops for training.

    ``dataset[i]`` is the whole pair {"lq": (C, h, w), "gt": (C, scale*h, scale*w), "key": str}, float32 in [0, 1],
    C = 3 or 1; ``dataset.draw(i, generator)`` is a training crop of it, with all randomness from `generator`.

    Args:
        listing: the files, and faults of their folders or lists, which :meth:`check` reports.
        scale: magnification.
        phase: "train" crops and flips, "eval" does neither.
        gt_size: side of the training crop, a multiple of `scale` [GT pixels].
        use_hflip: flip left-right at random.
        use_rot: flip top-bottom and transpose at random; with `use_hflip` all eight orientations.
        modcrop: GT is cropped to multiples of this; LQ covers the cropped GT [GT pixels].
        cache: keep decoded images: true or ram, in memory; disk, as raw pixels in the user's cache; auto, by measuring.
        color: channels that images are converted to: "rgb" (3) or "grey" (1).
        max_pixels: largest image that is decoded.

    Raises:
        ValueError: options that contradict each other.
    """

    def __init__(
        self,
        listing: PairListing,
        *,
        scale: int,
        phase: Phase,
        gt_size: int | None,
        use_hflip: bool,
        use_rot: bool,
        modcrop: int | None,
        cache: Cache,
        color: Color,
        max_pixels: int,
    ) -> None:
        if phase == "train" and (gt_size is None or gt_size < scale or gt_size % scale):
            raise ValueError(f"gt_size: training crops need a multiple of the scale {scale}, got {gt_size}")
        if phase == "eval" and (gt_size is not None or use_hflip or use_rot):
            raise ValueError(
                "gt_size, use_hflip and use_rot belong to training; evaluation uses whole images: remove them"
            )
        self.modcrop = scale if modcrop is None else modcrop
        if self.modcrop < 1 or self.modcrop % scale:
            raise ValueError(f"modcrop: must be a multiple of the scale {scale}, got {modcrop}")
        self.pairs, self.faults, self.left_out = listing
        # For each sample of an epoch, the pairs that it may be, equally likely; subclasses weight pairs by these.
        self.candidates: Sequence[range] = Mapped(range(len(self.pairs)), _single)
        self.scale = scale
        self.phase = phase
        self.gt_size = gt_size
        self.use_hflip = use_hflip
        self.use_rot = use_rot
        self.color: Color = color
        self.max_pixels = max_pixels
        self._notes: Counter[str] = Counter()
        files = [file for pair in self.pairs for file in (pair.gt, pair.lq) if file is not None] if cache else []
        kind = chosen_cache(files, cache, os.cpu_count() or 1)
        self._cache: dict[Path, np.ndarray] | None = {} if kind == "ram" else None
        self._disk_cache = disk_cache(files) if kind == "disk" else None
        if len(self.pairs) > _MANY:
            heap.return_freed()

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[self.candidates[index][0]]
        lq, gt = self._whole(pair)
        return {"lq": to_tensor(lq), "gt": to_tensor(gt), "key": pair.key}

    def draw(self, index: int, generator: np.random.Generator) -> Sample:
        """Draw a crop: {"lq": (C, gt_size/scale, gt_size/scale), "gt": (C, gt_size, gt_size), "key": str}.

        Without "lq" if a degradation makes it later.
        """
        crop = self.draw_crop(index, generator)
        batch = finished(collate_crops([crop]))
        return cast(
            Sample, {name: value[0] for name, value in batch.items() if isinstance(value, Tensor)} | {"key": crop.key}
        )

    def draw_crop(self, index: int, generator: np.random.Generator) -> Crop:
        """Draw the crop of :meth:`draw` as levels, not flipped yet."""
        assert self.gt_size is not None
        candidates = self.candidates[index]
        pair = self.pairs[candidates[int(generator.integers(len(candidates))) if len(candidates) > 1 else 0]]
        lq, gt = self._crop(pair, self.gt_size // self.scale, generator)
        # Three numbers are drawn under all options, so that options do not change later numbers.
        allowed = np.array([self.use_hflip, self.use_rot, self.use_rot])
        flips = generator.integers(2, size=3).astype(bool) & allowed
        images = {"gt": gt} if lq is None else {"lq": lq, "gt": gt}
        return Crop(images, flips, pair.key)

    def check(self, full: bool, least_side: int = 1) -> Iterator[list[Fault]]:
        """Yield faults: one list for the listing, then one per pair (for a progress bar).

        Args:
            full: decode every file instead of reading names, headers and file ends.
            least_side: smallest side of evaluation images [GT pixels].
        """
        self._notes.clear()
        # Hashes of keys take a tenth of the memory of keys, and are enough while they differ.
        hashes = np.fromiter((hash(pair.key) for pair in self.pairs), np.int64, len(self.pairs))
        keys = Counter(pair.key for pair in self.pairs) if len(np.unique(hashes)) < len(hashes) else {}
        repeated = [pair for pair in self.pairs if keys[pair.key] > 1] if keys else []
        yield [
            *self.faults,
            *store_faults(path for pair in self.pairs for path in (pair.gt, pair.lq) if path is not None),
            *(Fault(pair.main_file, f"another image is named {pair.key} too: rename one") for pair in repeated),
        ]
        for pair in self.pairs:
            yield self._check_pair(pair, full, least_side)

    def describe(self) -> str:
        """Return the number of images, and the notes of :meth:`check` about files that are not used in full."""
        notes = [f"left out: {summary(self.left_out)}"] if self.left_out else []
        notes += [text.format(count) for text, count in self._notes.items() if count]
        return "; ".join([f"{len(self.pairs)} image{'s' * (len(self.pairs) != 1)}", *notes])

    @property
    def least_training_side(self) -> int:
        """Smallest side that a training image may have [GT pixels]."""
        assert self.gt_size is not None
        return self.gt_size

    def _check_pair(self, pair: Pair, full: bool, least_side: int) -> list[Fault]:
        faults: list[Fault] = []
        sizes: dict[Path, tuple[int, int]] = {}
        for file in (pair.gt, pair.lq):
            if file is None:
                continue
            try:
                header = read_header(file, self.max_pixels)
                sizes[file] = header.size
                self._note(header)
                if full:
                    verify_image(file, self.max_pixels)
            except (ValueError, OSError) as error:
                faults.append(Fault(file, str(error).removeprefix(f"{file}: ")))
        # Sizes of unreadable files are unknown.
        return faults or self._check_sizes(pair, sizes, least_side)

    def _note(self, header: Header) -> None:
        """Count files of which a part is not used."""
        self._notes[SEVERAL_PICTURES] += header.has_more
        self._notes["alpha of {} file(s) is not used"] += header.alpha

    def _check_sizes(self, pair: Pair, sizes: dict[Path, tuple[int, int]], least_side: int) -> list[Fault]:
        assert pair.gt is not None
        faults = self._check_listed_size(pair, sizes)
        height, width = sizes[pair.gt]
        cropped = self._cropped((height, width), sizes[pair.lq] if pair.lq is not None else None)
        if pair.lq is not None:
            mismatch = self._mismatch(pair.gt, pair.lq, sizes, cropped)
            faults += [Fault(pair.lq, mismatch)] if mismatch else []
        if self.phase == "train":
            least, reason = self.least_training_side, "the crop"
        else:
            least, reason = max(self.modcrop, least_side), "metrics need"
        if min(cropped) < least:
            faults.append(Fault(pair.gt, f"smaller than {reason}: {height}x{width}, needed {least}x{least}"))
        return faults

    def _cropped(self, gt: tuple[int, int], lq: tuple[int, int] | None) -> tuple[int, int]:
        """Return the size of the part of GT that is used, from the sizes of GT and LQ: LQ was made from that part."""
        del lq
        return gt[0] - gt[0] % self.modcrop, gt[1] - gt[1] % self.modcrop

    def _mismatch(self, gt: Path, lq: Path, sizes: dict[Path, tuple[int, int]], cropped: tuple[int, int]) -> str:
        """Return the reason why LQ is not that of GT; empty if it is."""
        (height, width), (lq_height, lq_width) = sizes[gt], sizes[lq]
        if same_place(gt, lq):
            return f"LQ and GT are one file, {gt}: name two folders, or templates that tell them apart"
        if self.scale > 1 and sizes[gt] == sizes[lq] and same_content(gt, lq):
            return f"LQ has the content of GT {gt}, but is {self.scale} times as small: was the GT folder copied?"
        expected = (cropped[0] // self.scale, cropped[1] // self.scale)
        if (lq_height, lq_width) == expected:
            return ""
        reason = (
            f"wrong scale ratio: is {lq_height}x{lq_width}, but GT {gt.name} of {height}x{width} at scale {self.scale} "
            f"asks for {expected[0]}x{expected[1]}"
        )
        if height < lq_height and width < lq_width:
            return reason + "; LQ and GT (LR and HR) are swapped"
        fitting = height // lq_height
        return reason + f"; scale {fitting} fits" * ((lq_height * fitting, lq_width * fitting) == (height, width))

    @staticmethod
    def _check_listed_size(pair: Pair, sizes: dict[Path, tuple[int, int]]) -> list[Fault]:
        height, width = sizes[pair.main_file]
        if pair.size is None or pair.size == (height, width):
            return []
        return [Fault(pair.main_file, f"is {height}x{width} but {pair.listed} says {pair.size[0]}x{pair.size[1]}")]

    def _whole(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Return LQ and GT as uint8 or uint16 (H, W, C), GT modcropped."""
        raise NotImplementedError

    def _crop(self, pair: Pair, size: int, generator: np.random.Generator) -> tuple[np.ndarray | None, np.ndarray]:
        """Return a random LQ window of size x size (None if a degradation makes it) and the GT window it covers."""
        raise NotImplementedError

    def _read(self, path: Path) -> np.ndarray:
        if self._cache is not None and path in self._cache:
            return self._cache[path]
        if self._disk_cache is not None:
            picture = self._disk_cache.read(cached_name(path), self.max_pixels)
        else:
            picture = read_image(path, self.max_pixels)
        pixels = picture.grey if self.color == "grey" else picture.rgb  # (H, W, C)
        if self._cache is not None and free_memory() > _RESERVE:
            self._cache[path] = pixels
        return pixels

    def _read_lq(self, pair: Pair) -> np.ndarray:
        assert pair.lq is not None
        return self._read(pair.lq)

    def _read_gt(self, pair: Pair) -> np.ndarray:
        assert pair.gt is not None
        gt = self._read(pair.gt)
        height, width = (side - side % self.modcrop for side in gt.shape[:2])
        return gt[:height, :width]  # rows and columns are dropped at the bottom and right, as in MATLAB's modcrop

    @staticmethod
    def _window(height: int, width: int, size: int, generator: np.random.Generator) -> tuple[int, int]:
        """Draw the top left corner of a window of size x size.

        Raises:
            ValueError: the image is smaller than the window.
        """
        if min(height, width) < size:
            raise ValueError(f"image of {height}x{width} is smaller than the crop of {size}x{size}")
        return int(generator.integers(height - size + 1)), int(generator.integers(width - size + 1))


def _single(index: int) -> range:
    return range(index, index + 1)
