"""Several weighted losses as one object that says what each term contributed."""

from collections.abc import Mapping

from torch import Tensor, nn


class Criterion(nn.Module):
    """Named losses with weights: ``criterion(sr, gt)`` -> {name: weight * loss(sr, gt)}, scalars.

    Args:
        losses: the loss modules by the name they have in the option file.
        weights: the factor of each.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(losses)
        self.weights = dict(weights)

    def forward(self, sr: Tensor, gt: Tensor) -> dict[str, Tensor]:
        return {name: self.weights[name] * loss(sr, gt) for name, loss in self.losses.items()}
