"""What every recipe saves of its network: the weights and, where there is one, their moving average."""

from typing import Any

from torch import nn

from srzoo.optim.ema import EMA
from srzoo.ranks import unwrapped


def net_state(net_g: nn.Module, ema: EMA | None) -> dict[str, Any]:
    """Weights of the network and of its moving average."""
    state = {"net_g": unwrapped(net_g).state_dict()}
    return state | ({"net_g_ema": ema.module.state_dict()} if ema is not None else {})


def load_net_state(state: dict[str, Any], net_g: nn.Module, ema: EMA | None) -> None:
    """Put back what :func:`net_state` took.

    Raises:
        ValueError: only one of the two has a moving average.
    """
    if (ema is None) == ("net_g_ema" in state):
        raise ValueError(
            "train.ema_decay: the state was saved with a moving average and this run has none, or vice versa"
        )
    unwrapped(net_g).load_state_dict(state["net_g"])
    if ema is not None:
        ema.module.load_state_dict(state["net_g_ema"])
