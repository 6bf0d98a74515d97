"""`srzoo analyze erf`: the effective receptive field."""

import argparse
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import images_of
from srzoo.commands.analysis import add_analysis, analysed_network
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from srzoo.analysis.receptive_field import ReceptiveField


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add images, network and the size of the crops."""
    describe(
        parser,
        "Measure the effective receptive field (Luo et al., NeurIPS 2016): how much each LQ pixel moves the SR pixels "
        "in the middle, as a mean over images; the radii that hold 90% and 99% of it, and the theoretical radius.",
        "images --weights IMDN_x4.pth",
        "images --arch SRResNet --scale 4 --side 96 -o erf_srresnet.pdf",
    )
    add_analysis(parser, "erf")
    parser.add_argument(
        "--side", type=int, metavar="N",
        help="of the central part of each image (default: up to 129, at most the smallest image) [LQ pixels]",
    )  # fmt: skip


def run(arguments: Arguments) -> None:
    """Measure the field over all images.

    Raises:
        ValueError: no images, images smaller than the crop, or files that exist.
    """
    from srzoo.analysis.receptive_field import effective_receptive_field
    from srzoo.engine.log import logger
    from srzoo.progress import shown

    output = Output.of(arguments, "erf")
    net = analysed_network(arguments)
    side = arguments.side
    if side is None:
        # Fields can be averaged over crops of one size only.
        sizes = [min(image.lq.shape[-2:]) for image in images_of(arguments, net)]
        side = min([129, *sizes])
    images = (image.lq for image in shown(images_of(arguments, net), "erf", delay=1.0))
    found = effective_receptive_field(net, images, side=side, max_memory=arguments.max_memory)
    theory = "unbounded" if found.receptive_radius is None else str(found.receptive_radius)
    logger.info(
        f"{found.num_images} image(s) of {side}x{side}: 90 % within {found.radius_90}, 99 % within {found.radius_99} "
        f"LQ pixels; theoretical radius: {theory}"
    )
    if found.is_cut_off:
        logger.warning(f"the field reaches the border of the {side}x{side} crops: it may go on (larger images, --side)")
    output.picture(_figure(found))
    output.arrays({"field": found.field})
    output.numbers(
        arguments,
        net,
        {"side": side, "num_images": found.num_images},
        radius_90=found.radius_90,
        radius_99=found.radius_99,
        support_radius=found.support_radius,
        receptive_radius=found.receptive_radius,
        cut_off=found.is_cut_off,
    )


def _figure(found: "ReceptiveField") -> "Figure":
    import numpy as np

    from srzoo.analysis.figures import COLOURS, mark_square, new_panels, show_map
    from srzoo.analysis.receptive_field import shares_within

    theory = "unbounded" if found.receptive_radius is None else f"{found.receptive_radius} pixels"
    figure, panels = new_panels(
        1, 2, side=4.2, title=f"effective receptive field, {found.num_images} image(s); theoretical radius: {theory}"
    )
    middle = found.field.shape[0] // 2
    # The field falls off by orders of magnitude.
    values = np.log10(np.maximum(found.field / found.field.max(), 1e-6))
    ends = (-middle - 0.5, middle + 0.5, middle + 0.5, -middle - 0.5)
    show_map(panels[0], values, "sensitivity", label="log10 of the share of the maximum", low=-6, high=0, extent=ends)
    radii = [
        (radius, colour, f"{name}: {radius}")
        for radius, colour, name in (
            (found.receptive_radius, COLOURS[1], "theoretical"),
            (found.radius_99, COLOURS[4], "99 %"),
            (found.radius_90, "white", "90 %"),
        )
        if radius is not None and radius <= middle
    ]
    for radius, colour, label in radii:
        mark_square(panels[0], -radius, -radius, 2 * radius + 1, colour, label=label, edge=False)
    panels[0].legend(fontsize=7, loc="upper left", facecolor="0.1", labelcolor="white", framealpha=1)
    # The part that the network sees, with a margin.
    reach = min(middle, max(found.support_radius, *(radius for radius, _, _ in radii)) + 4) + 0.5
    panels[0].set(xlim=(-reach, reach), ylim=(reach, -reach))
    panels[0].set_xlabel("columns from the centre [LQ pixels]", fontsize=8)
    panels[0].set_ylabel("rows from the centre [LQ pixels]", fontsize=8)
    shares = shares_within(found.field)
    panels[1].step(range(len(shares)), shares, where="mid", color=COLOURS[0])
    for share in (0.9, 0.99):
        panels[1].axhline(share, color="0.6", linewidth=0.8, linestyle="--")
    panels[1].set_xlabel("radius [LQ pixels]", fontsize=8)
    panels[1].set_ylabel("share of the field within it", fontsize=8)
    panels[1].set_title("share within a radius", fontsize=9)
    panels[1].set_ylim(0, 1.02)
    return figure
