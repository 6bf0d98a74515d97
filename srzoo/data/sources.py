"""Several sources of training images as one list: their pairs, and how often an epoch uses each."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

from srzoo.data.listing import ImageFile, Mapped, Pair


class SourcePairs(Sequence[Pair]):
    """The images of several sources, one source after the other, with keys SOURCE/NAME.

    Args:
        sources: (name, images) of each.
    """

    def __init__(self, sources: Sequence[tuple[str, Sequence[ImageFile]]]) -> None:
        self._sources = sources
        self._ends = list(accumulate(len(images) for _, images in sources))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...

    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(index, slice):
            return Mapped(range(*index.indices(len(self))), self.__getitem__)
        index = range(len(self))[index]
        number = bisect_right(self._ends, index)
        name, images = self._sources[number]
        image = images[index - self._ends[number] + len(images)]
        return Pair(f"{name}/{image.key}", image.path, None, image.size, image.listed)


def num_samples(num_images: int, weight: float) -> int:
    """Return the number of samples of a source in an epoch."""
    times, fraction = divmod(weight, 1)
    return num_images * int(times) + round(fraction * num_images)


class WeightedCandidates(Sequence[range]):
    """The pairs that each sample of an epoch may be.

    The whole part of a weight repeats each image; the fraction adds samples that may be any image of the source.

    Args:
        sources: (number of images, weight) of each.
    """

    def __init__(self, sources: Sequence[tuple[int, float]]) -> None:
        self._sources = sources
        self._images = list(accumulate((number for number, _ in sources), initial=0))
        self._samples = list(accumulate((num_samples(*source) for source in sources), initial=0))

    def __len__(self) -> int:
        return self._samples[-1]

    @overload
    def __getitem__(self, index: int) -> range: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[range]: ...

    def __getitem__(self, index: int | slice) -> range | Sequence[range]:
        if isinstance(index, slice):
            return Mapped(range(*index.indices(len(self))), self.__getitem__)
        index = range(len(self))[index]
        source = bisect_right(self._samples, index) - 1
        (number, weight), first = self._sources[source], self._images[source]
        position, times = index - self._samples[source], int(weight)
        if position < number * times:
            image = first + position // times
            return range(image, image + 1)
        return range(first, first + number)
