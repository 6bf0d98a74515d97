"""Writing of packs. At any moment a pack is complete, or known to be unfinished and continued by the next run."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from srzoo.data.listing import Fault, UnusedImagesError
from srzoo.data.names import order, without_suffix
from srzoo.data.storage.encoding import Codec, Encoded, ToEncode, encoded, written
from srzoo.data.storage.journal import JOURNAL, Journal, Written
from srzoo.data.storage.pack import shard_name
from srzoo.data.storage.pack_index import INDEX, ORIGIN, PLACE, write_index

# Images begin at multiples of this in a shard [bytes].
_ALIGNMENT = 64
# Bytes and images after which those written are put on the disk and noted in the journal.
_COMMIT_BYTES, _COMMIT_IMAGES = 2**26, 256


def write_pack(
    files: Mapping[str, Path], source: Path, out: Path, *, codec: Codec, shard_size: int, workers: int = 1
) -> Iterator[str]:
    """Pack image files, and yield the name of each one that is in the pack, those of an earlier run first.

    Args:
        files: name -> file.
        source: folder of the files, recorded.
        out: folder of the pack; an unfinished pack in it is continued.
        codec: form of the images.
        shard_size: largest size of a shard file with several images [bytes].
        workers: processes that decode.

    Raises:
        ValueError: `out` holds something else, or is being written by another process.
        UnusedImagesError: files that cannot be used; the others are in the pack, which stays unfinished.
        OSError: the disk is full; the pack stays unfinished.
    """
    if out.is_dir() and not (out / JOURNAL).is_file() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: choose another folder for the pack")
    with Journal(out, {"codec": codec, "shard_size": shard_size}) as journal:
        if (out / INDEX).is_file():  # another process has finished it meanwhile
            journal.remove()
            yield from files
            return
        done = {name for name, image in journal.written.items() if name in files and _kept(files[name], image, out)}
        yield from done
        jobs = [ToEncode(name, file, codec) for name, file in files.items() if name not in done]
        faults: list[Fault] = []
        writer = _ShardWriter(out, journal, shard_size)
        try:
            for image in encoded(jobs, workers):
                if image.fault:
                    faults.append(Fault(files[image.name], image.fault))
                else:
                    writer.add(image)
                    yield image.name
            writer.commit()
            if faults:
                raise UnusedImagesError(faults)
            _finish(out, journal, sorted(files, key=order), source, codec)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                error.errno,
                f"{out}: the disk is full; {len(journal.written)} of {len(files)} images are packed: make room and run "
                "the same command again, it continues",
            ) from error
        finally:
            writer.close()
        journal.remove()


def remove_pack(folder: Path) -> None:
    """Remove a pack, its index first, so that a part of it is never taken for a whole one."""
    for path in [folder / INDEX, folder / JOURNAL, *sorted(folder.glob("shard-*.bin"))]:
        path.unlink(missing_ok=True)


def _kept(file: Path, image: Written, out: Path) -> bool:
    """Return True if an image of the journal is in its shard, and its file is as it was."""
    shard = out / shard_name(image.shard)
    return image.made_from(file) and shard.is_file() and image.offset + image.num_bytes <= shard.stat().st_size


class _ShardWriter:
    """Appends images to shards; they count once :meth:`commit` has put them on the disk and into the journal."""

    def __init__(self, out: Path, journal: Journal, shard_size: int) -> None:
        self._out, self._journal, self._shard_size = out, journal, shard_size
        ends: dict[int, int] = {}
        for image in journal.written.values():
            ends[image.shard] = max(ends.get(image.shard, 0), image.offset + image.num_bytes)
        self._number = max(ends, default=0)
        # Bytes beyond the journal belong to images that a crash cut off.
        for path in out.glob("shard-*.bin"):
            if int(path.stem.removeprefix("shard-")) not in ends:
                path.unlink()
        self._file = (out / shard_name(self._number)).open("ab")
        self._position = min(ends.get(self._number, 0), self._file.tell())
        self._file.truncate(self._position)
        self._pending: list[Written] = []
        self._pending_bytes = 0

    def add(self, image: Encoded) -> None:
        """Append an image, to a new shard if this one is full."""
        start = -(-self._position // _ALIGNMENT) * _ALIGNMENT
        if self._position and start + len(image.content) > self._shard_size:
            self.commit()
            self._file.close()
            self._number, start, self._position = self._number + 1, 0, 0
            self._file = (self._out / shard_name(self._number)).open("ab")
        self._file.write(bytes(start - self._position) + image.content)
        self._position = start + len(image.content)
        self._pending.append(written(image, self._number, start))
        self._pending_bytes += len(image.content)
        if self._pending_bytes >= _COMMIT_BYTES or len(self._pending) >= _COMMIT_IMAGES:
            self.commit()

    def commit(self) -> None:
        """Put the images added so far on the disk, then note them."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._pending:
            self._journal.add(self._pending)
        self._pending, self._pending_bytes = [], 0

    def close(self) -> None:
        """Close the shard; a full disk may keep its last bytes from it, which the journal does not name."""
        try:
            self._file.close()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise


def _finish(out: Path, journal: Journal, names: Sequence[str], source: Path, codec: Codec) -> None:
    """Write the index, which makes the pack complete."""
    images = [journal.written[name] for name in names]
    places, origins = np.zeros(len(images), PLACE), np.zeros(len(images), ORIGIN)
    for index, image in enumerate(images):
        places[index] = tuple(getattr(image, field) for field in PLACE.names or ())
        digests = [np.frombuffer(bytes.fromhex(digest), np.uint8) for digest in (image.stored, image.sha256)]
        origins[index] = (digests[0], image.source_bytes, image.modified, digests[1])
    numbers = range(max(image.shard for image in images) + 1)
    facts = {
        "codec": codec,
        "shards": [(out / shard_name(number)).stat().st_size for number in numbers],
        "source": os.path.relpath(source, out),
        "source_absolute": str(source.absolute()),
        "with_suffix": names_with_suffix(names),
    }
    write_index(out, names=names, places=places, origins=origins, facts=facts)


def names_with_suffix(names: Sequence[str]) -> list[str]:
    """Return the names that differ from another one by their suffixes alone, such as a.png and a.jpg."""
    first: dict[str, str] = {}
    found: set[str] = set()
    for name in names:
        stem = without_suffix(name)
        if stem in first:
            found |= {name, first[stem]}
        first.setdefault(stem, name)
    return sorted(found)
