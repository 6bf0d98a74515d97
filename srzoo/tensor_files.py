"""Files of named tensors, read without running code: safetensors, and PyTorch's format by its restricted unpickler."""

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from srzoo.atomic import write_atomic


class CheckpointError(ValueError):
    """A file that holds no weights or training state, or one that belongs to another network."""


def read_tensor_file(path: Path) -> tuple[Mapping[str, object], dict[str, str]]:
    """Read the content of a ``.safetensors`` file or of anything that ``torch.save`` wrote, and the file's metadata.

    Raises:
        FileNotFoundError: no such file, or a folder.
        CheckpointError: another kind of file, a damaged one, or one that would run code on reading.
    """
    if path.is_dir():
        raise FileNotFoundError(f"expected a weights file, but {path} is a folder")
    if not path.is_file():
        raise FileNotFoundError(f"weights {path} do not exist")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return read_torch(path), {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one ({error})") from error


def read_torch(path: Path) -> Mapping[str, object]:
    """Read a mapping that ``torch.save`` wrote, tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: another kind of file, a damaged one, or one that would run code on reading.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # on foreign bytes PyTorch's readers raise almost any type
        refused = re.search(r"GLOBAL [\w.]+|Unsupported class[^\n]*", str(error))
        if refused:
            raise CheckpointError(
                f"{path}: refused, because reading it would run code from the file ({refused.group(0)}); ask its "
                "author for a plain state dict or a safetensors file"
            ) from error
        first = (str(error).splitlines() or [type(error).__name__])[0].split(". (1)")[0]
        raise CheckpointError(f"{path}: not a PyTorch weights file, or a damaged one ({first})") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a state dict, found a {type(content).__name__}")
    return content


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors by name: safetensors with metadata, or {"params": ...} in PyTorch's format for a ``.pth`` name."""
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    copied = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    if path.suffix == ".pth":
        write_torch(path, {"params": copied})
        return
    encoded = safetensors.torch.save(copied, dict(metadata))
    write_atomic(path, lambda file: file.write(encoded))


def write_torch(path: Path, content: Mapping[str, object]) -> None:
    """Write nested mappings and lists of tensors, numbers and text in PyTorch's format."""
    # Encoded in memory first: torch.save hides a full disk behind an error of another type.
    encoded = io.BytesIO()
    torch.save(dict(content), encoded)
    write_atomic(path, lambda file: file.write(encoded.getbuffer()))


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
