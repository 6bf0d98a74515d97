"""Stores of images behind one interface: folders of files, packs and LMDB databases, each named by its path."""

from srzoo.data.storage.opened import (
    content_hashes,
    image_exists,
    num_bytes,
    open_store,
    profile_of,
    read_header,
    read_image,
    same_content,
    same_place,
    store_faults,
    verify_image,
)
from srzoo.data.storage.store import ImageStore

__all__ = [
    "ImageStore",
    "content_hashes",
    "image_exists",
    "num_bytes",
    "open_store",
    "profile_of",
    "read_header",
    "read_image",
    "same_content",
    "same_place",
    "store_faults",
    "verify_image",
]
