"""Tags of TIFF files; EXIF blocks in other files are small TIFF files too.

Written from TIFF Revision 6.0 (Adobe, 1992) and the BigTIFF extension (64-bit offsets).
"""

import contextlib
import struct
from typing import BinaryIO, NamedTuple

ORIENTATION = 0x0112

# struct letters of the integer types: BYTE, SHORT, LONG, LONG8. Other types are left out.
_LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


class Tag(NamedTuple):
    """Integer values of a tag, and the place of the first in the file [bytes]."""

    values: tuple[int, ...]
    offset: int


class Directory(NamedTuple):
    """First directory of a TIFF file: its integer tags by number, the byte order, and if another picture follows."""

    tags: dict[int, Tag]
    order: str  # "<" or ">", as in struct
    has_next: bool

    def first(self, number: int, default: int) -> int:
        """Return the first value of a tag."""
        tag = self.tags.get(number)
        return tag.values[0] if tag is not None and tag.values else default

    @property
    def orientation(self) -> int:
        """Orientation, 1 to 8; 1 (as stored) if it is missing or senseless."""
        value = self.first(ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1


def read_directory(file: BinaryIO, size: int) -> Directory:
    """Read the first directory of a TIFF file or EXIF block that begins at the start of `file`.

    Args:
        file: a file open for reading.
        size: its length, which bounds what a damaged tag may ask for [bytes].

    Raises:
        ValueError: not a TIFF file, or its directory lies beyond the end.
    """
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 16:
        raise ValueError("not a TIFF file")
    big = struct.unpack(order + "H", start[2:4])[0] == 43
    # Classic files have 32-bit offsets and 16-bit counts of entries, big ones 64 bits for both.
    pointer, counter, entry_size = (order + "Q", order + "Q", 20) if big else (order + "I", order + "H", 12)
    pointer_size = struct.calcsize(pointer)

    def unpack(position: int, layout: str) -> tuple[int, ...]:
        if position + struct.calcsize(layout) > size:
            raise ValueError("truncated (its directory lies beyond the end of the file)")
        file.seek(position)
        return struct.unpack(layout, file.read(struct.calcsize(layout)))

    (position,) = struct.unpack_from(pointer, start, 8 if big else 4)
    (count,) = unpack(position, counter)
    position += struct.calcsize(counter)
    end = position + count * entry_size
    tags: dict[int, Tag] = {}
    for entry in range(position, min(end, size), entry_size):
        number, kind, length = unpack(entry, order + "HH" + pointer[1])
        # More values than the file has bytes: a damaged tag.
        if kind not in _LETTERS or length > size:
            continue
        # Values that fit into the entry lie in it, others elsewhere in the file.
        place, layout = entry + entry_size - pointer_size, f"{order}{length}{_LETTERS[kind]}"
        if struct.calcsize(layout) > pointer_size:
            (place,) = unpack(place, pointer)
        # A damaged tag is left out: programs read the pictures of files with broken private tags.
        with contextlib.suppress(ValueError):
            tags[number] = Tag(unpack(place, layout), place)
    # Some writers of EXIF leave out the pointer to the next directory.
    has_next = end + pointer_size <= size and unpack(end, pointer) != (0,)
    return Directory(tags, order, has_next)
