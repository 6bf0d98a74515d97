"""Viewers of a report: for each dataset small pictures, a before/after slider, and one crop of all sources.

The page's script (assets/report.js) draws; this module gives it elements and data.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srzoo.report.curves import repeat
from srzoo.report.markup import Markup, data_block, element, joined
from srzoo.report.pictures import SCALE, Pictured, window_sentence

# Full scales of the maps of differences, of which the second is chosen first [8-bit levels].
_FULL_SCALES = (16, 32, 64, 128, 255)


@dataclass(frozen=True)
class PictureSet:
    """Images of one dataset.

    Args:
        title: of the dataset, with its scale.
        sources: names of the columns, in order; the last one is GT.
        images: with the pixels of all sources.
        captions: key of an image -> source -> score of the whole image, with its unit.
        protocol: of PSNR, as results carry it: `name`, `color`, `round_y`, `luma_weights`, `luma_offset`; None: RGB.
        note: which images these are.
        command: that writes them again.
    """

    title: str
    sources: Sequence[str]
    images: Sequence[Pictured]
    captions: Mapping[str, Mapping[str, str]]
    protocol: Mapping[str, object] | None
    note: str
    command: str


def viewer(pictures: PictureSet, number: int) -> Markup:
    """Return the section of one dataset; `number` tells the sections of a page apart."""
    title = f"pictures-{number}"
    return element(
        "section",
        element("h3", pictures.title, id=title),
        element("p", f"{pictures.note} {window_sentence(pictures.images)}", class_="note"),
        element("ul", *(_thumbnail(image, place) for place, image in enumerate(pictures.images)), class_="thumbs"),
        element("noscript", element("p", "Sliders and zoom need JavaScript; all tables work without it.")),
        _stage(pictures),
        repeat(pictures.command),
        data_block(f"set-{number}", _data(pictures, number)),
        class_="set",
        data_number=number,
        aria_labelledby=title,
    )


def blocks(sets: Sequence[PictureSet]) -> Markup:
    """Return the pixels of all pictures, for the end of the page: they are decoded when they are looked at."""
    return joined(
        *(
            element(
                "script",
                Markup(base64.b64encode(image.pixels[source]).decode("ascii")),
                type="text/plain",
                id=_block(number, place, column),
            )
            for number, pictures in enumerate(sets)
            for place, image in enumerate(pictures.images)
            for column, source in enumerate(pictures.sources)
        )
    )


def data_url(content: bytes, kind: str) -> str:
    """Return a file as the address of an image; `kind` is the second part of its media type."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _block(number: int, place: int, column: int) -> str:
    return f"pixels-{number}-{place}-{column}"


def _data(pictures: PictureSet, number: int) -> dict[str, object]:
    """Return the facts about a dataset that the script needs."""
    protocol = pictures.protocol or {"name": "RGB", "color": "rgb"}
    return {
        "sources": list(pictures.sources),
        "scale": [list(colour) for colour in SCALE],
        "protocol": {
            "name": protocol["name"],
            "luma": protocol["color"] == "y",
            "round": bool(protocol.get("round_y", False)),
            "weights": protocol.get("luma_weights", [0, 0, 0]),
            "offset": protocol.get("luma_offset", 0),
        },
        "images": [
            {
                "key": image.key,
                "window": list(image.window),
                "start": list(image.start),
                "grey": image.grey,
                "blocks": [_block(number, place, column) for column in range(len(pictures.sources))],
                "scores": [pictures.captions.get(image.key, {}).get(source, "") for source in pictures.sources],
            }
            for place, image in enumerate(pictures.images)
        ],
    }


def _thumbnail(image: Pictured, place: int) -> Markup:
    height, width = image.size
    factor = 112 / max(height, width)
    picture = element(
        "img",
        src=data_url(image.thumbnail, "jpeg"),
        alt=f"{image.key}: ground truth, {width} by {height} pixels",
        width=round(factor * width),
        height=round(factor * height),
        loading="lazy",
        decoding="async",
    )
    button = element(
        "button", picture, element("span", image.key), type="button", data_image=place, aria_pressed="false"
    )
    return element("li", button)


def _stage(pictures: PictureSet) -> Markup:
    """Return the slider, its controls, and the crops; hidden until the script fills them."""
    names = [element("option", name, value=column) for column, name in enumerate(pictures.sources)]
    scales = [element("option", f"{levels} levels", value=levels, selected=levels == 32) for levels in _FULL_SCALES]
    controls = element(
        "div",
        element("label", "Left ", element("select", *names, class_="left")),
        element("label", "Right ", element("select", *names, class_="right")),
        element("label", element("input", type="checkbox", class_="differences"), " differences from GT"),
        element("label", "full scale ", element("select", *scales, class_="full")),
        element(
            "span",
            "0",
            element("canvas", width=120, height=10, class_="ramp", aria_hidden="true"),
            element("output", class_="top"),
            class_="key",
            hidden=True,
        ),
        class_="controls",
    )
    slider = element(
        "div",
        element("canvas", class_="under", role="img"),
        element("canvas", class_="over", role="img"),
        element("div", class_="bar", aria_hidden="true"),
        element("span", class_="tag tag-left"),
        element("span", class_="tag tag-right"),
        class_="slider",
    )
    words = "Divider between the left and the right picture"
    divider = element("input", type="range", min=0, max=1000, value=500, step=5, class_="divider", aria_label=words)
    fields = [
        element("label", f"{name} ", element("input", type="number", min=0, step=1, class_=kind))
        for name, kind in (("Crop from left", "crop-left"), ("from top", "crop-top"), ("side", "crop-side"))
    ]
    words = (
        "Ground truth with the crop: click to move it; arrow keys move it, with Shift by one pixel; plus and minus "
        "change its side"
    )
    overview = element(
        "figure",
        element("canvas", class_="overview", tabindex="0", role="application", aria_label=words),
        element("figcaption", *fields, element("button", "whole picture", type="button", class_="whole")),
    )
    return element(
        "div",
        element("p", class_="shown", role="status"),
        controls,
        element("div", slider, divider, class_="stage"),
        element("div", overview, element("div", class_="crops"), class_="zoom"),
        element("p", class_="psnr-note note"),
        class_="viewer",
        hidden=True,
    )
