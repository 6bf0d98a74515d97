"""`srzoo analyze similarity`: which layers of two networks are alike."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import images_of
from srzoo.commands.analysis import add_output, analysed_network, layers_named
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor, nn

# Most layers of each network that are compared by default, and most pairs, each of which keeps sums of products.
_DEFAULT, _MOST_PAIRS = 40, 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add two networks, images and layers."""
    describe(
        parser,
        "Compare layers of two networks by linear centred kernel alignment (CKA, Kornblith et al., ICML 2019): 1 for "
        "features that are equal up to rotation and scale, 0 for unrelated ones.",
        "plain.safetensors dropout.safetensors --images lq --layer body.0 body.7 body.15",
        "options/test/imdn/IMDN_x4.yml IMDN_x4.pth --images lq --layer IMDB1 IMDB6",
    )
    for name in ("a", "b"):
        parser.add_argument(name, type=Path, metavar=name.upper(), help="network: weights file, or option file (.yml)")
    parser.add_argument(
        "--images", nargs="+", type=Path, default=[], metavar="INPUT",
        help="LQ images: files or folders (default: datasets.test of the option file A)",
    )  # fmt: skip
    parser.add_argument(
        "--layer",
        nargs="+",
        metavar="NAME",
        help="layers of A; all: all with an image of features (default: up to 40 of these, evenly spaced)",
    )
    parser.add_argument("--layer-b", nargs="+", metavar="NAME", help="layers of B (default: those of A)")
    add_output(parser, "similarity")


def run(arguments: Arguments) -> None:
    """Compare the layers.

    Raises:
        LookupError: no such layer.
        ValueError: no images, networks of different scales, or files that exist.
    """
    from srzoo.analysis.similarity import layer_similarity
    from srzoo.contract import identity_of
    from srzoo.engine.log import logger
    from srzoo.progress import shown

    output = Output.of(arguments, "similarity")
    named = [_named(arguments, path) for path in (arguments.a, arguments.b)]
    nets = (analysed_network(named[0]), analysed_network(named[1]))
    first = next(iter(images_of(named[0], nets[0])), None)
    if first is None:
        raise ValueError("no images: similarity is measured on images")
    layers = _layers(arguments.layer, nets[0], first.lq[None])
    other = _layers(arguments.layer_b or arguments.layer, nets[1], first.lq[None])
    if len(layers) * len(other) > _MOST_PAIRS:
        raise ValueError(f"{len(layers)} x {len(other)} pairs of layers are too many: name some with --layer")
    images = (image.lq for image in shown(images_of(named[0], nets[0]), "similarity", delay=1.0))
    found = layer_similarity(nets, images, (layers, other), max_memory=arguments.max_memory)
    for row, layer in enumerate(layers):
        best = int(found[row].argmax())
        logger.info(f"{layer}: most like {other[best]} (CKA {found[row, best]:.4f})")
    names = [
        f"{path.stem} ({identity_of(net).type})" for path, net in zip((arguments.a, arguments.b), nets, strict=True)
    ]
    output.picture(_figure(found, layers, other, names))
    output.arrays({"cka": found})
    parameters = {"a": arguments.a.name, "b": arguments.b.name, "network_b": identity_of(nets[1]).flat()}
    output.numbers(named[0], nets[0], parameters, layers_a=layers, layers_b=other, cka=found.tolist())


def _layers(names: list[str] | None, net: "nn.Module", lq: "Tensor") -> list[str]:
    """Return the layers that are named, or without names some of all."""
    layers = layers_named(names or ["all"], net, lq)
    return layers if names else layers[:: -(-len(layers) // _DEFAULT)]


def _named(arguments: Arguments, path: Path) -> Arguments:
    """Return the arguments of an analysis of one network, named by a weights file or an option file."""
    is_options = path.suffix.lower() in (".yml", ".yaml")
    return Arguments(
        weights=None if is_options else path,
        opt=path if is_options else None,
        set=[],
        arch=None,
        scale=None,
        inputs=arguments.images,
        device=arguments.device,
    )


def _figure(found: "np.ndarray", layers: list[str], other: list[str], names: list[str]) -> "Figure":
    from srzoo.analysis.figures import new_figure, show_map

    height, width = (max(4.0, 0.2 * count) for count in found.shape)
    figure = new_figure(width + 1.5, height, "linear CKA of layers")
    axes = figure.subplots()
    show_map(axes, found, "", label="CKA (1: equal up to rotation and scale)", low=0, high=1)
    # A name for every layer of small tables, for some of large ones.
    for axis, own in ((axes.yaxis, layers), (axes.xaxis, other)):
        step = -(-len(own) // 40)
        axis.set_ticks(range(0, len(own), step), own[::step], fontsize=6)
    axes.tick_params(axis="x", rotation=90)
    axes.set_ylabel(f"A: {names[0]}", fontsize=8)
    axes.set_xlabel(f"B: {names[1]}", fontsize=8)
    return figure
