"""`srzoo analyze lam`: local attribution maps."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysed_images import Image, images_of
from srzoo.commands.analysis import add_analysis, analysed_network
from srzoo.commands.analysis_output import Output
from srzoo.commands.arguments import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from srzoo.analysis.diffusion import DiffusionIndex
    from srzoo.analysis.lam import LocalAttribution, Window


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add images, network, window and path."""
    describe(
        parser,
        "Draw the LQ pixels that a window of the SR image depends on (local attribution map, Gu & Dong, CVPR 2021), "
        "and compute the diffusion index, which can be compared between images of one size only.",
        "image.png --window 100,120,16 --weights IMDN_x4.pth",
        "image.png --window 100,120,16 --arch Bicubic --scale 4 -o lam_bicubic --baseline lam.json",
    )
    add_analysis(parser, "lam")
    parser.add_argument(
        "--window", type=window_of, metavar="Y,X,SIZE",
        help="row, column and side of the window (default: 16 pixels in the middle) [SR pixels]",
    )  # fmt: skip
    parser.add_argument(
        "--path", choices=["gaussian_blur", "gaussian_linear", "linear"], default="gaussian_blur",
        help="through smaller and smaller blurs; straight from a blurred image; straight from black "
        "(default: gaussian_blur)",
    )  # fmt: skip
    parser.add_argument("--sigma", type=float, default=1.2, help="of the first blur (default: 1.2) [LQ pixels]")
    parser.add_argument("--fold", type=int, default=50, help="points of the path (default: 50)")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE",
        help="numbers of an earlier LAM (lam.json), whose diffusion index is compared (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--cmap",
        default="viridis",
        help="colours of the heat map, such as cividis, or the authors' seismic (default: viridis)",
    )


def window_of(text: str) -> "tuple[int, int, int]":
    """Read Y,X,SIZE."""
    try:
        top, left, size = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected row, column and side as Y,X,SIZE, got {text!r}") from None
    return top, left, size


def run(arguments: Arguments) -> None:
    """Draw the maps of all images.

    Raises:
        ValueError: a window outside the image, files that exist, or images whose diffusion indices are not comparable.
    """
    import numpy as np

    from srzoo.analysis.figures import require_colours
    from srzoo.analysis.lam import Window, local_attribution
    from srzoo.contract import identity_of
    from srzoo.engine.log import logger

    output = Output.of(arguments, "lam")
    require_colours(arguments.cmap)
    net = analysed_network(arguments)
    scale = identity_of(net).scale
    results: dict[str, object] = {}
    arrays: dict[str, np.ndarray] = {}
    earlier = _earlier(arguments.baseline) if arguments.baseline else {}
    for image in images_of(arguments, net):
        height, width = (scale * side for side in image.lq.shape[-2:])
        middle = (max(0, height // 2 - 8), max(0, width // 2 - 8), min(16, height, width))
        window = Window(*(arguments.window or middle))
        if arguments.baseline:
            if image.key not in earlier:
                raise ValueError(f"{arguments.baseline} has no image {image.key}; it has {', '.join(earlier)}")
            # Before the work: a comparison that is refused costs nothing.
            earlier[image.key].require_size(*image.lq.shape[-2:])
        found = local_attribution(
            net,
            image.lq[None],
            window,
            path=arguments.path,
            sigma=arguments.sigma,
            fold=arguments.fold,
            max_memory=arguments.max_memory,
        )
        results[image.key] = _numbers(found, window)
        index = found.diffusion_index
        line = f"{image.key}: diffusion index {index.value:.3f} ({index.height}x{index.width})"
        if arguments.baseline:
            line += f", {index - earlier[image.key]:+.3f} against {arguments.baseline.name}"
        logger.info(line)
        for name in ("attribution", "saliency", "heat"):
            arrays[f"{image.key}/{name}"] = getattr(found, name)
        output.picture(_figure(image, found, window, scale, arguments.cmap), "" if len(results) == 1 else image.key)
    if not results:
        raise ValueError("no images: nothing was analysed")
    output.arrays(arrays)
    parameters = {"path": arguments.path, "sigma": arguments.sigma, "fold": arguments.fold}
    output.numbers(arguments, net, parameters, images=results)


def _numbers(found: "LocalAttribution", window: "Window") -> dict[str, object]:
    index = found.diffusion_index
    return {
        "diffusion_index": index.value,
        "height": index.height,
        "width": index.width,
        "window": [window.top, window.left, window.size],
        "objective": found.objective,
        "objective_baseline": found.objective_baseline,
        "sum_of_attributions": float(found.attribution.sum()),
        "evaluated_points": found.evaluated,
    }


def _earlier(file: Path) -> "dict[str, DiffusionIndex]":
    """Read the diffusion indices of an earlier analysis.

    Raises:
        ValueError: the file holds none.
    """
    from srzoo.analysis.diffusion import DiffusionIndex

    try:
        images = json.loads(file.read_text(encoding="utf-8"))["images"]
        return {
            key: DiffusionIndex(
                float("nan") if each["diffusion_index"] is None else float(each["diffusion_index"]),
                each["height"],
                each["width"],
            )
            for key, each in images.items()
        }
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} holds no numbers of `srzoo analyze lam`: {error!r:.80}") from error


def _figure(image: Image, found: "LocalAttribution", window: "Window", scale: int, cmap: str) -> "Figure":
    from srzoo.analysis.figures import mark_square, new_panels, show_image, show_map

    index = found.diffusion_index
    title = f"{image.key}: diffusion index {index.value:.2f} ({index.height} x {index.width} pixels)"
    figure, panels = new_panels(1, 4, side=3.0, title=title)
    lq, sr = (picture.permute(1, 2, 0).cpu().numpy() for picture in (image.lq, found.sr))  # (H, W, C)
    show_image(panels[0], lq.squeeze(), "LQ, and the window in it")
    mark_square(panels[0], window.top / scale, window.left / scale, window.size / scale)
    show_image(panels[1], sr.squeeze(), "SR, and the window")
    mark_square(panels[1], window.top, window.left, window.size)
    # Attributions span orders of magnitude: the root shows the faint ones.
    show_map(panels[2], found.saliency**0.5, "saliency", label="sqrt(saliency)", cmap=cmap, low=0, high=1)
    # The authors' diverging colours start in the middle of their scale.
    low = -1 if cmap == "seismic" else 0
    show_map(panels[3], found.heat, "density of the saliency", label="density / maximum", cmap=cmap, low=low, high=1)
    return figure
