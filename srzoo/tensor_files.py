"""Files of named tensors, read without running code: safetensors, and PyTorch's format by its restricted unpickler.

The content decides which of the two a file is, never its suffix.
"""

import argparse
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PosixPath

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from srzoo.atomic import write_atomic
from srzoo.catalogue import hint
from srzoo.checksum import checksum

# The entry of a file's content, or of its metadata, that holds the checksum over everything else in it.
CHECKSUM = "srzoo_sha256"
# A file that states more than this many times its own size is refused: torch.save does not compress.
LARGEST_EXPANSION = 8

# NumPy's characters of the types of numbers.
_NUMBERS = "?bBhHiIlLqQefd"

# First bytes, in lower case, of files that people take for weights -> their kind and the remedy.
_NOT_WEIGHTS = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself (git lfs pull)",
    b"<!doctype html": "a web page: download the file again",
    b"<html": "a web page: download the file again",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it first",
    b"rar!": "a RAR archive: unpack it first",
}


class CheckpointError(ValueError):
    """A file that holds no weights or training state, or one that belongs to another network."""


def read_tensor_file(path: Path) -> tuple[Mapping[str, object], dict[str, str]]:
    """Read the content of a safetensors file or of anything that ``torch.save`` wrote, and the file's metadata.

    Raises:
        FileNotFoundError: no such file, or a folder.
        CheckpointError: another kind of file, a damaged one (one that does not fit its checksum, if it has one), one
            that would run code on reading, or one that unpacks to far more than its size.
    """
    if path.is_dir():
        raise FileNotFoundError(f"expected a weights file, but {path} is a folder")
    if not path.is_file():
        raise FileNotFoundError(f"weights {path} do not exist{hint(path)}")
    with path.open("rb") as file:
        start = file.read(64)
    for magic, kind in _NOT_WEIGHTS.items():
        if start.lstrip()[: len(magic)].lower() == magic:
            raise CheckpointError(f"{path}: not a weights file but {kind}")
    if path.suffix in (".yml", ".yaml"):
        raise CheckpointError(f"{path}: not a weights file but an option file: name it with -opt")
    # Eight bytes with the length of a JSON header come before it; zip archives and pickles start otherwise.
    is_safetensors = start[8:9] == b"{" and not start.startswith(b"PK")
    foreign = not start.startswith((b"PK", b"\x80"))
    if is_safetensors or (foreign and path.suffix == ".safetensors"):
        return _read_safetensors(path)
    return read_torch(path), {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    _verify(path, metadata.get(CHECKSUM), lambda: _safetensors_checksum(tensors, metadata))
    return tensors, metadata


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file alone.

    Raises:
        CheckpointError: another kind of file, or a damaged one.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one ({error})") from error


def read_torch(path: Path) -> Mapping[str, object]:
    """Read a mapping that ``torch.save`` wrote, tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: another kind of file, a damaged one (one that does not fit its checksum, if it has one), one
            that would run code on reading, or one that unpacks to far more than its size.
    """
    _refuse_archives_of_another_kind(path)
    try:
        with torch.serialization.safe_globals(_harmless_classes()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # on foreign bytes PyTorch's readers raise almost any type
        raise CheckpointError(f"{path}: {_reason(error)}") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a state dict, found a {type(content).__name__}")
    _verify(path, content.get(CHECKSUM), lambda: _torch_checksum(content))
    return content


def _verify(path: Path, stored: object, compute: Callable[[], str]) -> None:
    """Compare a file's checksum with its content; files without one, such as published ones, are not checked.

    Raises:
        CheckpointError: they differ.
    """
    if stored is None:
        return
    try:
        intact = compute() == stored
    except RecursionError:  # no file of ours is nested so deeply
        intact = False
    if not intact:
        raise CheckpointError(
            f"{path} is damaged: its content does not fit its checksum, so that a name, an option or a value in it has "
            "changed since it was written; take another copy of it or an earlier file"
        )


def _safetensors_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the checksum of a safetensors file, which keeps no order of its entries and no strides."""
    told = {name: text for name, text in sorted(metadata.items()) if name != CHECKSUM}
    return checksum({"tensors": dict(sorted(tensors.items())), "metadata": told}, layout=False)


def _torch_checksum(content: Mapping[str, object]) -> str:
    """Return the checksum of a mapping in PyTorch's format."""
    return checksum({name: value for name, value in content.items() if name != CHECKSUM}, layout=True)


def _harmless_classes() -> list[Callable[..., object] | tuple[Callable[..., object], str]]:
    """Return what training programs save beside tensors: arguments (Namespace, paths) and scores (NumPy numbers).

    Making one runs no code of the file. NumPy's function for numbers, which has two names, is replaced.
    """
    numbers = [(_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [argparse.Namespace, PosixPath, *numbers, np.dtype, *{type(np.dtype(kind)) for kind in _NUMBERS}]


def _number(kind: "np.dtype[np.generic]", raw: bytes) -> object:
    """Return a saved NumPy number as a number of Python; NumPy refuses to make objects of bytes."""
    return np.frombuffer(raw, kind, 1).item()


def _refuse_archives_of_another_kind(path: Path) -> None:
    """Check the table of contents of a zip archive before anything in it is unpacked."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path}: not a PyTorch weights file, or a damaged one ({error})") from error
    unpacked, size = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > LARGEST_EXPANSION * size:
        raise CheckpointError(
            f"{path}: refused, because it unpacks to {unpacked:,} bytes from {size:,}; torch.save writes no such file"
        )
    if members and not any(member.filename.endswith("/data.pkl") for member in members):
        raise CheckpointError(f"{path}: not a weights file but an archive of {members[0].filename}: unpack it first")
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise CheckpointError(f"{path}: a TorchScript program, which holds code; ask its author for a plain state dict")


def _reason(error: Exception) -> str:
    """Describe an error of PyTorch's reader in one line, without its advice to read files unsafely."""
    text = str(error)
    refused = re.search(r"GLOBAL [\w.]+|Unsupported class[^\n]*", text)
    if refused:
        return (
            f"refused, because reading it would run code from the file ({refused.group(0)}); ask its author for a "
            "plain state dict or a safetensors file"
        )
    # Errors of the unpickler itself say nothing to a user: it takes the bytes of any file for its operations. Longer
    # messages give advice, to read the file with weights_only=False among it.
    told = isinstance(error, RuntimeError | OSError) and len(text.splitlines()) == 1 and "weights_only" not in text
    reason = f" ({text})" if told else ""
    expected = "expected a safetensors file or one that torch.save wrote"
    return f"not a PyTorch weights file, or a damaged one{reason}; {expected}"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors by name: safetensors with metadata, or {"params": ...} in PyTorch's format for a ``.pth`` name.

    Either holds a checksum over everything in it, which reading compares.

    Raises:
        ValueError: a value is NaN or infinite; names its tensor. Nothing is written.
    """
    not_finite = non_finite(tensors)
    if not_finite:
        raise ValueError(f"{path} was not written, because of values that are not finite: {not_finite}")
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    copied = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    if path.suffix == ".pth":
        write_torch(path, {"params": copied})
        return
    encoded = safetensors.torch.save(copied, {**metadata, CHECKSUM: _safetensors_checksum(copied, metadata)})
    write_atomic(path, lambda file: file.write(encoded))


def write_torch(path: Path, content: Mapping[str, object]) -> None:
    """Write nested mappings and lists of tensors, numbers and text in PyTorch's format, with their checksum."""
    # Encoded in memory first: torch.save hides a full disk behind an error of another type.
    encoded = io.BytesIO()
    torch.save({**content, CHECKSUM: _torch_checksum(content)}, encoded)
    write_atomic(path, lambda file: file.write(encoded.getbuffer()))


def non_finite(tensors: Mapping[str, Tensor]) -> str:
    """Describe the first tensor with a NaN or infinite value: its name, their number; "" if all are finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            bad = tensor.numel() - int(torch.isfinite(tensor).sum())
            if bad:
                return f"{name} has {bad:,} of {tensor.numel():,}"
    return ""


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
