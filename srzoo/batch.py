"""Types of the values that pass between data, training recipes and the engine."""

from typing import NotRequired, TypedDict

from torch import Tensor


class Sample(TypedDict):
    """One item of a dataset, images in [0, 1]; items to be degraded lack `lq`, items to be upscaled only lack `gt`."""

    lq: Tensor  # (C, h, w)
    gt: Tensor  # (C, scale*h, scale*w)
    key: str


class Batch(TypedDict):
    """Samples of one micro-batch, images in [0, 1]; `lq` is missing before a degradation has made it."""

    lq: Tensor  # (B, C, h, w)
    gt: Tensor  # (B, C, scale*h, scale*w)
    key: list[str]
    skipped: NotRequired[list[str]]  # per sample, the image that could not be read and was replaced; "" for none


# Weighted scalars of a loss by name; their sum is minimised.
Terms = dict[str, Tensor]

# Tensors, numbers and further dictionaries by name, as `state_dict` methods return them.
StateDict = dict[str, object]


def detached(terms: Terms) -> Terms:
    """Return the values without their graphs."""
    return {name: term.detach() for name, term in terms.items()}
