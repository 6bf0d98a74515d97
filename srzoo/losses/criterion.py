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
        # A list, because a ModuleDict refuses names such as "type" and "train".
        self.losses = nn.ModuleList(losses.values())
        self.names = list(losses)
        self.weights = [weights[name] for name in losses]

    def forward(self, sr: Tensor, gt: Tensor) -> dict[str, Tensor]:
        losses = zip(self.names, self.weights, self.losses, strict=True)
        return {name: weight * loss(sr, gt) for name, weight, loss in losses}
