"""Keys of samples, and the files that are named after them."""

import re
from pathlib import Path

# End of the keys of the sub-images that `srzoo data subimages` and BasicSR's script cut from an image: NAME_s001, ...
SUB_IMAGE = r"_s\d{3,}$"
_SUB_IMAGE = re.compile(SUB_IMAGE)


def image_of(key: str) -> str:
    """Return the key of the image that a sub-image was cut from; that of any other image is its own."""
    return _SUB_IMAGE.sub("", key)


def file_of(folder: Path, key: str, suffix: str) -> Path:
    """Return the file ``folder/<key><suffix>``; all writers of files named after keys take their paths from here.

    Args:
        folder: where to write.
        key: name of a sample, dataset or run; slashes make sub-folders.
        suffix: of the file, with its dot; empty for a folder.

    Raises:
        ValueError: the file would lie outside `folder`.
    """
    parts = key.split("/")
    # A key that begins or ends with a slash, or has two in a row, has an empty part.
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError(f"{key!r} names no file below {folder}; expected a relative path without '..': rename it")
    return folder.joinpath(*parts[:-1], parts[-1] + suffix)
