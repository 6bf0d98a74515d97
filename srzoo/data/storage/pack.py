"""Packs: the images of a folder in a few large files ("shards"), as raw pixels or compressed, with an index.

Shards are memory-mapped: a crop of raw pixels reads only its own rows, and all processes of a machine share one copy in
the page cache. The form is srzoo's own; ``srzoo data pack`` writes it.
"""

import hashlib
import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from srzoo.data.listing import Fault
from srzoo.data.storage.age import Origin, age_faults
from srzoo.data.storage.journal import JOURNAL
from srzoo.data.storage.pack_index import INDEX, read_index
from srzoo.data.storage.store import ImageStore
from srzoo.images import Header, Picture, decode_image, header_of, pixels_as_picture, refuse_too_large

# Mapped pages count as memory of a process although they can be dropped at any time: they are unmapped (and stay in the
# page cache) once so much was read [bytes].
_MAPPED = 2**27


def shard_name(number: int) -> str:
    """Return the name of a shard file."""
    return f"shard-{number:05}.bin"


def is_pack(path: Path) -> bool:
    """Return True if there is a pack, finished or not, at `path`."""
    return (path / INDEX).is_file() or (path / JOURNAL).is_file()


class PackStore(ImageStore):
    """The images of a pack.

    Raises:
        ValueError: it is unfinished, damaged, or a shard is missing or truncated.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        if not (root / INDEX).is_file():
            raise ValueError(f"{root}: this pack is unfinished: run the same `srzoo data pack` again, it continues")
        self.index = read_index(root)
        for number, size in enumerate(self.index.shards):
            path = root / shard_name(number)
            found = path.stat().st_size if path.is_file() else None
            if found is None or found < size:
                state = "is missing" if found is None else f"has {found} of {size} bytes"
                raise ValueError(f"{path} {state}: copy the pack again, or pack the folder again with --overwrite")
        self._maps: dict[int, mmap.mmap] = {}
        self._read_bytes = 0

    def __reduce__(self) -> tuple[type["PackStore"], tuple[Path]]:
        return PackStore, (self.root,)  # a process that is spawned opens the files itself

    @property
    def names(self) -> Sequence[str]:
        return self.index.names

    def __contains__(self, name: object) -> bool:
        return name in self.index.names

    def key(self, name: str) -> str:
        return name if name in self.index.with_suffix else super().key(name)

    def header(self, name: str, max_pixels: int) -> Header:
        shard, channels, bits, height, width, offset, size = self._place(name)
        path = self.root / name
        if self.index.codec != "raw":
            return header_of(self._bytes(shard, offset, size), path, max_pixels)
        header = Header("RAW", height, width, bits, channels == 1)
        refuse_too_large(header, path, max_pixels)
        return header

    def read(self, name: str, max_pixels: int) -> Picture:
        shard, channels, bits, height, width, offset, size = self._place(name)
        if self.index.codec != "raw":
            return decode_image(self._bytes(shard, offset, size), self.root / name, max_pixels)
        if height * width > max_pixels:
            self.header(name, max_pixels)
        kind = np.dtype(np.uint8 if bits == 8 else "<u2")
        pixels = np.ndarray((height, width, channels), kind, self._map(shard, size), offset)  # (H, W, C)
        # Where numbers are big-endian, PyTorch takes no little-endian arrays.
        return pixels_as_picture(pixels.astype(kind.newbyteorder("="), copy=False))

    def num_bytes(self, name: str) -> int:
        return int(self.index.origins["num_bytes"][self._find(name)])

    def sha256(self, names: Sequence[str]) -> list[str]:
        digests = self.index.origins["sha256"]
        return [digests[self._find(name)].tobytes().hex() for name in names]

    def verify(self, name: str, max_pixels: int) -> None:
        shard, *_, offset, size = self._place(name)
        if hashlib.sha256(self._bytes(shard, offset, size)).hexdigest() != self._stored_digest(name):
            raise ValueError(f"{self.root / name}: damaged in {shard_name(shard)} (its checksum differs)")
        self.header(name, max_pixels)

    def faults(self) -> list[Fault]:
        """Return a fault if the folder that was packed is there and has changed since."""
        return age_faults(self.root, (self.root / self.index.source, Path(self.index.source_absolute)), self.origin)

    def origin(self, name: str) -> Origin | None:
        """Return size, time and checksum of the file that an image was made from; None for an unknown name."""
        index = self.index.names.find(name)
        if index is None:
            return None
        _, size, modified, digest = self.index.origins[index]
        return Origin(int(size), int(modified), digest.tobytes().hex())

    def _find(self, name: str) -> int:
        index = self.index.names.find(name)
        if index is None:
            raise FileNotFoundError(f"image {self.root / name} does not exist in this pack")
        return index

    def _place(self, name: str) -> tuple[int, int, int, int, int, int, int]:
        """Return the fields of :data:`PLACE`."""
        return self.index.places[self._find(name)].item()

    def _stored_digest(self, name: str) -> str:
        return self.index.origins["stored"][self._find(name)].tobytes().hex()

    def _bytes(self, shard: int, offset: int, size: int) -> bytes:
        return self._map(shard, size)[offset : offset + size]

    def _map(self, shard: int, size: int) -> mmap.mmap:
        """Return the memory map of a shard, of which `size` bytes will be read."""
        self._read_bytes += size
        if self._read_bytes > _MAPPED:
            self._read_bytes = 0
            for mapped in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)
        if shard not in self._maps:
            with (self.root / shard_name(shard)).open("rb") as file:
                self._maps[shard] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[shard]
