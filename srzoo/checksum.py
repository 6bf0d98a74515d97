"""Checksums of nested content: the names, types, numbers, texts and tensors in it, wherever it is stored."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath

import numpy as np
import torch
from torch import Tensor


def checksum(content: Mapping[str, object], *, layout: bool) -> str:
    """Return a SHA-256 over nested mappings and sequences of tensors, numbers and texts.

    Names, nesting, order, types and values enter it. Tensors are read where they are; those on a GPU are copied one at
    a time.

    Args:
        content: to hash.
        layout: True: strides and shared memory of tensors count too, which PyTorch's format keeps and an optimiser
            relies on: it updates its state in place. False: only their types, shapes and values.

    Raises:
        RecursionError: the content is nested too deeply, or contains itself.
    """
    return _Digests(layout).of(content).hex()


class _Digests:
    """SHA-256 of each part of one content; a container's is that of its parts' digests.

    Containers and memory are hashed once, however often they occur, so that the time is linear in the size of a file.
    """

    def __init__(self, layout: bool) -> None:
        self.layout = layout
        self._containers: dict[int, bytes] = {}  # by id: the content outlives this object
        self._storages: dict[int, bytes] = {}  # by the identity of the memory, as torch.save tells it apart

    def of(self, value: object) -> bytes:
        """Return the digest of a value of any kind."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, Mapping | list | tuple):
            if id(value) not in self._containers:
                self._containers[id(value)] = self._container(value)
            return self._containers[id(value)]
        if isinstance(value, np.generic):  # NumPy's numbers are read as Python's
            value = value.item()
        if isinstance(value, bytes | bytearray):
            return _sha256("bytes", bytes(value))
        if isinstance(value, float):
            return _sha256("float", value.hex().encode())
        if value is None or isinstance(value, bool | int | str | complex | PurePath | torch.dtype | torch.device):
            return _sha256(type(value).__name__, str(value).encode(errors="surrogatepass"))
        # Objects of other classes are not read without running code, so that nobody compares this digest.
        return _sha256("object", type(value).__qualname__.encode())

    def _container(self, value: Mapping[object, object] | list[object] | tuple[object, ...]) -> bytes:
        if not isinstance(value, Mapping):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return _sha256(kind, b"".join(self.of(item) for item in value))
        pairs = b"".join(self.of(key) + self.of(item) for key, item in value.items())
        # A state dict has the versions of its modules as an attribute, which loading reads.
        attributes = self.of(vars(value)) if getattr(value, "__dict__", None) else b""
        return _sha256("mapping", pairs + b"attributes" + attributes)

    def _tensor(self, tensor: Tensor) -> bytes:
        facts = [tensor.dtype, tuple(tensor.shape)]
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            # No network or optimiser of srzoo has such tensors; weights files with them are refused by name.
            return _sha256("unusual tensor", repr([*facts, tensor.layout]).encode())
        if not self.layout:
            raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)  # (bytes,)
            return _sha256("tensor", repr(facts).encode() + hashlib.sha256(raw.numpy().data).digest())
        storage = tensor.untyped_storage()
        identity = storage._cdata
        if identity not in self._storages:
            raw = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)  # (bytes,)
            number = len(self._storages)
            self._storages[identity] = number.to_bytes(8) + hashlib.sha256(raw.cpu().numpy().data).digest()
        facts += [tensor.stride(), tensor.storage_offset(), tensor.requires_grad]
        return _sha256("tensor", repr(facts).encode() + self._storages[identity])


def _sha256(kind: str, content: bytes) -> bytes:
    return hashlib.sha256(kind.encode() + b"\0" + content).digest()
