"""The interface of all stores: images under one path, by name."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from srzoo.data.listing import Fault
from srzoo.data.names import without_suffix
from srzoo.images import Header, Picture


class ImageStore(ABC):
    """Images under one path, by name: the path below `root` with suffix, such as "a/0001.png".

    An image has the address ``root / name`` everywhere outside, in lists and messages too, whether there is a file at
    that path or not.

    Args:
        root: path of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Names of all images, sorted as the paths of files are."""

    @abstractmethod
    def __contains__(self, name: object) -> bool:
        """Return True if there is an image of this name."""

    @abstractmethod
    def header(self, name: str, max_pixels: int) -> Header:
        """Return kind, size, depth and channels of an image without decoding it.

        Raises:
            FileNotFoundError: there is no such image.
            ValueError: it is damaged, not an image, or larger than `max_pixels`; names the image.
        """

    @abstractmethod
    def read(self, name: str, max_pixels: int) -> Picture:
        """Return an image; where pixels are stored raw, a crop of the result reads only its bytes.

        Raises:
            FileNotFoundError, ValueError: as in :meth:`header`.
        """

    @abstractmethod
    def num_bytes(self, name: str) -> int:
        """Return the size of the file that an image is or was made from [bytes]."""

    @abstractmethod
    def sha256(self, names: Sequence[str]) -> list[str]:
        """Return the checksums of the files that images are or were made from."""

    def key(self, name: str) -> str:
        """Return the name of an image in results: without suffix, unless another one differs by its suffix alone."""
        return without_suffix(name)

    def listed(self, name: str) -> tuple[tuple[int, int] | None, str]:
        """Return the (H, W) that a list of the store states for an image, and the place: file and line."""
        del name
        return None, ""

    def colour_profile(self, name: str, num_channels: int) -> bytes | None:
        """Return the ICC profile of an image, if the store keeps one for 1 or 3 colour channels."""
        del name, num_channels
        return None

    def verify(self, name: str, max_pixels: int) -> None:
        """Read an image whole, and compare it with its checksum where there is one.

        Raises:
            FileNotFoundError, ValueError: as in :meth:`header`, or the checksum differs.
        """
        self.read(name, max_pixels)

    def faults(self) -> list[Fault]:
        """Return the faults of the store as a whole."""
        return []
