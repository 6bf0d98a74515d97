"""PNG files written and read in bands of rows, for images that do not fit into memory.

Written from PNG (W3C, 3rd edition).
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from srzoo.images.band_codec import decode_band
from srzoo.images.header import TRUNCATED
from srzoo.images.layout import FileLayout
from srzoo.images.profiles import profile_content

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Number of channels -> colour type: grey, grey with alpha, RGB, RGB with alpha; and back, as far as rows are read.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_CHANNELS = {0: 1, 2: 3}
# Filters of a row: none, or the difference to the row above.
_NONE, _UP = 0, 2
# Speed before size, as OpenCV does: a level of 6 takes three times as long for files that are a tenth smaller.
_LEVEL = 3
_PART = 1 << 20  # of a stream [bytes]


class PNGWriter:
    """PNG file that grows band by band.

    Args:
        file: open for writing, at its start.
        layout: of the image.
    """

    def __init__(self, file: BinaryIO, layout: FileLayout) -> None:
        self._file, self._layout = file, layout
        self._compress = zlib.compressobj(_LEVEL)
        self._above = np.zeros(layout.row_bytes, np.uint8)  # the row before the first one counts as zeros
        file.write(SIGNATURE)
        header = struct.pack(
            ">IIBBBBB", layout.width, layout.height, layout.bits, _COLOUR_TYPES[layout.channels], 0, 0, 0
        )
        self._chunk(b"IHDR", header)
        if layout.profile is not None:
            self._chunk(b"iCCP", profile_content(layout.profile))
        if layout.dpi is not None:
            per_metre = [round(value / 0.0254) for value in layout.dpi]
            self._chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))

    def write(self, band: np.ndarray) -> None:
        """Append rows: (rows, W, C)."""
        # Samples of 16 bits are big-endian.
        rows = np.ascontiguousarray(band.astype(band.dtype.newbyteorder(">"), copy=False)).view(np.uint8)
        rows = rows.reshape(len(band), -1)  # (rows, bytes)
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(rows[0], self._above, out=filtered[0, 1:])  # modulo 256, as the format wants
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        self._above = rows[-1].copy()
        self._data(self._compress.compress(filtered.data))

    def finish(self) -> None:
        """Write the end of the file."""
        self._data(self._compress.flush())
        self._chunk(b"IEND", b"")

    def _data(self, content: bytes) -> None:
        # A chunk holds at most 2^31 - 1 bytes.
        for start in range(0, len(content), 1 << 30):
            self._chunk(b"IDAT", content[start : start + (1 << 30)])

    def _chunk(self, name: bytes, content: bytes) -> None:
        self._file.write(_chunk(name, content))


class PNGReader:
    """Rows of a PNG file, decoded from top to bottom as they are asked for; see :func:`reads_in_rows`.

    The stream is unpacked here; a codec undoes the rows' filters, from a small PNG file in memory for each band.

    Args:
        path: the file.

    Raises:
        ValueError: damaged, as all methods do; names the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._file.seek(len(SIGNATURE))
        self._unpack = zlib.decompressobj()
        self._unpacked = bytearray()
        self._above = b""  # the row before the next one, without its filter
        self._name, self._left, self._checksum = b"", 0, 0
        header = b""
        while self._next_chunk() != b"IDAT":
            content = self._block(self._left)
            self._finish_chunk()
            header = content if self._name == b"IHDR" else header
        self.width, self.height, self._bits, self._colour = struct.unpack(">IIBB", header[:10])
        self._row_bytes = self.width * _CHANNELS[self._colour] * self._bits // 8
        self._remaining = self.height

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, rows: int) -> np.ndarray:
        """Decode the next rows: (rows, W, 3) RGB, uint8 or uint16; grey is repeated."""
        size = rows * (self._row_bytes + 1)  # a row begins with the number of its filter
        self._remaining -= rows
        # After the last row comes the checksum of the stream.
        while len(self._unpacked) < size or (self._remaining == 0 and not self._unpack.eof):
            self._unpack_more()
        if self._remaining == 0:
            self._finish_chunk(skip=self._left)
        content = bytes(self._unpacked[:size])
        del self._unpacked[:size]
        # The row above comes first, without a filter: the filters of the next row refer to it.
        first = bytes([_NONE]) + self._above if self._above else b""
        height = rows + bool(first)
        small = SIGNATURE + _chunk(
            b"IHDR", struct.pack(">IIBBBBB", self.width, height, self._bits, self._colour, 0, 0, 0)
        )
        small += _chunk(b"IDAT", zlib.compress(first + content, 0)) + _chunk(b"IEND", b"")
        rgb = decode_band(self._path, small, (height, self.width))
        last = rgb[-1] if self._colour == 2 else rgb[-1, :, 0]
        self._above = last.astype(last.dtype.newbyteorder(">")).tobytes()
        return rgb[bool(first) :]

    def _unpack_more(self) -> None:
        packed = self._unpack.unconsumed_tail
        while not packed and self._left == 0:
            self._finish_chunk()
            if self._next_chunk() != b"IDAT":
                raise ValueError(f"{self._path}: {TRUNCATED}")
        try:
            # A part at a time, because little may unpack to much.
            packed = packed or self._block(min(self._left, _PART))
            self._unpacked += self._unpack.decompress(packed, _PART)
        except zlib.error as error:
            raise ValueError(f"{self._path}: cannot be decoded ({error})") from error

    def _next_chunk(self) -> bytes:
        self._left, self._name = struct.unpack(">I4s", self._exactly(8))
        self._checksum = zlib.crc32(self._name)
        return self._name

    def _block(self, size: int) -> bytes:
        """Read some bytes of the content of the current chunk."""
        block = self._exactly(size)
        self._checksum = zlib.crc32(block, self._checksum)
        self._left -= size
        return block

    def _finish_chunk(self, skip: int = 0) -> None:
        self._block(skip)
        if struct.unpack(">I", self._exactly(4)) != (self._checksum,):
            raise ValueError(
                f"{self._path}: cannot be decoded (wrong checksum of {self._name.decode(errors='replace')})"
            )

    def _exactly(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) != size:
            raise ValueError(f"{self._path}: {TRUNCATED}")
        return content


def reads_in_rows(path: Path) -> bool:
    """Return True for PNG files that :class:`PNGReader` reads: grey or RGB of 8 or 16 bits, not interlaced."""
    with path.open("rb") as file:
        start = file.read(29)
    return start[:8] == SIGNATURE and start[24] >= 8 and start[25] in (0, 2) and start[28] == 0


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
