"""Limits of option files: far above every real file, and low enough that a file beyond them is refused at once.

Files are written by people, by sweeps and by other programs; ten lines can describe millions of values by mistake or by
malice: anchors of anchors, bases that inherit from each other's bases, lists of thousands of entries.
"""

from collections.abc import Sized
from dataclasses import dataclass

# Of all files of one loading together [bytes].
MAX_BYTES = 1024 * 1024
# Of all files of one loading together, with anchors written out wherever they are used.
MAX_VALUES = 40_000
# That pass from bases to the files that inherit from them, and from a chain to its stages.
MAX_INHERITED = 25_000
MAX_STAGES = 100
# Of a study.
MAX_VARIANTS = 100
MAX_SEEDS = 100
# Mappings and lists inside each other.
MAX_DEPTH = 32
# A file, its base, the base of its base, and so on.
MAX_LEVELS = 16
# Faults that a message lists; OptionsError.faults has all.
MAX_LISTED = 20
# Of each part of a fault: location, option, message.
MAX_CHARACTERS = 1000


class LimitExceeded(ValueError):
    """An option file is beyond a limit; the message says which, and `location` where, if that is known."""

    location = ""


@dataclass
class Budget:
    """Bytes and values that the files of one loading have used up."""

    bytes: int = 0
    values: int = 0
    inherited: int = 0

    def add_bytes(self, number: int) -> None:
        """Count the size of a file that is about to be read.

        Raises:
            LimitExceeded: all files together are too large.
        """
        self.bytes += number
        if self.bytes > MAX_BYTES:
            raise LimitExceeded(
                f"expected at most {MAX_BYTES:,} bytes in an option file with its bases, got {self.bytes:,}"
            )

    def add_value(self) -> None:
        """Count a value that is about to be read.

        Raises:
            LimitExceeded: there are too many.
        """
        self.values += 1
        if self.values > MAX_VALUES:
            raise LimitExceeded(f"expected at most {MAX_VALUES:,} values, with anchors written out, got more")

    def add_inherited(self, number: int) -> None:
        """Count values that are about to be inherited.

        Raises:
            LimitExceeded: there are too many.
        """
        self.inherited += number
        if self.inherited > MAX_INHERITED:
            raise LimitExceeded(f"expected at most {MAX_INHERITED:,} values in all bases and stages together, got more")


def check_depth(path: Sized) -> None:
    """Check the depth of a value.

    Raises:
        LimitExceeded: the value lies too deep.
    """
    if len(path) > MAX_DEPTH:
        raise LimitExceeded(f"expected at most {MAX_DEPTH} mappings and lists inside each other, got more")


def shortened(text: str, characters: int = 80) -> str:
    """Return a text of at most about this length: its beginning and its end, if it is longer."""
    if len(text) <= characters:
        return text
    return f"{text[: characters // 2]}...{text[-characters // 4 :]} ({len(text):,} characters)"
