"""Headers of TIFF files: the forms that are read without loss, and the faults of all others."""

from typing import BinaryIO

import numpy as np

from srzoo.images.header import TRUNCATED, Header
from srzoo.images.tags import Directory, read_directory


def read_tiff(file: BinaryIO, size: int) -> Header:
    """Read the first directory of a TIFF file, which describes its first page."""
    directory = read_directory(file, size)
    bits_tag = directory.tags.get(258)
    bits = bits_tag.values if bits_tag is not None else (1,)
    kind = directory.first(339, 1)  # sample format: 1 unsigned, 2 signed, 3 float, 4 undefined
    samples, photometric = directory.first(277, 1), directory.first(262, 1)
    extra = directory.tags.get(338)
    colours = {2: 3, 5: 4, 6: 3, 8: 3}.get(photometric, 1)  # RGB, CMYK, YCbCr, Lab; else grey or palette
    # An extra channel without a stated meaning is alpha to most programs.
    alpha = samples > colours if extra is None else len(extra.values) > 0
    plain = photometric in (1, 2) and bits[0] in (8, 16) and directory.first(284, 1) == 1
    # Floats in [0, 1], as scientific programs write them, are read as 16 bits.
    floats = kind == 3 and set(bits) == {32} and photometric in (1, 2) and samples == colours
    if floats:
        _refuse_missing_strips(directory, size)
        grey = photometric == 1
        tags = (directory.orientation, directory.has_next)
        return Header("TIFF", directory.first(257, 0), directory.first(256, 0), 16, grey, False, *tags)
    if kind not in (1, 4) or bits[0] > 16 or len(set(bits)) > 1:
        name = {2: "signed", 3: "float"}.get(kind, "unsigned")
        raise ValueError(
            f"TIFF of {name} samples of {'/'.join(map(str, sorted(set(bits))))} bits; expected unsigned samples of 8 "
            "or 16 bits, or grey or RGB of 32-bit floats in [0, 1]: convert it"
        )
    if samples not in (colours, colours + 1):
        raise ValueError(f"TIFF of {samples} channels; expected grey, RGB or CMYK, with alpha or without: convert it")
    if bits[0] not in (1, 2, 4, 8, 16) or (bits[0] == 16 and not plain) or (bits[0] == 16 and samples == 2):
        raise ValueError(
            f"TIFF of {bits[0]} bits, {samples} channels and photometric interpretation {photometric}, which no "
            "decoder here reads without loss: convert it to PNG"
        )
    _refuse_missing_strips(directory, size)
    return Header(
        "TIFF",
        directory.first(257, 0),
        directory.first(256, 0),
        max(bits[0], 8),
        photometric in (0, 1),
        alpha,
        directory.orientation,
        directory.has_next,
        # OpenCV mixes 8-bit alpha into the colours, and takes CMYK for RGB with alpha.
        by_pillow=not plain or (alpha and bits[0] == 8),
    )


def _refuse_missing_strips(directory: Directory, size: int) -> None:
    """Raise ValueError if strips or tiles lie beyond the end of the file; decoders would leave them black."""
    for offsets, counts in ((273, 279), (324, 325)):  # strips, tiles
        if offsets in directory.tags and counts in directory.tags:
            places = np.array(directory.tags[offsets].values, np.uint64)
            lengths = np.array(directory.tags[counts].values[: len(places)], np.uint64)
            if len(places) == len(lengths) and (places + lengths > size).any():
                raise ValueError(TRUNCATED)
