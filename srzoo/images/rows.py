"""Image files whose rows are decoded when they are needed."""

from pathlib import Path

from srzoo.images.png import PNGReader, reads_in_rows
from srzoo.images.tiff_reader import TIFFReader, strips_in

RowReader = PNGReader | TIFFReader


def open_rows(path: Path) -> RowReader | None:
    """Open an image file for reading by rows, as stored; None if it must be decoded whole.

    Raises:
        ValueError: damaged.
    """
    if reads_in_rows(path):
        return PNGReader(path)
    directory = strips_in(path)
    return TIFFReader(path, directory) if directory is not None else None
