"""Dropout of features inside a super-resolution network, at positions given by an option.

Kong, Liu, Gu, Qiao, Dong, "Reflash Dropout in Image Super-Resolution", CVPR 2022, arXiv:2112.12089. The paper finds
dropout of whole channels before the last convolution (`last`) the best; figure 3 has the other positions. In the
authors' classes `half` and `quarter` are consecutive blocks at the end of the network: 9 to 16 and 13 to 16 of 16.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.contract import PlainValue
from srzoo.registry import Probability

# Part of the blocks, counted from the end of the network, that have dropout inside them: 1 / the number.
LAST = {"all": 1, "half": 2, "quarter": 4}
# every_k: the blocks k, 2k, 3k, ...
EVERY = re.compile(r"every_([1-9]\d*)")


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Dropout in training: mode, probability and positions. In evaluation nothing is dropped.

    Args:
        mode: channel drops whole channels (the paper's choice), element single values.
        prob: probability of dropping each; kept features are divided by 1 - prob.
        position: last: before the last convolution; block_k: after residual block k, counted from 1; all, half,
            quarter: in the residual branch of all blocks, of the last half or quarter of them; every_k: in the
            residual branch of every k-th block (every_2, every_4); or a list of these.
    """

    # Used when option files are validated: unknown keys are refused.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    mode: Literal["channel", "element"] = "channel"
    prob: Probability = 0.5
    position: str | tuple[str, ...] = "last"

    @property
    def idle(self) -> bool:
        """Return True if nothing is ever dropped: the network is that without the option, in training too."""
        return self.prob == 0


class FeatureDropout(nn.Module):
    """Drop channels or values of (B, C, H, W) in training; the identity in evaluation and at `prob` 0.

    Random numbers come from PyTorch's global generator of the tensor's device.
    """

    def __init__(self, mode: str, prob: float) -> None:
        super().__init__()
        self.prob = prob
        self.drop = F.dropout2d if mode == "channel" else F.dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x, self.prob, self.training) if self.prob else x


class DropoutPlaces:
    """Factory of the dropout layers of a network with `num_block` residual blocks; the identity where there is none.

    Raises:
        ValueError: a position is unknown, no block has its number, or it selects no block.
    """

    def __init__(self, dropout: Dropout | Mapping[str, PlainValue] | None, num_block: int) -> None:
        if isinstance(dropout, Mapping):  # from a weights file
            dropout = Dropout(**dropout)  # pyright: ignore[reportArgumentType]  # checked when it was saved
        dropout = dropout or Dropout(prob=0.0)
        self._mode, self._prob = dropout.mode, dropout.prob
        names = (dropout.position,) if isinstance(dropout.position, str) else tuple(dropout.position)
        numbered = {f"block_{number}": number for number in range(1, num_block + 1)}
        inside = {name: _blocks_inside(name, num_block) for name in names}
        unknown = [name for name in names if name != "last" and name not in numbered and inside[name] is None]
        if unknown or not names:
            raise ValueError(
                f"dropout position must be last, all, half, quarter, every_k, block_1 to block_{num_block}, or a list "
                f"of these; got {', '.join(unknown) or 'an empty list'}"
            )
        idle = [name for name, blocks in inside.items() if blocks is not None and not blocks]
        if idle:
            raise ValueError(f"dropout position {', '.join(idle)} falls on none of {num_block} blocks")
        self._last = "last" in names
        self._after = {numbered[name] for name in names if name in numbered}
        self._inside = {number for blocks in inside.values() for number in blocks or ()}

    def before_last_conv(self) -> nn.Module:
        """Return the layer before the last convolution."""
        return self._layer(self._last)

    def after_block(self, number: int) -> nn.Module:
        """Return the layer after residual block `number`, counted from 1."""
        return self._layer(number in self._after)

    def in_branch(self, number: int) -> nn.Module:
        """Return the layer at the end of the residual branch of block `number`."""
        return self._layer(number in self._inside)

    def _layer(self, wanted: bool) -> nn.Module:
        return FeatureDropout(self._mode, self._prob) if wanted and self._prob else nn.Identity()


def _blocks_inside(name: str, num_block: int) -> range | None:
    """Return the blocks, counted from 1, with dropout in their branch; None for a position of another kind."""
    if name in LAST:
        return range(num_block - num_block // LAST[name] + 1, num_block + 1)
    found = EVERY.fullmatch(name)
    return None if found is None else range(int(found[1]), num_block + 1, int(found[1]))
