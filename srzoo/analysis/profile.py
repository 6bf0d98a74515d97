"""Profiles: costs, speed and quality of networks side by side."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

import srzoo
from srzoo.analysis.cost import Cost, count_cost
from srzoo.analysis.speed import Pass, Pressure, Speed
from srzoo.contract import identity_of
from srzoo.layers import reparam
from srzoo.optim.compilation import compiled
from srzoo.optim.precision import Precision, passes_at

Backend = Literal["torch", "onnxruntime", "openvino"]
CONVENTION = (
    "one multiply-add counts as 1; convolutions and linear layers of the deployed form that reach the output; products "
    "of attention apart; activations are outputs of 2-D convolutions"
)


@dataclass(frozen=True)
class Profile:
    """Costs, speed and quality of a network.

    Args:
        name: in tables.
        type: registered name.
        scale: magnification.
        cost: of the deployed form.
        speed: None if it was not measured.
        quality: "dataset metric" -> mean score.
    """

    name: str
    type: str
    scale: int
    cost: Cost
    speed: Speed | None = None
    quality: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return all values by name."""
        values: dict[str, object] = {"name": self.name, "type": self.type, "scale": self.scale, **self.cost.as_json()}
        if self.speed is not None:
            values["speed"] = dataclasses.asdict(self.speed)
        return {**values, **({"quality": dict(self.quality)} if self.quality else {})}


def count(name: str, net: nn.Module, size: tuple[int, int], quality: Mapping[str, float]) -> Profile:
    """Count the costs of a network for an input of `size` = (width, height) LQ pixels.

    Raises:
        UncountableError: they cannot be counted.
    """
    identity, (width, height) = identity_of(net), size
    return Profile(name, identity.type, identity.scale, count_cost(net, height, width), None, quality)


def runner(
    net: nn.Module, *, device: torch.device, precision: Precision = "fp32", compile_it: bool = False,
    backend: Backend = "torch",
) -> Pass:  # fmt: skip
    """Return the deployed form of a network as a function of images (1, C, H, W) on `device`.

    Args:
        net: in training or merged form; it is not changed.
        device: to run on.
        precision: of the passes, by autocast.
        compile_it: compile it on the first call of each size.
        backend: program that runs it.

    Raises:
        ValueError: the program is not installed, or cannot run the network.
    """
    deployed = reparam.fused(net).eval()
    if backend != "torch":
        # Other programs are optional, and slow to import.
        from srzoo.export.runtimes import runtime_network

        return runtime_network(deployed, backend, device.type)
    fast = compiled(deployed.to(device), compile_it)

    def run(lq: Tensor) -> Tensor:
        with passes_at(precision, device.type):
            return fast(lq)

    return run


def content_of(
    profiles: Sequence[Profile],
    size: tuple[int, int],
    conditions: Mapping[str, str | int] | None,
    pressure: Mapping[str, Sequence[Pressure]],
) -> str:
    """Return the profiles as JSON: convention, input, conditions of the measurements, and one entry per network."""
    content: dict[str, object] = {
        "srzoo": srzoo.__version__,
        "convention": CONVENTION,
        "input": {"width": size[0], "height": size[1]},
        "conditions": conditions,
        "networks": [profile.as_json() for profile in profiles],
    }
    if pressure:
        content["pressure"] = {
            name: [dataclasses.asdict(each) for each in results] for name, results in pressure.items()
        }
    return json.dumps(content, indent=2) + "\n"
