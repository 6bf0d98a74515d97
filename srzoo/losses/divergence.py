"""D2C-SR's divergence loss: the leaves of a tree must differ from each other more than from the ground truth.

Li et al., "D2C-SR: A Divergence to Convergence Approach for Real-World Image Super-Resolution", ECCV 2022,
arXiv:2103.14373, section 3.2. Written from the paper.
"""

from typing import Literal

from torch import Tensor, nn

from srzoo.registry import LOSSES, NonNegativeFloat, PositiveInt


def standardised(image: Tensor) -> Tensor:
    """Standardise the channel mean over the whole batch (population std): (B, C, H, W) -> (B, 1, H, W)."""
    grey = image.mean(1, keepdim=True)
    return (grey - grey.mean()) / grey.std(correction=0)


def divergence(
    leaves: Tensor, gt: Tensor, margins: tuple[float, float], siblings: int, sibling_factor: float
) -> Tensor:
    """Compute the mean over ordered pairs (i, j) of max(0, mean(d_i^2) - mean((d_i - d_j)^2) + margin) -> scalar.

    d = |leaf - gt|, after both are :func:`standardised`. The triplet loss of section 3.2.

    Args:
        leaves: (B, K, C, H, W), siblings next to each other.
        gt: (B, C, H, W).
        margins: margin between siblings, margin between other leaves.
        siblings: number of leaves that share a parent.
        sibling_factor: weight of pairs of siblings; other pairs have weight 1.

    Raises:
        ValueError: the shapes do not match, or K is not a multiple of `siblings` or is below 2.
    """
    if leaves.ndim != 5 or leaves[:, 0].shape != gt.shape:
        raise ValueError(
            f"leaves must be (B, K, C, H, W) over gt's (B, C, H, W), got {tuple(leaves.shape)} and {tuple(gt.shape)}"
        )
    count = leaves.shape[1]
    if count % siblings or count < 2:
        raise ValueError(f"expected at least 2 leaves in groups of {siblings} siblings, got {count} leaves")
    target = standardised(gt)
    distances = [(standardised(leaf) - target).abs() for leaf in leaves.unbind(1)]  # K times (B, 1, H, W)
    total = leaves.new_zeros(())
    # The term is not symmetric in i and j, so that each pair counts in both orders.
    for i, own in enumerate(distances):
        for j, other in enumerate(distances):
            if i != j:
                same_parent = i // siblings == j // siblings
                margin, factor = (margins[0], sibling_factor) if same_parent else (margins[1], 1.0)
                # Zero once leaf i is nearer to the ground truth than to leaf j by the margin.
                total = total + factor * (own.square().mean() - (own - other).square().mean() + margin).clamp_min(0)
    return total / (count * (count - 1))


@LOSSES.register
class DivergenceLoss(nn.Module):
    """Triplet loss over a tree's leaves (B, K, C, H, W) and `gt` (B, C, H, W) -> scalar; see :func:`divergence`.

    Args:
        mode: paper: with gradients; released: detached, as in the authors' training code, so that nothing is learned
            from it.
        sibling_margin: margin between leaves of one parent.
        margin: margin between all other leaves.
        sibling_factor: weight of pairs of siblings.
        siblings: number of leaves that share a parent, the last of the network's `levels`.
    """

    takes = "leaves"

    def __init__(
        self,
        *,
        mode: Literal["paper", "released"] = "paper",
        sibling_margin: float = 2e-5,
        margin: float = 5e-5,
        sibling_factor: NonNegativeFloat = 0.8,
        siblings: PositiveInt = 2,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.margins = (sibling_margin, margin)
        self.sibling_factor, self.siblings = sibling_factor, siblings

    def forward(self, leaves: Tensor, gt: Tensor) -> Tensor:
        value = divergence(leaves, gt, self.margins, self.siblings, self.sibling_factor)
        return value.detach() if self.mode == "released" else value
