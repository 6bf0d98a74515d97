"""Index of a pack: names, places, sizes and checksums of its images in one file, of which only what is used is read.

The file ``index.srzoo`` of a pack begins with a magic word, the length and the SHA-256 of a description (JSON), and the
description, which names the sections that follow, each an array with its own SHA-256. Numbers are little-endian,
whatever machine wrote them. The sections read on opening take about 60 bytes per image; checksums of contents lie in a
section that is read when they are asked for.
"""

import functools
import hashlib
import json
import mmap
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from srzoo.atomic import write_atomic
from srzoo.data.names import Names

INDEX = "index.srzoo"
_MAGIC = b"SRZPACK\n"
_VERSION = 1
_ALIGNMENT = 64
# Magic word, length of the description, its SHA-256.
_START = struct.Struct("<8sI32s")

# Place of an image: shard file, offset and size of its bytes in it; its pixels (H, W, channels).
PLACE = np.dtype(
    [
        ("shard", "<u4"),
        ("channels", "u1"),
        ("bits", "u1"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("offset", "<u8"),
        ("num_bytes", "<u8"),
    ]
)
# Checksum of the stored bytes; size, modification time [ns] and checksum of the file they were made from.
ORIGIN = np.dtype([("stored", "u1", 32), ("num_bytes", "<u8"), ("modified", "<i8"), ("sha256", "u1", 32)])


@dataclass(frozen=True)
class PackIndex:
    """An opened index.

    Args:
        names: of the images.
        places: (N,) of :data:`PLACE`.
        codec: "raw", "png" or "webp".
        with_suffix: names whose suffixes belong to their keys.
        shards: size of each shard file [bytes].
        source: path of the folder that was packed, relative to the pack.
        source_absolute: the same, absolute.
    """

    names: Names
    places: np.ndarray
    codec: str
    with_suffix: frozenset[str]
    shards: tuple[int, ...]
    source: str
    source_absolute: str
    _origins: tuple[memoryview, str, Path]

    @functools.cached_property
    def origins(self) -> np.ndarray:
        """Checksums and sources, (N,) of :data:`ORIGIN`.

        Raises:
            ValueError: this part of the index is damaged.
        """
        content, digest, path = self._origins
        _compare(content, digest, path)
        return np.frombuffer(content, ORIGIN)


def write_index(
    folder: Path,
    *,
    names: Sequence[str],
    places: np.ndarray,
    origins: np.ndarray,
    facts: Mapping[str, object],
) -> None:
    """Write the index of a pack, whole or not at all.

    Args:
        folder: of the pack.
        names: sorted as paths are.
        places: (N,) of :data:`PLACE`.
        origins: (N,) of :data:`ORIGIN`.
        facts: codec, shards, source, source_absolute and with_suffix, as in :class:`PackIndex`.
    """
    encoded = [os.fsencode(name) for name in names]
    ends = np.cumsum([len(name) for name in encoded], dtype="<u8")
    contents = {
        "names": b"".join(encoded),
        "ends": ends.tobytes(),
        "places": places.tobytes(),
        "origins": origins.tobytes(),
    }
    sections, position = {}, 0
    for name, content in contents.items():
        sections[name] = [position, len(content), hashlib.sha256(content).hexdigest()]
        position += _padded(len(content))
    head = {"version": _VERSION, "byte_order": "little", "count": len(names), "sections": sections, **facts}
    description = json.dumps(head).encode()

    def write(file: BinaryIO) -> None:
        start = _START.pack(_MAGIC, len(description), hashlib.sha256(description).digest()) + description
        file.write(start.ljust(_padded(len(start)), b"\0"))
        for content in contents.values():
            file.write(content.ljust(_padded(len(content)), b"\0"))

    write_atomic(folder / INDEX, write)


def read_index(folder: Path) -> PackIndex:
    """Open the index of a pack; its sections stay in the file until they are used.

    Raises:
        ValueError: damaged, or written by another version or in another byte order.
    """
    path = folder / INDEX
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _START.size:
            raise ValueError(f"{path}: the index of this pack is truncated: pack the folder again with --overwrite")
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    magic, length, digest = _START.unpack_from(content)
    if magic != _MAGIC:
        raise ValueError(f"{path}: not the index of a pack")
    description = content[_START.size : _START.size + length]
    _compare(description, digest.hex(), path)
    head = json.loads(bytes(description))
    if head["version"] != _VERSION or head["byte_order"] != "little":
        raise ValueError(
            f"{path}: expected a pack of version {_VERSION} with little-endian numbers, got version {head['version']}, "
            f"{head['byte_order']}-endian: pack the folder again with this program"
        )
    base = _padded(_START.size + length)
    parts = {name: (content[base + at : base + at + size], sha) for name, (at, size, sha) in head["sections"].items()}
    for name in ("names", "ends", "places"):
        _compare(*parts[name], path)
    return PackIndex(
        names=Names(np.frombuffer(parts["names"][0], np.uint8), np.frombuffer(parts["ends"][0], "<u8")),
        places=np.frombuffer(parts["places"][0], PLACE),
        codec=head["codec"],
        with_suffix=frozenset(head["with_suffix"]),
        shards=tuple(head["shards"]),
        source=head["source"],
        source_absolute=head["source_absolute"],
        _origins=(*parts["origins"], path),
    )


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _compare(content: memoryview, digest: str, path: Path) -> None:
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(
            f"{path}: the index of this pack is damaged (its checksum differs): copy the pack again, or pack the "
            "folder again with --overwrite"
        )
