"""The way from an image file to the bytes that a store keeps."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from srzoo.data.parallel import num_workers, parallel
from srzoo.data.storage.journal import Written
from srzoo.images import MAX_PIXELS, decode_image, encode_image, header_of

# raw: pixels as decoded; png, webp: compressed without loss. Files of that kind are kept as they are.
Codec = Literal["raw", "png", "webp"]
CODECS: tuple[Codec, ...] = get_args(Codec)
_KINDS = {"png": "PNG", "webp": "WebP"}
# Fewer images are encoded before worker processes have started.
_WORTH_WORKERS = 64


class Encoded(NamedTuple):
    """Bytes to store and facts about an image, as in :class:`~srzoo.data.storage.journal.Written`; or its fault."""

    name: str
    fault: str = ""
    content: bytes = b""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    bits: int = 0
    source_bytes: int = 0
    modified: int = 0
    sha256: str = ""


def written(image: Encoded, shard: int = 0, offset: int = 0) -> Written:
    """Return the journal's entry of an image that is stored at `offset` of a shard."""
    return Written(
        image.name,
        shard,
        offset,
        len(image.content),
        *image.size,
        image.channels,
        image.bits,
        hashlib.sha256(image.content).hexdigest(),
        image.source_bytes,
        image.modified,
        image.sha256,
    )


class ToEncode(NamedTuple):
    """A file to encode."""

    name: str
    file: Path
    codec: Codec
    max_pixels: int = MAX_PIXELS


def encode(job: ToEncode) -> Encoded:
    """Read and encode one file; a file that cannot be used comes back as a fault."""
    try:
        modified = job.file.stat().st_mtime_ns  # before the content: a later change is noticed
        content = job.file.read_bytes()
        header = header_of(content, job.file, job.max_pixels)
        size, stored = header.size, content
        if header.kind != _KINDS.get(job.codec):
            picture = decode_image(content, job.file, job.max_pixels)
            size = picture.rgb.shape[:2]
            stored = _stored(picture.rgb[:, :, :1] if header.grey else picture.rgb, job)
    except (ValueError, OSError) as error:
        return Encoded(job.name, str(error).removeprefix(f"{job.file}: "))
    digest = hashlib.sha256(content).hexdigest()
    channels = 1 if header.grey else 3
    return Encoded(job.name, "", stored, size, channels, header.bits, len(content), modified, digest)


def _stored(pixels: np.ndarray, job: ToEncode) -> bytes:
    """Encode pixels (H, W, C); alpha is left out, as in training.

    Raises:
        ValueError: the codec cannot keep these pixels.
    """
    if job.codec == "raw":
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    if job.codec == "webp" and (pixels.dtype != np.uint8 or max(pixels.shape[:2]) > 16383):
        raise ValueError("WebP holds 8 bits and 16383 pixels a side: use --codec png or raw")
    if job.codec == "webp" and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, 2)  # (H, W, 3)
    content = encode_image(pixels, f".{job.codec}", lossless=True)
    if not np.array_equal(decode_image(content, job.file).rgb, np.broadcast_to(pixels, (*pixels.shape[:2], 3))):
        raise ValueError(f"{job.codec} does not keep its pixels: use --codec raw")
    return content


def encoded(jobs: Sequence[ToEncode], workers: int) -> Iterator[Encoded]:
    """Yield the encoded files in order, made by `workers` processes; 0: one per core."""
    if len(jobs) < _WORTH_WORKERS:
        return map(encode, jobs)
    # A forked worker would hold the lock of the journal until it ends, after its parent was killed.
    return parallel(encode, jobs, num_workers(workers, len(jobs)), "spawn")
