"""Costs of the networks that results name."""

from collections.abc import Mapping

import torch

from srzoo.analysis.cost import Cost, count_cost
from srzoo.analysis.profile import runner
from srzoo.analysis.speed import Speed, measure_speed
from srzoo.blueprint import blueprint
from srzoo.contract import identity_of
from srzoo.registry import ARCHS


def costs_of(
    network: Mapping[str, object], size: tuple[int, int], device: torch.device | None
) -> tuple[Cost, Speed | None]:
    """Return the costs of the deployed form of a network, whose weights do not matter, and its speed.

    Args:
        network: type, scale and options.
        size: (width, height) of the image [LQ pixels].
        device: to measure the latency on; None: do not measure.

    Raises:
        LookupError: no such network is registered, such as one of a plugin file.
        ValueError: the network cannot be built with these options, or its costs cannot be counted.
    """
    options = dict(network)
    name, scale = options.pop("type"), options.pop("scale")
    width, height = size
    ARCHS.reach(name)
    if device is None:
        with blueprint():
            return count_cost(ARCHS.build(str(name), options, scale=scale), height, width), None
    net = ARCHS.build(str(name), options, scale=scale)
    lq = torch.rand(1, identity_of(net).num_in_ch, height, width, device=device)
    return count_cost(net, height, width), measure_speed(runner(net, device=device), lq)
