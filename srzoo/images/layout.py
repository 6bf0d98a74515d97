"""Description of an image file that is to be written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FileLayout:
    """Size, samples and tags of an image to write.

    Args:
        height: of the image [pixels].
        width: of the image [pixels].
        channels: 1 grey, 2 grey with alpha, 3 RGB, 4 RGB with alpha.
        bits: per sample, 8 or 16.
        profile: ICC profile; None: none.
        dpi: resolution (horizontal, vertical) [pixels per inch]; None: not stated.
    """

    height: int
    width: int
    channels: int
    bits: int = 8
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def alpha(self) -> bool:
        """True if the last channel is alpha."""
        return self.channels in (2, 4)

    @property
    def row_bytes(self) -> int:
        """Size of a row without compression [bytes]."""
        return self.width * self.channels * self.bits // 8
