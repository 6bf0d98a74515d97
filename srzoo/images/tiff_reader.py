"""TIFF files read in bands of rows, for images that do not fit into memory."""

import io
import struct
from pathlib import Path

import numpy as np

from srzoo.images.band_codec import decode_band
from srzoo.images.header import TRUNCATED
from srzoo.images.tags import Directory, read_directory
from srzoo.images.tiff_writer import LONG, SHORT, write_directory

# Tags of a strip that a codec needs: bits, compression, photometric interpretation, channels, predictor.
_COPIED = (258, 259, 262, 277, 317)
_HEIGHT, _WIDTH, _STRIPS, _SIZES, _ROWS_PER_STRIP = 257, 256, 273, 279, 278
# None, LZW, Deflate (two numbers), PackBits: each strip is packed for itself.
_PACKINGS = (1, 5, 8, 32946, 32773)
# Strips of more rows than this save little memory [pixels].
_MAX_STRIP = 1 << 25


class TIFFReader:
    """Rows of a TIFF file, decoded from top to bottom as they are asked for; see :func:`strips_in`.

    A codec decodes each strip, from a small TIFF file in memory.

    Args:
        path: the file, for which :func:`strips_in` returned a directory.
        directory: its directory.

    Raises:
        ValueError: damaged, as all methods do; names the file.
    """

    def __init__(self, path: Path, directory: Directory) -> None:
        self._path, self._directory = path, directory
        self._file = path.open("rb")
        self.height, self.width = directory.first(_HEIGHT, 0), directory.first(_WIDTH, 0)
        self._strip_rows = directory.first(_ROWS_PER_STRIP, self.height)
        self._next_strip = 0
        self._waiting: list[np.ndarray] = []

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, rows: int) -> np.ndarray:
        """Decode the next rows: (rows, W, 3) RGB, uint8 or uint16; grey is repeated."""
        while sum(map(len, self._waiting)) < rows:
            self._waiting.append(self._decode_strip())
        joined = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting = [joined[rows:]]
        return joined[:rows]

    def _decode_strip(self) -> np.ndarray:
        number, tags = self._next_strip, self._directory.tags
        self._next_strip += 1
        rows = min(self._strip_rows, self.height - number * self._strip_rows)
        size = tags[_SIZES].values[number]
        self._file.seek(tags[_STRIPS].values[number])
        strip = self._file.read(size)
        if len(strip) != size:
            raise ValueError(f"{self._path}: {TRUNCATED}")
        small = io.BytesIO()
        small.write(struct.pack("<2sHI", b"II", 42, 0) + strip)
        described = [
            (_HEIGHT, [rows]),
            (_WIDTH, [self.width]),
            (_STRIPS, [8]),
            (_SIZES, [size]),
            (_ROWS_PER_STRIP, [rows]),
        ]
        place = write_directory(
            small,
            [
                *((tag, LONG, values) for tag, values in described),
                *((tag, SHORT, list(tags[tag].values)) for tag in _COPIED if tag in tags),
            ],
        )
        small.seek(4)
        small.write(struct.pack("<I", place))
        return decode_band(self._path, small.getbuffer(), (rows, self.width))


def strips_in(path: Path) -> Directory | None:
    """Return the directory of a TIFF file that :class:`TIFFReader` reads; None for other files.

    Read are grey and RGB of 8 or 16 bits (these little-endian) without alpha, in strips that are packed one by one.
    """
    with path.open("rb") as file:
        try:
            directory = read_directory(file, path.stat().st_size)
        except ValueError:
            return None
    bits = directory.tags.get(258)
    depths = set(bits.values) if bits is not None else {1}
    samples, photometric = directory.first(277, 1), directory.first(262, -1)
    rows = min(directory.first(_ROWS_PER_STRIP, 2**32 - 1), directory.first(_HEIGHT, 0))
    fits = (
        depths in ({8}, {16})
        and (depths == {8} or directory.order == "<")
        and (samples, photometric) in ((1, 1), (3, 2))
        and directory.first(339, 1) == 1  # unsigned integers
        and directory.first(284, 1) == 1  # the channels of a pixel lie together
        and directory.first(266, 1) == 1  # bits in the usual order
        and directory.first(259, 1) in _PACKINGS
        and {_STRIPS, _SIZES} <= directory.tags.keys()
        and len(directory.tags[_STRIPS].values)
        == len(directory.tags[_SIZES].values)
        == -(-directory.first(_HEIGHT, 0) // max(rows, 1))
        and rows * directory.first(_WIDTH, 0) <= _MAX_STRIP
    )
    return directory if fits else None
