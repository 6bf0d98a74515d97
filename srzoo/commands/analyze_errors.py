"""`srzoo analyze errors`: where SR images are wrong, and how."""

import argparse
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import Image, images_of
from srzoo.commands.analysis import add_analysis, analysed_network
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from srzoo.analysis.errors import Classes, ErrorMaps

# Crops listed from each end.
_LISTED = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add LQ and GT images, network and crops."""
    describe(
        parser,
        "Draw error maps on one scale for all images, hallucinated and missing detail, PSNR by local frequency and by "
        "the strength of edges, and the difference of the reduced SR image to LQ; list the best and worst images and "
        "crops.",
        "lq --gt gt --weights IMDN_x4.pth",
        "--gt gt --weights IMDN_x4.pth --crop 64 -o errors.pdf",
    )
    add_analysis(parser, "errors", gt="to compare with")
    parser.add_argument(
        "--crop", type=int, default=64, metavar="N", help="side of best and worst crops (default: 64) [SR pixels]"
    )
    parser.add_argument("--count", type=int, default=4, metavar="N", help="images drawn, the worst ones (default: 4)")


def run(arguments: Arguments) -> None:
    """Measure the errors of all images.

    Raises:
        ValueError: no image, an image without GT, or files that exist.
    """
    import numpy as np

    from srzoo.analysis.errors import consistency, edge_classes, error_maps, frequency_classes, worst_and_best_crops
    from srzoo.engine.log import logger
    from srzoo.progress import shown

    output = Output.of(arguments, "errors")
    if arguments.crop < 1 or arguments.count < 1:
        raise ValueError("--crop and --count are at least 1")
    net = analysed_network(arguments)
    # Doubling classes: edges and errors span orders of magnitude. In levels per pixel; cycles per pixel.
    steps = (np.array([0.0, 1, 2, 4, 8, 16, 32, 64, 256]), np.linspace(0, 0.5, 11))
    by_edge: Classes | None = None
    by_frequency: Classes | None = None
    results: dict[str, dict[str, object]] = {}
    scores: dict[str, float] = {}
    crops_of_set: list[tuple[float, dict[str, object]]] = []
    arrays: dict[str, np.ndarray] = {}
    drawn: list[tuple[Image, ErrorMaps, np.ndarray, np.ndarray]] = []
    for image in shown(images_of(arguments, net), "errors", delay=1.0):
        if image.gt is None:
            raise ValueError(f"{image.key}: errors need GT images: name them with --gt")
        sr = _output(net, image, arguments.max_memory)
        gt = image.gt[None]
        maps = error_maps(sr, gt)
        back, differences = consistency(sr, image.lq[None])
        edges, frequencies = edge_classes(sr, gt, steps[0]), frequency_classes(sr, gt, steps[1])
        by_edge = edges if by_edge is None else by_edge + edges
        by_frequency = frequencies if by_frequency is None else by_frequency + frequencies
        crops = worst_and_best_crops(maps.error, arguments.crop, _LISTED)
        scores[image.key] = maps.psnr
        crops_of_set += [
            (rms, {"image": image.key, "top": top, "left": left, "rms_error": rms}) for top, left, rms in crops
        ]
        results[image.key] = {
            "psnr_rgb": maps.psnr,
            "consistency_psnr": back,
            "mean_error": float(maps.error.mean()),
            "mean_hallucination": float(maps.hallucination.mean()),
            "mean_omission": float(maps.omission.mean()),
        }
        for name in ("error", "hallucination", "omission"):
            arrays[f"{image.key}/{name}"] = getattr(maps, name).astype(np.float32)
        arrays[f"{image.key}/consistency"] = differences.astype(np.float32)
        drawn.append((image, maps, sr[0].permute(1, 2, 0).cpu().numpy(), differences))
        # Only the worst images are drawn.
        drawn = sorted(drawn, key=lambda each: each[1].psnr)[: arguments.count]
    if by_edge is None or by_frequency is None:
        raise ValueError("no images: nothing was analysed")
    order = sorted(scores, key=lambda key: scores[key])
    worst, best = (", ".join(f"{key} {scores[key]:.2f} dB" for key in keys[:3]) for keys in (order, order[::-1]))
    logger.info(f"worst: {worst}; best: {best}")
    output.picture(_maps(drawn, arguments.crop))
    output.picture(_curves(by_edge, by_frequency), "curves")
    output.arrays(arrays)
    curves = {
        name: {"ends": each.edges.tolist(), "count": each.count.tolist(), "psnr": each.psnr.tolist()}
        for name, each in (("edge_strength", by_edge), ("local_frequency", by_frequency))
    }
    parameters = {"protocol": "RGB, 8 bits, no border", "crop": arguments.crop}
    ranked = [crop for _, crop in sorted(crops_of_set, key=lambda each: -each[0])]
    output.numbers(
        arguments,
        net,
        parameters,
        worst_to_best=order,
        worst_crops=ranked[:_LISTED],
        best_crops=ranked[: -_LISTED - 1 : -1],
        images=results,
        psnr_by=curves,
    )


def _output(net: "nn.Module", image: Image, max_memory: int | None) -> "Tensor":
    import torch

    from srzoo.analysis.memory import MemoryLimit

    with torch.no_grad(), MemoryLimit(max_memory):
        return net(image.lq[None])


def _maps(drawn: "list[tuple[Image, ErrorMaps, np.ndarray, np.ndarray]]", crop: int) -> "Figure":
    import numpy as np

    from srzoo.analysis.errors import worst_and_best_crops
    from srzoo.analysis.figures import COLOURS, mark_square, new_panels, show_image, show_map

    figure, panels = new_panels(len(drawn), 5, side=2.9, title="errors, worst images first; one scale per column")
    # One scale for all images; single pixels do not set it.
    ends = [
        float(np.percentile(np.concatenate([each.ravel() for each in column]), 99.5)) or 1.0
        for column in (
            [maps.error for _, maps, _, _ in drawn],
            [maps.hallucination for _, maps, _, _ in drawn] + [maps.omission for _, maps, _, _ in drawn],
            [differences for _, _, _, differences in drawn],
        )
    ]
    for row, (image, maps, sr, differences) in enumerate(drawn):
        own = panels[5 * row : 5 * row + 5]
        show_image(own[0], sr.squeeze(), f"{image.key}: {maps.psnr:.2f} dB")
        crops = worst_and_best_crops(maps.error, crop, 1)
        for (top, left, _), colour in zip((crops[0], crops[-1]), (COLOURS[1], COLOURS[0]), strict=True):
            mark_square(own[0], top, left, crop, colour)
        show_map(own[1], maps.error, "|SR - GT|", label="levels", low=0, high=ends[0])
        show_map(own[2], maps.hallucination, "hallucinated detail", label="levels", low=0, high=ends[1])
        show_map(own[3], maps.omission, "missing detail", label="levels", low=0, high=ends[1])
        show_map(own[4], differences, "|reduced SR - LQ|", label="levels", low=0, high=ends[2])
    return figure


def _curves(by_edge: "Classes", by_frequency: "Classes") -> "Figure":
    from srzoo.analysis.figures import COLOURS, new_panels

    figure, panels = new_panels(1, 2, side=3.8, title="PSNR where GT has edges and fine structures")
    for panel, classes, label, unit in (
        (panels[0], by_edge, "strength of edges in GT", "levels per pixel"),
        (panels[1], by_frequency, "local frequency of GT", "cycles per pixel"),
    ):
        names = [f"{low:g}-{high:g}" for low, high in zip(classes.edges, classes.edges[1:], strict=False)]
        panel.plot(names, classes.psnr, color=COLOURS[0], marker="o", label="PSNR")
        panel.set_xlabel(f"{label} [{unit}]", fontsize=8)
        panel.set_ylabel("PSNR [dB]", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.tick_params(axis="x", rotation=60)
        shares = panel.twinx()
        shares.bar(names, classes.count / classes.count.sum(), color=COLOURS[4], alpha=0.3)
        shares.set_ylabel("share of the pixels (bars)", fontsize=8)
        shares.tick_params(labelsize=7)
        # The curve in front of the bars.
        panel.set_zorder(shares.get_zorder() + 1)
        panel.patch.set_visible(False)
    return figure
