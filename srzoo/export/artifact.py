"""A network in the format of another runtime, in memory: content, loaded form and facts for its users."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

import srzoo
from srzoo.contract import contract_of, identity_of

Format = Literal["onnx", "ncnn", "tflite", "exported"]
Precision = Literal["fp32", "fp16", "int8"]
Size = tuple[int, int]
# (B, C, H, W) float32 -> (B, C, scale*H, scale*W) float32.
Compute = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Artifact:
    """A network in another format.

    Args:
        files: suffix of each file -> content.
        compute: the network as its runtime computes it, loaded from that content.
        size: (H, W) of the only size that it takes; None: sizes vary [LQ pixels].
        multiple: sides must be multiples of this; 1 where the graph pads [LQ pixels].
        batch: number of images at once; None: any.
    """

    files: Mapping[str, bytes]
    compute: Compute
    size: Size | None
    multiple: int
    batch: int | None


def metadata_of(
    net: nn.Module, *, size: Size | None, multiple: int, precision: Precision, provenance: Mapping[str, str]
) -> dict[str, str]:
    """Return the facts that an exported file carries about itself.

    Args:
        net: the network.
        size: (H, W) of the only size that the file takes; None: sizes vary [LQ pixels].
        multiple: sides must be multiples of this [LQ pixels].
        precision: of weights, and of activations where the runtime has it.
        provenance: where the weights come from: file name, sha256.
    """
    identity = identity_of(net)
    low, high = contract_of(net).value_range
    return {
        **identity.metadata(),
        "srzoo": srzoo.__version__,
        "value_range": f"{low:g} {high:g}",
        "channel_order": "RGB" if identity.num_in_ch == 3 else f"{identity.num_in_ch} channels",
        "layout": "NCHW",
        "input_size": "any" if size is None else f"{size[1]}x{size[0]}",
        "size_multiple": str(multiple),
        "precision": precision,
        **provenance,
    }


def refuse_size(lq: np.ndarray, size: Size | None, multiple: int) -> None:
    """Check the size of an input (B, C, H, W) for runtimes that would cut it silently.

    Raises:
        ValueError: it is not `size`, or a side is no multiple of `multiple`.
    """
    height, width = lq.shape[-2:]
    if size is not None and (height, width) != size:
        raise ValueError(f"expected an image of {size[1]}x{size[0]}, the size of the export, got {width}x{height}")
    if height % multiple or width % multiple:
        raise ValueError(f"expected sides that are multiples of {multiple}, got {width}x{height}: pad the image")


def as_json(metadata: Mapping[str, str]) -> str:
    """Return metadata as one line of JSON."""
    return json.dumps(dict(metadata), sort_keys=True)
