"""`srzoo analyze degradation`: deep degradation representations."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import Image, images_of
from srzoo.commands.analysis import add_analysis, add_layers, analysed_network
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import nn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a folder per degradation, networks, layers and reduction."""
    describe(
        parser,
        "Measure how far features tell degradations apart (deep degradation representation, Liu et al., 2021): the "
        "Calinski-Harabasz index with the degradation as label, and pictures by PCA and, with scikit-learn, t-SNE. "
        "--versus compares two networks, such as one trained with dropout and one without: lower is read as better "
        "generalisation.",
        "clean blur noise jpeg --layer body.15 --weights srresnet.safetensors",
        "clean blur noise --layer body.15 --weights plain.safetensors --versus dropout.safetensors",
    )
    add_analysis(parser, "degradation", inputs="one folder of LQ images for each degradation, of the same content")
    add_layers(parser)
    parser.add_argument(
        "--versus", type=Path, metavar="FILE", help="weights of a second network to compare (default: none)"
    )
    parser.add_argument(
        "--reduction", choices=["flattened", "spatial_mean"], default="flattened",
        help="vector of an image: all values of the layer, or the mean of each channel (default: flattened)",
    )  # fmt: skip
    parser.add_argument(
        "--pca", type=int, metavar="N", help="components to reduce to before the index too (default: no reduction)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of t-SNE (default: 0)")


def run(arguments: Arguments) -> None:
    """Measure the separation of degradations at each layer, for one or two networks.

    Raises:
        LookupError: no such layer.
        ValueError: fewer than two folders, or files that exist.
    """
    from srzoo.analysis.degradation import has_tsne
    from srzoo.engine.log import logger

    output = Output.of(arguments, "degradation")
    if len(arguments.inputs) < 2 or not all(path.is_dir() for path in arguments.inputs):
        raise ValueError("expected two or more folders, one for each degradation")
    if "all" in arguments.layer:
        raise ValueError("--layer all: name the layers to compare")
    net = analysed_network(arguments)
    names, labels, images = _labelled(arguments, net)
    nets = {arguments.weights.name if arguments.weights else "network": net}
    if arguments.versus is not None:
        second = Arguments(**{**vars(arguments), "weights": arguments.versus})
        nets[arguments.versus.name if arguments.versus.name not in nets else str(arguments.versus)] = analysed_network(
            second
        )
    if not has_tsne():
        logger.info('without scikit-learn there is a picture by PCA alone: pip install "srzoo[report]" adds t-SNE')
    results: dict[str, object] = {}
    arrays: dict[str, np.ndarray] = {}
    for layer in arguments.layer:
        found, points = _layer(arguments, nets, layer, images, labels)
        results[layer] = found
        arrays |= {f"{layer}/{name}": values for name, values in points.items()}
        for name, numbers in found.items():
            for key, reduction in (("", ""), (f"_pca{arguments.pca}", f", PCA to {arguments.pca}")):
                if (index := numbers.get(f"calinski_harabasz{key}")) is not None:
                    logger.info(
                        f"{layer}, {name}: Calinski-Harabasz index {index:.4g} ({arguments.reduction}{reduction}, "
                        f"n = {len(labels)}, K = {len(names)})"
                    )
        output.picture(_figure(layer, found, points, names, labels), layer if len(arguments.layer) > 1 else "")
    output.arrays({**arrays, "labels": labels})
    parameters = {"reduction": arguments.reduction, "pca": arguments.pca, "n": len(labels), "K": len(names)}
    parameters |= {"degradations": names, "tsne_seed": arguments.seed if has_tsne() else None}
    output.numbers(arguments, net, parameters, layers=results)


def _labelled(arguments: Arguments, net: "nn.Module") -> "tuple[list[str], np.ndarray, list[Image]]":
    """Read the images of all folders: names of the degradations, label of each image, images of one size.

    Raises:
        ValueError: the folders do not hold the same images.
    """
    import numpy as np

    from srzoo.engine.log import logger

    names = [path.resolve().name for path in arguments.inputs]
    if len(set(names)) < len(names):
        names = [str(path) for path in arguments.inputs]
    groups = [list(images_of(Arguments(**{**vars(arguments), "inputs": [path]}), net)) for path in arguments.inputs]
    keys = [{image.key for image in group} for group in groups]
    for name, own in zip(names[1:], keys[1:], strict=True):
        for holder, other, missing in ((names[0], name, keys[0] - own), (name, names[0], own - keys[0])):
            if missing:
                raise ValueError(
                    f"expected images of the same names under each degradation: {other} has no {min(missing)}, as "
                    f"{holder} has ({len(missing)} such)"
                )
    images = [image for group in groups for image in group]
    labels = np.repeat(np.arange(len(groups)), len(groups[0]))
    # Flattened features of one length need one size.
    height, width = (min(image.lq.shape[dim] for image in images) for dim in (1, 2))
    if any(image.lq.shape[1:] != (height, width) for image in images):
        logger.info(f"larger images are cut to {height}x{width}, the smallest height and width among them")
    return names, labels, [image._replace(lq=image.lq[:, :height, :width]) for image in images]


def _layer(
    arguments: Arguments, nets: "Mapping[str, nn.Module]", layer: str, images: list[Image], labels: "np.ndarray"
) -> "tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]":
    """Return indices and picture coordinates of each network at one layer."""
    from srzoo.analysis.degradation import calinski_harabasz, has_tsne, layer_vectors, principal_components, tsne
    from srzoo.progress import shown

    found: dict[str, dict[str, float]] = {}
    points: dict[str, np.ndarray] = {}
    for name, net in nets.items():
        vectors = layer_vectors(
            net,
            (image.lq for image in shown(images, layer, delay=1.0)),
            layer,
            reduction=arguments.reduction,
            max_memory=arguments.max_memory,
        )
        # t-SNE starts from a few components, as in the paper.
        scores, shares = principal_components(vectors, min(50, len(vectors) - 1))
        found[name] = {"calinski_harabasz": calinski_harabasz(vectors, labels), "size": vectors.shape[1]}
        if arguments.pca is not None:
            reduced, _ = principal_components(vectors, arguments.pca)
            found[name][f"calinski_harabasz_pca{arguments.pca}"] = calinski_harabasz(reduced, labels)
        found[name]["explained_by_2"] = float(shares[:2].sum())
        points[f"{name}/pca"] = scores[:, :2]
        if has_tsne():
            points[f"{name}/tsne"] = tsne(scores, seed=arguments.seed)
    return found, points


def _figure(
    layer: str,
    found: "dict[str, dict[str, float]]",
    points: "dict[str, np.ndarray]",
    names: list[str],
    labels: "np.ndarray",
) -> "Figure":
    from srzoo.analysis.figures import COLOURS, MARKERS, new_panels

    columns = len(points) // len(found)
    figure, panels = new_panels(
        len(found), columns, side=3.6, title=f"{layer}: features under {len(names)} degradations"
    )
    for panel, (place, coordinates) in zip(panels, points.items(), strict=True):
        network, _, method = place.rpartition("/")
        for number, name in enumerate(names):
            own = coordinates[labels == number]
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            panel.scatter(own[:, 0], own[:, 1], s=16, color=colour, marker=marker, label=name)
        panel.set_title(f"{network}: CHI {found[network]['calinski_harabasz']:.3g}", fontsize=9)
        label = "t-SNE" if method == "tsne" else "principal component"
        panel.set_xlabel(f"{label} 1", fontsize=8)
        panel.set_ylabel(f"{label} 2", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].legend(fontsize=7)
    return figure
