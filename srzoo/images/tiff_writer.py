"""TIFF files written in bands of rows, for images that do not fit into memory.

Written from TIFF Revision 6.0 (Adobe, 1992), its Technical Notes (Deflate; horizontal differencing of 16-bit samples)
and the BigTIFF extension.
"""

import struct
import zlib
from typing import BinaryIO

import numpy as np

from srzoo.images.layout import FileLayout

# Offsets in classic files have 32 bits.
_CLASSIC_BYTES = 4_000_000_000
_STRIP_BYTES = 1 << 20
_LEVEL = 3
# TIFF's types.
_BYTES, SHORT, LONG, _RATIONAL, _LONG8 = 7, 3, 4, 5, 16
_LETTERS = {SHORT: "H", LONG: "I", _LONG8: "Q"}
# Number, type, values.
TagToWrite = tuple[int, int, list[int] | bytes]


class TIFFWriter:
    """TIFF file that grows band by band: one page, strips packed by Deflate, little-endian.

    Args:
        file: open for writing, at its start.
        layout: of the image.
    """

    def __init__(self, file: BinaryIO, layout: FileLayout) -> None:
        self._file, self._layout = file, layout
        self._big = layout.height * layout.row_bytes > _CLASSIC_BYTES
        # The place of the directory is filled in at the end.
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if self._big else struct.pack("<2sHI", b"II", 42, 0))
        self._strip_rows = max(_STRIP_BYTES // layout.row_bytes, 1)
        self._waiting: list[np.ndarray] = []  # rows that do not fill a strip yet
        self._offsets: list[int] = []
        self._sizes: list[int] = []

    def write(self, band: np.ndarray) -> None:
        """Append rows: (rows, W, C)."""
        rows = np.concatenate([*self._waiting, band]) if self._waiting else band
        whole = len(rows) // self._strip_rows * self._strip_rows
        for top in range(0, whole, self._strip_rows):
            self._strip(rows[top : top + self._strip_rows])
        self._waiting = [rows[whole:].copy()] if whole < len(rows) else []

    def finish(self) -> None:
        """Write the last strip and the directory."""
        if self._waiting:
            self._strip(self._waiting[0])
        place = self._directory()
        self._file.seek(8 if self._big else 4)
        self._file.write(struct.pack("<Q" if self._big else "<I", place))

    def _strip(self, rows: np.ndarray) -> None:
        # Predictor 2: differences to the pixel on the left, modulo the largest sample.
        differences = rows.astype(rows.dtype.newbyteorder("<"))  # a copy
        differences[:, 1:] -= rows[:, :-1]
        content = zlib.compress(differences.tobytes(), _LEVEL)
        self._offsets.append(self._file.tell())
        self._sizes.append(len(content))
        self._file.write(content)

    def _directory(self) -> int:
        """Write all tags; return the place of the directory."""
        layout, offset = self._layout, _LONG8 if self._big else LONG
        tags: list[TagToWrite] = [
            (256, LONG, [layout.width]),
            (257, LONG, [layout.height]),
            (258, SHORT, [layout.bits] * layout.channels),
            (259, SHORT, [8]),  # Deflate
            (262, SHORT, [2 if layout.channels >= 3 else 1]),  # RGB, or grey with black as 0
            (273, offset, self._offsets),
            (277, SHORT, [layout.channels]),
            (278, LONG, [self._strip_rows]),
            (279, offset, self._sizes),
            (284, SHORT, [1]),  # the channels of a pixel lie together
            (317, SHORT, [2]),  # predictor
        ]
        if layout.dpi is not None:
            numbers = [(round(value * 10_000), 10_000) for value in layout.dpi]
            tags += [
                (tag, _RATIONAL, struct.pack("<II", *number)) for tag, number in zip((282, 283), numbers, strict=True)
            ]
            tags.append((296, SHORT, [2]))  # per inch
        if layout.alpha:
            tags.append((338, SHORT, [2]))  # alpha that is not multiplied into the colours
        if layout.profile is not None:
            tags.append((34675, _BYTES, layout.profile))
        return write_directory(self._file, tags, self._big)


def write_directory(file: BinaryIO, tags: list[TagToWrite], big: bool = False) -> int:
    """Write the directory of a TIFF file, the only one, at the end of what is there; return its place."""
    pointer = "Q" if big else "I"
    inline = struct.calcsize(pointer)
    entries = b""
    for number, kind, values in sorted(tags):
        if isinstance(values, bytes):
            content, count = values, 1 if kind == _RATIONAL else len(values)
        else:
            content, count = struct.pack(f"<{len(values)}{_LETTERS[kind]}", *values), len(values)
        if len(content) > inline:
            # Values that do not fit into the entry lie before the directory, at even places.
            file.write(b"\0" * (file.tell() % 2))
            place = file.tell()
            file.write(content)
            content = struct.pack("<" + pointer, place)
        entries += struct.pack("<HH" + pointer, number, kind, count) + content.ljust(inline, b"\0")
    file.write(b"\0" * (file.tell() % 2))
    place = file.tell()
    file.write(struct.pack("<Q" if big else "<H", len(tags)) + entries + struct.pack("<" + pointer, 0))
    return place
