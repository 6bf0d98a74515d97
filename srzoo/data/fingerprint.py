"""Fingerprints of datasets: one checksum over names and contents, wherever the files are."""

import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch.utils.data import Dataset
from tqdm import tqdm

from srzoo.data.imageset import ImageSet
from srzoo.tensor_files import sha256


def fingerprint(dataset: Dataset[object]) -> str | None:
    """Return a SHA-256 over the keys of a dataset, in order, and the contents of their files; None if it has no files.

    Paths do not enter it: the same data has the same fingerprint anywhere. Files are read once per process, as long as
    their size and modification time stay.
    """
    if not isinstance(dataset, ImageSet):
        return None
    files = [file for pair in dataset.pairs for file in (pair.gt, pair.lq) if file is not None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(pool.map(file_hash, files), "hashing", len(files), leave=False, delay=1)
        hashes = dict(zip(files, found, strict=True))
    lines = [
        "\0".join([pair.key, *("" if file is None else hashes[file] for file in (pair.gt, pair.lq))])
        for pair in dataset.pairs
    ]
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()  # names of files may be any bytes


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content; unchanged files are read once per process."""
    status = path.stat()
    return _file_hash(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _file_hash(path: Path, size: int, modified: int) -> str:
    del size, modified  # part of the cache's key
    return sha256(path)
