"""Weighted sum of losses, with the contribution of each term by name."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn


def takes(loss: nn.Module) -> str:
    """Return the input of a loss: "sr" (the default), "leaves" of a tree, or "logits" of a discriminator."""
    return getattr(loss, "takes", "sr")


class Criterion(nn.Module):
    """Named losses with weights: ``criterion(sr, gt)`` -> {name: weight * loss(sr, gt)}, scalars.

    Args:
        losses: loss modules by their name in the option file.
        weights: factor of each loss, by the same names.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        # A list, because a ModuleDict refuses names such as "type" and "train", which users may choose.
        self.losses = nn.ModuleList(losses.values())
        self.names = list(losses)
        self.weights = [weights[name] for name in losses]

    def forward(self, sr: Tensor, gt: Tensor) -> dict[str, Tensor]:
        losses = zip(self.names, self.weights, self.losses, strict=True)
        # Terms stay separate, so that each can be logged; the sum is taken where it is minimised.
        return {name: weight * loss(sr, gt) for name, weight, loss in losses}

    def __len__(self) -> int:
        return len(self.names)

    def where(self, wanted: Callable[[nn.Module], bool]) -> "Criterion":
        """Return a criterion with the losses for which `wanted` is true, weights kept."""
        losses = {name: loss for name, loss in zip(self.names, self.losses, strict=True) if wanted(loss)}
        return Criterion(losses, dict(zip(self.names, self.weights, strict=True)))

    def of(self, kind: str) -> "Criterion":
        """Return a criterion with the losses computed from `kind`, weights kept."""
        return self.where(lambda loss: takes(loss) == kind)

    def only(self, *kinds: str, model: str) -> "Criterion":
        """Return this criterion after checking that a recipe can compute every loss.

        Args:
            kinds: inputs that the recipe has.
            model: name of the recipe, for the message.

        Raises:
            ValueError: a loss is computed from something else.
        """
        for name, loss in zip(self.names, self.losses, strict=True):
            if takes(loss) not in kinds:
                raise ValueError(
                    f"train.losses.{name}: {type(loss).__name__} is computed from {takes(loss)}, which model.type "
                    f"{model} does not have (it has {' and '.join(kinds)})"
                )
        return self
