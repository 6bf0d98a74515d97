"""Several weighted losses as one object that says what each term contributed."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn


def takes(loss: nn.Module) -> str:
    """What a loss is computed from: "sr" (the default), a tree's "leaves", or a discriminator's "logits"."""
    return getattr(loss, "takes", "sr")


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

    def __len__(self) -> int:
        return len(self.names)

    def where(self, wanted: Callable[[nn.Module], bool]) -> "Criterion":
        """Those of the losses for which `wanted` is true."""
        losses = {name: loss for name, loss in zip(self.names, self.losses, strict=True) if wanted(loss)}
        return Criterion(losses, dict(zip(self.names, self.weights, strict=True)))

    def of(self, kind: str) -> "Criterion":
        """Those of the losses that take `kind`."""
        return self.where(lambda loss: takes(loss) == kind)

    def only(self, *kinds: str, model: str) -> "Criterion":
        """The same, after checking that a recipe has a use for every loss.

        Raises:
            ValueError: a loss takes something else than `kinds`.
        """
        for name, loss in zip(self.names, self.losses, strict=True):
            if takes(loss) not in kinds:
                raise ValueError(
                    f"train.losses.{name}: {type(loss).__name__} is computed from {takes(loss)}, which model.type "
                    f"{model} does not have (it has {' and '.join(kinds)})"
                )
        return self
