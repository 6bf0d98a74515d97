"""Manifests: the files that a run used, with their sizes and checksums, so that two people can compare their data."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from srzoo.atomic import write_atomic
from srzoo.data.fingerprint import IMAGES, FileRecord, changes

_VERSION = 1

# Option that names files -> those files.
Manifest = Mapping[str, FileRecord]


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest as JSON, one file or sample per line, whole or not at all.

    No path enters it: files have the keys of their samples, or names below the folder that an option names.
    """

    def write(file: BinaryIO) -> None:
        for text in _text(manifest):
            file.write(text.encode())

    write_atomic(path, write)


def _text(manifest: Manifest) -> Iterator[str]:
    yield f'{{\n "manifest": {_VERSION},\n "inputs": {{'
    for number, (option, record) in enumerate(manifest.items()):
        # GT alone has no column for LQ.
        columns = [column for column in range(len(record.parts)) if (record.sizes[:, column] >= 0).any()]
        head = {
            "sha256": record.digest,
            "compared": record.compared,
            "samples": len(record.names),
            "bytes": record.num_bytes,
            "parts": [record.parts[column] for column in columns],
        }
        yield f'{"," * (number > 0)}\n  {json.dumps(option)}: {json.dumps(head, indent=1)[:-2]},\n "files": {{'
        for row, name in enumerate(record.names):
            marks = [record.mark(row, column) for column in columns]
            facts = [mark and ([mark.size, mark.sha256] if mark.sha256 else [mark.size]) for mark in marks]
            yield f"{',' * (row > 0)}\n   {json.dumps(name)}: {json.dumps(facts)}"
        yield "}}"
    yield "}}\n"


def read_manifest(path: Path) -> dict[str, FileRecord]:
    """Read a manifest.

    Args:
        path: the file, or the folder of a run: those of its training and its test.

    Raises:
        FileNotFoundError: no such file, or a folder without one.
        ValueError: no manifest, or its digests do not fit its files.
    """
    if path.is_dir():
        found = [file for name in ("manifest.json", "manifest_test.json") if (file := path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"{path} holds no manifest.json: name the folder of a run, or a manifest")
        return {option: record for file in found for option, record in read_manifest(file).items()}
    if not path.is_file():
        raise FileNotFoundError(f"manifest {path} does not exist")
    try:
        content = json.loads(path.read_bytes())
        records = {option: _record(entry) for option, entry in content["inputs"].items()}
        whole = all(record.digest == content["inputs"][option]["sha256"] for option, record in records.items())
        version = content["manifest"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a manifest of srzoo, or was cut") from error
    if version != _VERSION:
        raise ValueError(f"{path}: expected a manifest of version {_VERSION}, got {version}")
    if not whole:
        raise ValueError(f"{path}: its digests do not fit its files: it was changed after the run")
    return records


def _record(entry: dict[str, dict[str, list[list[int | str] | None]]]) -> FileRecord:
    files = entry["files"]
    used = tuple(map(str, entry["parts"]))
    parts = IMAGES if set(used) <= set(IMAGES) else used
    sizes = np.full((len(files), len(parts)), -1, np.int64)
    sha256 = np.zeros((*sizes.shape, 32), np.uint8)
    for row, facts in enumerate(files.values()):
        for part, fact in zip(used, facts, strict=True):
            if fact is not None:
                sizes[row, parts.index(part)] = fact[0]
                if len(fact) > 1:
                    sha256[row, parts.index(part)] = np.frombuffer(bytes.fromhex(str(fact[1])), np.uint8)
    return FileRecord(list(files), parts, sizes, sha256 if entry["compared"] == "contents" else None)


def differences(first: Manifest, second: Manifest) -> dict[str, list[str]]:
    """Compare two manifests: option -> differences of its files, none if they are the same as far as both are known."""
    found: dict[str, list[str]] = {}
    for option in dict.fromkeys([*first, *second]):
        if option not in first or option not in second:
            found[option] = [f"only in the {'first' if option in first else 'second'}"]
        elif first[option].digest == second[option].digest:
            found[option] = []
        else:
            found[option] = changes(first[option].marks(), second[option].marks())
    return found
