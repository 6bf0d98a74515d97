"""Description of an image file, and the faults that headers have in common."""

from dataclasses import dataclass

TRUNCATED = "truncated (the end of the file is missing)"


@dataclass(frozen=True)
class Header:
    """Description of an image file.

    Args:
        kind: "PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "PNM", "JPEG 2000", "AVIF", "NPY", or "RAW" in packs.
        height: as stored [pixels].
        width: as stored [pixels].
        bits: per sample as they are read, 8 or 16.
        grey: one colour channel.
        alpha: there is an alpha channel or a transparent colour.
        orientation: of the EXIF or TIFF tag, 1 to 8.
        has_more: further pictures follow (pages, frames); the first is read.
        by_pillow: Pillow decodes it: OpenCV does not know this form, or changes its colours.
    """

    kind: str
    height: int
    width: int
    bits: int = 8
    grey: bool = False
    alpha: bool = False
    orientation: int = 1
    has_more: bool = False
    by_pillow: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) as shown: orientations 5 to 8 exchange rows and columns."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)
