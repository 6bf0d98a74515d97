"""`srzoo analyze features`: feature maps and statistics of channels."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import images_of
from srzoo.commands.analysis import add_analysis, add_layers, analysed_network, chosen_layers
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from srzoo.analysis.features import ChannelStatistics

# Most channels in a picture, and most columns of it.
_SHOWN, _COLUMNS = 64, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add images, network and layers."""
    describe(
        parser,
        "Draw the feature maps of layers for the first image, and gather statistics of every channel over all images: "
        "range, dead and saturated channels. --refinement draws what each step of IMDN's distillation blocks keeps.",
        "images --layer IMDB3 --weights IMDN_x4.pth",
        "image.png --layer all --refinement --weights IMDN_x4.pth",
    )
    add_analysis(parser, "features")
    add_layers(parser)
    parser.add_argument(
        "--refinement", action="store_true", help="draw the steps of distillation blocks (default: off)"
    )


def run(arguments: Arguments) -> None:
    """Draw the features and write their statistics.

    Raises:
        LookupError: no such layer, or --refinement of a network without distillation blocks.
        ValueError: no image, a layer without an image of features, or files that exist.
    """
    from srzoo.analysis.features import channel_statistics, layer_features, refinement_blocks, refinement_maps
    from srzoo.engine.log import logger

    output = Output.of(arguments, "features")
    net = analysed_network(arguments)
    first = next(iter(images_of(arguments, net)))
    layers = chosen_layers(arguments, net, first.lq[None])
    blocks = refinement_blocks(net) if arguments.refinement else {}
    if arguments.refinement and not blocks:
        raise LookupError(f"--refinement: {type(net).__name__} has no distillation block, as IMDN's networks have")
    statistics = channel_statistics(
        net, lambda: (image.lq for image in images_of(arguments, net)), layers, max_memory=arguments.max_memory
    )
    features = layer_features(net, first.lq[None], layers, max_memory=arguments.max_memory)
    arrays: dict[str, np.ndarray] = {layer: maps.cpu().numpy() for layer, maps in features.items()}
    for layer in layers:
        output.picture(_figure(layer, first.key, arrays[layer], statistics[layer]), layer if len(layers) > 1 else "")
        dead, saturated = (int(getattr(statistics[layer], name).sum()) for name in ("dead", "saturated"))
        logger.info(f"{layer}: {len(statistics[layer].mean)} channels, {dead} dead, {saturated} saturated")
    for block in blocks:
        arrays[f"{block}/refinement"] = refinement_maps(net, first.lq[None], block)
    if blocks:
        output.picture(_refinement(first.key, {block: arrays[f"{block}/refinement"] for block in blocks}), "refinement")
    output.arrays(arrays)
    results = {
        layer: {name: values.tolist() for name, values in dataclasses.asdict(each).items()}
        for layer, each in statistics.items()
    }
    output.numbers(arguments, net, {"first_image": first.key, "layers": layers}, layers=results)


def _figure(layer: str, key: str, maps: "np.ndarray", statistics: "ChannelStatistics") -> "Figure":
    import numpy as np

    from srzoo.analysis.features import contact_sheet
    from srzoo.analysis.figures import AMOUNT, SIGNED, new_figure, show_map

    shown = maps[:_SHOWN]
    columns = min(_COLUMNS, len(shown))
    low, high = (float(end) for end in np.percentile(shown, (0.5, 99.5)))
    if low < 0:  # signed values: 0 in the middle of the scale
        low, high = -max(-low, high), max(-low, high)
    rest = f", first {_SHOWN} of {len(maps)}" if len(maps) > _SHOWN else ""
    sheet = contact_sheet(shown, columns)
    tall = min(max(6.5 * sheet.shape[0] / sheet.shape[1], 1.5), 12)
    figure = new_figure(7.5, tall + 0.5, f"{layer} on {key}: {len(maps)} channels{rest}")
    panel = figure.subplots()
    show_map(panel, sheet, "", label="feature", low=low, high=high, cmap=SIGNED if low < 0 else AMOUNT)
    panel.axis("off")
    height, width = (side + 1 for side in maps.shape[1:])
    for channel in range(len(shown)):
        note = " dead" if statistics.dead[channel] else " saturated" if statistics.saturated[channel] else ""
        panel.text(
            channel % columns * width, channel // columns * height, f"{channel}{note}", fontsize=6, va="top",
            bbox={"facecolor": "white", "alpha": 0.6, "pad": 0.5, "linewidth": 0},
        )  # fmt: skip
    return figure


def _refinement(key: str, maps: "dict[str, np.ndarray]") -> "Figure":
    from srzoo.analysis.figures import SIGNED, new_panels, show_map

    steps = max(len(each) for each in maps.values())
    figure, panels = new_panels(len(maps), steps, side=2.2, title=f"progressive refinement on {key}")
    for panel in panels:
        panel.axis("off")
    for row, (block, each) in enumerate(maps.items()):
        for step, values in enumerate(each):
            end = float(abs(values).max()) or 1.0
            panel = panels[row * steps + step]
            show_map(panel, values, f"{block}, step {step + 1}", label="mean", cmap=SIGNED, low=-end, high=end)
    return figure
