"""`srzoo analyze saliency`: channel saliency maps and ablation curves."""

import argparse
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import Image, images_of
from srzoo.commands.analysis import add_analysis, add_layers, analysed_network, chosen_layers
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from srzoo.analysis.saliency import ChannelSaliency

# Most maps in a picture.
_SHOWN = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add images, network, layers and ablation."""
    describe(
        parser,
        "Show which channels of a layer the edges of the SR image depend on (channel saliency map, Kong et al., CVPR "
        "2022), and with --ablate the PSNR after each channel is removed, with and without compensation.",
        "image.png --layer body.7 --weights srresnet.safetensors",
        "lq.png --gt gt.png --layer lrelu@4 --ablate --weights srresnet.safetensors",
    )
    add_analysis(parser, "saliency", gt="to compare the ablated output with, instead of the output as it is")
    add_layers(parser)
    parser.add_argument(
        "--ablate", action="store_true", help="remove each channel of each layer and measure the PSNR (default: off)"
    )


def run(arguments: Arguments) -> None:
    """Compute saliency, and on demand ablation, of the first image.

    Raises:
        LookupError: no such layer.
        ValueError: no image or several of them, a layer without an image of features, or files that exist.
    """
    import torch

    from srzoo.analysis.saliency import channel_ablation, channel_saliency, truncated_psnr
    from srzoo.engine.log import logger

    output = Output.of(arguments, "saliency")
    net = analysed_network(arguments)
    images = list(images_of(arguments, net))
    if len(images) != 1:
        raise ValueError(f"expected one image, got {len(images)}: saliency of different images cannot be added")
    image = images[0]
    lq = image.lq[None]
    layers = chosen_layers(arguments, net, lq)
    found, objective = channel_saliency(net, lq, layers, max_memory=arguments.max_memory)
    with torch.no_grad():
        sr = net(lq)
    reference = sr if image.gt is None else image.gt[None]
    # Of the whole network, in the metric of the ablation; the output as it is equals itself.
    whole = None if image.gt is None else float(truncated_psnr(sr, reference)[0])
    results: dict[str, dict[str, object]] = {}
    arrays: dict[str, np.ndarray] = {}
    for layer, saliency in found.items():
        curves: dict[str, np.ndarray] = {}
        if arguments.ablate:
            for name, compensate in (("compensated", True), ("plain", False)):
                curves[name] = channel_ablation(
                    net, lq, reference, layer, compensate=compensate, max_memory=arguments.max_memory
                )
        best = ", ".join(f"{channel} ({saliency.channels[channel]:.1f})" for channel in saliency.order[:3])
        logger.info(f"{layer}: {len(saliency.channels)} channels, most salient: {best}")
        results[layer] = {"saliency": saliency.channels.tolist(), "largest_gradient": saliency.largest}
        results[layer] |= {f"ablation_psnr_{name}": curve.tolist() for name, curve in curves.items()}
        arrays[f"{layer}/maps"] = saliency.maps
        arrays |= {f"{layer}/ablation_psnr_{name}": curve for name, curve in curves.items()}
        output.picture(_figure(layer, image, saliency, curves, whole), layer if len(found) > 1 else "")
    output.arrays(arrays)
    parameters = {"image": image.key, "height": lq.shape[2], "width": lq.shape[3], "layers": layers}
    parameters["ablation_reference"] = "sr" if image.gt is None else "gt"
    output.numbers(arguments, net, parameters, objective=objective, psnr_whole=whole, layers=results)


def _figure(
    layer: str, image: Image, saliency: "ChannelSaliency", curves: "dict[str, np.ndarray]", whole: float | None
) -> "Figure":
    import numpy as np

    from srzoo.analysis.figures import AMOUNT, COLOURS, new_figure

    figure = new_figure(9, 4.6 if curves else 3.6, f"{layer} on {image.key}: channels by saliency")
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1.3, 1)))
    order = saliency.order[:_SHOWN]
    panels = left.subplots(-(-len(order) // 4), min(4, len(order)), squeeze=False)
    shown = None
    for panel in panels.ravel():
        panel.axis("off")
    for panel, channel in zip(panels.ravel(), order, strict=False):
        # Gradients span orders of magnitude: the root shows the faint ones.
        shown = panel.imshow(saliency.maps[channel] ** 0.5, cmap=AMOUNT, vmin=0, vmax=1, interpolation="nearest")
        panel.set_title(f"channel {channel}", fontsize=7)
    assert shown is not None
    left.colorbar(shown, ax=panels, fraction=0.03).set_label("sqrt(|gradient| / maximum of the layer)", fontsize=8)
    plots = right.subplots(2 if curves else 1, 1, squeeze=False).ravel()
    plots[0].bar(range(len(saliency.channels)), saliency.channels[saliency.order], color=COLOURS[0])
    plots[0].set_ylabel("saliency (sum of the map)", fontsize=8)
    reference = "SR as it is" if image.gt is None else "GT"
    for (name, curve), colour, marker in zip(curves.items(), COLOURS, "o^", strict=False):
        plots[1].plot(curve[saliency.order], color=colour, marker=marker, markersize=3, linewidth=0.8, label=name)
        plots[1].set_ylabel(f"PSNR against {reference} [dB]", fontsize=8)
    if curves:
        if whole is not None:
            plots[1].axhline(whole, color="0.4", linewidth=0.8, linestyle="--", label="all channels")
        plots[1].legend(fontsize=7)
    plots[-1].set_xlabel("channels, most salient first", fontsize=8)
    return figure
