"""What datasets of image files have in common: reading, cropping, flipping, checking."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch.utils.data import Dataset

from srzoo.data.listing import Fault, Pair
from srzoo.images import image_size, read_image, to_tensor

Phase = Literal["train", "eval"]


class ImageSet(Dataset[dict[str, Any]]):
    """Base of the built-in datasets: pairs of files; whole images for evaluation, random crops for training.

    ``dataset[i]`` is the whole pair {"lq": (3, h, w), "gt": (3, scale*h, scale*w), "key": str}, float32 in [0, 1];
    ``dataset.draw(i, generator)`` is a training crop of it, with all randomness from `generator`.

    Args:
        pairs: the files.
        faults: what was wrong with the folders or lists; reported by :meth:`check`.
        scale: magnification.
        phase: "train" crops and flips, "eval" does neither.
        gt_size: side of the training crop, a multiple of `scale` [GT pixels].
        use_hflip: flip left-right at random.
        use_rot: flip top-bottom and transpose at random; with `use_hflip` all eight orientations.
        modcrop: GT is cropped to multiples of this before LQ belongs to it [GT pixels].
        cache: keep decoded images in memory.
    """

    def __init__(
        self,
        pairs: list[Pair],
        faults: list[Fault],
        *,
        scale: int,
        phase: Phase,
        gt_size: int | None,
        use_hflip: bool,
        use_rot: bool,
        modcrop: int | None,
        cache: bool,
    ) -> None:
        if phase == "train" and (gt_size is None or gt_size < scale or gt_size % scale):
            raise ValueError(f"gt_size: training crops need a multiple of the scale {scale}, got {gt_size}")
        if phase == "eval" and (gt_size is not None or use_hflip or use_rot):
            raise ValueError(
                "gt_size, use_hflip and use_rot belong to training; evaluation takes whole images: remove them"
            )
        self.modcrop = scale if modcrop is None else modcrop
        if self.modcrop < 1 or self.modcrop % scale:
            raise ValueError(f"modcrop: must be a multiple of the scale {scale}, got {modcrop}")
        self.pairs = pairs
        # Which pairs each sample of an epoch may be, equally likely; a subclass may let some come more or less often.
        self.choices = [range(index, index + 1) for index in range(len(pairs))]
        self.faults = faults
        self.scale = scale
        self.phase = phase
        self.gt_size = gt_size
        self.use_hflip = use_hflip
        self.use_rot = use_rot
        self._cache: dict[Path, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[self.choices[index][0]]
        lq, gt = self._whole(pair)
        return {"lq": to_tensor(lq), "gt": to_tensor(gt), "key": pair.key}

    def draw(self, index: int, generator: np.random.Generator) -> dict[str, Any]:
        """A random crop: {"lq": (3, gt_size/scale, gt_size/scale), "gt": (3, gt_size, gt_size), "key": str}.

        Without "lq" where it is left to a degradation of the batch.
        """
        assert self.gt_size is not None
        choices = self.choices[index]
        pair = self.pairs[choices[int(generator.integers(len(choices))) if len(choices) > 1 else 0]]
        lq, gt = self._crop(pair, self.gt_size // self.scale, generator)
        allowed = np.array([self.use_hflip, self.use_rot, self.use_rot])
        flips = generator.integers(2, size=3).astype(bool) & allowed
        images = {"lq": lq, "gt": gt}
        oriented = {name: self._oriented(image, flips) for name, image in images.items() if image is not None}
        return {name: to_tensor(image) for name, image in oriented.items()} | {"key": pair.key}

    def check(self, full: bool, least_side: int = 1) -> Iterator[list[Fault]]:
        """What is wrong, one list per sample (for a progress bar) after one for the listing itself.

        Names and headers only, or (`full`) every file decoded. Images must have `least_side` GT pixels, or a crop.
        """
        keys = Counter(pair.key for pair in self.pairs)
        repeated = [pair for pair in self.pairs if keys[pair.key] > 1]
        yield self.faults + [Fault(pair.gt, f"another image is named {pair.key} too: rename one") for pair in repeated]
        for pair in self.pairs:
            yield self._check_pair(pair, full, least_side)

    @property
    def least_size(self) -> int:
        """How many pixels the sides of a training image must have."""
        assert self.gt_size is not None
        return self.gt_size

    def _check_pair(self, pair: Pair, full: bool, least_side: int) -> list[Fault]:
        faults, sizes = [], {}
        for file in (pair.gt, pair.lq):
            if file is None:
                continue
            try:
                sizes[file] = image_size(file)
                if full:
                    read_image(file)
            except (ValueError, OSError) as error:
                faults.append(Fault(file, str(error).removeprefix(f"{file}: ")))
        if faults:
            return faults
        height, width = sizes[pair.gt]
        if pair.size is not None and pair.size != (height, width):
            faults.append(Fault(pair.gt, f"is {height}x{width} but the list says {pair.size[0]}x{pair.size[1]}"))
        expected = tuple((side - side % self.modcrop) // self.scale for side in (height, width))
        if pair.lq is not None and sizes[pair.lq] != expected:
            lq_height, lq_width = sizes[pair.lq]
            faults.append(
                Fault(
                    pair.lq,
                    f"wrong scale ratio: is {lq_height}x{lq_width}, but GT {pair.gt.name} of {height}x{width} at scale "
                    f"{self.scale} asks for {expected[0]}x{expected[1]}",
                )
            )
        training = self.phase == "train"
        least, what = (self.least_size, "the crop") if training else (max(self.modcrop, least_side), "metrics need")
        if min(height - height % self.modcrop, width - width % self.modcrop) < least:
            faults.append(Fault(pair.gt, f"smaller than {what}: {height}x{width}, needed {least}x{least}"))
        return faults

    def _whole(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """LQ and GT as uint8 or uint16 (H, W, 3), GT modcropped."""
        raise NotImplementedError

    def _crop(self, pair: Pair, size: int, generator: np.random.Generator) -> tuple[np.ndarray | None, np.ndarray]:
        """A random LQ window of size x size (None: not known yet) and the GT under it."""
        raise NotImplementedError

    def _read(self, path: Path) -> np.ndarray:
        if self._cache is None:
            return read_image(path).rgb
        if path not in self._cache:
            self._cache[path] = read_image(path).rgb
        return self._cache[path]

    def _read_gt(self, path: Path) -> np.ndarray:
        gt = self._read(path)
        height, width = (side - side % self.modcrop for side in gt.shape[:2])
        return gt[:height, :width]

    @staticmethod
    def _window(height: int, width: int, size: int, generator: np.random.Generator) -> tuple[int, int]:
        if min(height, width) < size:
            raise ValueError(f"image of {height}x{width} is smaller than the crop of {size}x{size}")
        return int(generator.integers(height - size + 1)), int(generator.integers(width - size + 1))

    @staticmethod
    def _oriented(image: np.ndarray, flips: np.ndarray) -> np.ndarray:
        horizontal, vertical, transpose = flips
        image = image[:, ::-1] if horizontal else image
        image = image[::-1] if vertical else image
        return image.transpose(1, 0, 2) if transpose else image
