"""Local attribution maps over the images that they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

from srzoo.report.curves import repeat
from srzoo.report.markup import Markup, element, joined
from srzoo.report.viewer import data_url


@dataclass(frozen=True)
class Overlay:
    """One attribution map of `srzoo analyze lam`.

    Args:
        title: image and network.
        size: (height, width) of LQ [pixels].
        lq: PNG file of the LQ image; None: it was not found.
        heat: PNG file of the map, transparent where it is small.
        window: top, left and side of the window that is explained, in LQ pixels.
        diffusion_index: of the map; None: undefined.
        command: that computes it again.
    """

    title: str
    size: tuple[int, int]
    lq: bytes | None
    heat: bytes
    window: tuple[float, float, float]
    diffusion_index: float | None
    command: str


def overlay_section(overlays: Sequence[Overlay]) -> Markup:
    """Return the figures of all maps."""
    if not overlays:
        return Markup()
    note = (
        "Colours show the density of the LQ pixels that the marked window depends on, from dark (little) to bright; "
        "diffusion indices of images of one size can be compared."
    )
    return joined(element("p", note, class_="note"), *(_figure(overlay) for overlay in overlays))


def _figure(overlay: Overlay) -> Markup:
    height, width = overlay.size
    index = "undefined" if overlay.diffusion_index is None else f"{overlay.diffusion_index:.3f}"
    words = f"{overlay.title}: diffusion index {index} ({height} x {width} pixels)"
    images = []
    for content, kind in ((overlay.lq, "lq"), (overlay.heat, "heat")):
        if content is not None:
            images.append(
                element("image", href=data_url(content, "png"), width=width, height=height, class_=f"pixels {kind}")
            )
    top, left, side = overlay.window
    mark = element("rect", x=left, y=top, width=side, height=side, class_="mark")
    drawing = element(
        "svg",
        element("title", words),
        element("rect", width=width, height=height, class_="blank"),
        *images,
        mark,
        viewBox=f"0 0 {width} {height}",
        role="img",
    )
    control = element(
        "label",
        "Map ",
        element("input", type="range", min=0, max=100, value=80, class_="opacity", aria_label="Opacity of the map"),
        class_="scripted",
        hidden=True,
    )
    return element("figure", drawing, element("figcaption", words, control, repeat(overlay.command)), class_="overlay")
