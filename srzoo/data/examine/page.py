"""The report as one HTML file: findings with pictures of the images concerned; nothing is loaded from elsewhere."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from srzoo.data.examine.findings import SEVERITIES, Case, Examination, Finding
from srzoo.data.examine.region import centre, luma_levels
from srzoo.data.reduction import reduced
from srzoo.data.storage import read_image
from srzoo.images import encode_image

# Cases of a finding that are shown.
_SHOWN = 8
_SIDE = 320  # of a picture [pixels]
_GAIN = 4  # of differences
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin-bottom: .2rem; }
.fault { color: #c62828; } .warning { color: #b26a00; } .note { color: #2e7d32; }
figure { display: inline-block; margin: .4rem .8rem .4rem 0; vertical-align: top; max-width: 100%; }
figcaption, .case { font-size: .85rem; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; image-rendering: pixelated; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
"""

# (caption, alternative text, pixels).
_Panel = tuple[str, str, np.ndarray]


def page(examinations: Mapping[str, Examination], title: str) -> str:
    """Return the report as HTML.

    Args:
        examinations: stage -> examination; "" for option files with one training.
        title: of the page.
    """
    parts = "".join(f"<h1>{_text(f'{title} {name}'.rstrip())}</h1>\n{_part(one)}" for name, one in examinations.items())
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n{parts}</body>\n</html>\n"
    )


def _part(examination: Examination) -> str:
    """Return the datasets and findings of an examination."""
    rows = "".join(
        f"<tr><td>{_text(one.dataset)}</td><td>{one.images}</td><td>{one.examined}</td></tr>"
        for one in examination.datasets
    )
    sections = "".join(
        f'<h2 class="{severity}">{severity.capitalize()}s</h2>' + "".join(map(_section, found))
        for severity in SEVERITIES
        if (found := examination.of_severity(severity))
    )
    return (
        f"<p>{examination.counts()}.</p>\n"
        f"<table><tr><th>dataset</th><th>images</th><th>examined</th></tr>{rows}</table>\n{sections}"
    )


def _section(finding: Finding) -> str:
    """Return a finding with its cases."""
    shown = "".join(_case(finding, case) for case in finding.cases[:_SHOWN])
    rest = finding.cases[_SHOWN:]
    listed = "".join(f"<li>{_named(case)}</li>" for case in rest)
    more = f"<details><summary>{len(rest)} more</summary><ul>{listed}</ul></details>" if rest else ""
    advice = f"<p>{_text(finding.advice)}</p>" if finding.advice else ""
    return (
        f"<section><h3>{_text(finding.dataset)}: {_text(finding.problem)} [{finding.check}{finding.extent}]</h3>\n"
        f"{advice}{shown}{more}</section>\n"
    )


def _case(finding: Finding, case: Case) -> str:
    try:
        panels = _panels(finding, case)
    except (ValueError, OSError) as error:  # a file that is gone since
        return f'<p class="case">{_named(case)} ({_text(str(error))})</p>'
    figures = "".join(
        f'<figure><img alt="{_text(alternative)}" src="{_source(pixels)}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
        for caption, alternative, pixels in panels
    )
    return f'<div><p class="case">{_named(case)}</p>{figures}</div>\n'


def _named(case: Case) -> str:
    files = " and ".join(map(str, case.files))
    return _text(f"{files}{': ' * bool(case.text)}{case.text}")


def _panels(finding: Finding, case: Case) -> list[_Panel]:
    """Return the pictures of a case."""
    if finding.check in ("colours", "alignment", "kernel") and len(case.files) == 2:
        lq, gt = (_eight_bits(read_image(path).rgb) for path in case.files)
        scale = max(1, gt.shape[0] // lq.shape[0])
        gt = gt[: lq.shape[0] * scale, : lq.shape[1] * scale]
        # Pixel for pixel: resizing would hide the differences of kernels.
        pair = [centre(lq, _SIDE), centre(gt if scale == 1 else reduced(gt, scale), _SIDE)]
        return _beside(pair, ("LQ", "GT, reduced"), case.files)
    if finding.check == "duplicates":
        first, second = (_eight_bits(read_image(path).rgb) for path in case.files)
        mirrored = bool(case.values.get("mirrored"))
        pair = _at_one_size([first, second[:, ::-1] if mirrored else second])
        return _beside(pair, ("first", "second" + ", mirrored" * mirrored), case.files)
    if finding.check == "enlarged":
        image = _eight_bits(read_image(case.files[0]).rgb)
        return [("GT, its middle", "middle of the image", centre(image, _SIDE)), _spectrum(image)]
    if finding.check == "compression" and case.values:
        return _blocks(_eight_bits(read_image(case.files[0]).rgb))
    return []


def _at_one_size(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Resize images to the smallest of their sizes, but not larger than a picture of the page."""
    height = min(image.shape[0] for image in images)
    width = min(image.shape[1] for image in images)
    factor = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return [cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA) for image in images]


def _beside(pair: Sequence[np.ndarray], captions: tuple[str, str], files: Sequence[Path]) -> list[_Panel]:
    """Return two images of one size and their difference."""
    difference = ((pair[0].astype(np.int16) - pair[1]) * _GAIN + 128).clip(0, 255).astype(np.uint8)
    named = [(caption, f"{caption}: {file.name}") for caption, file in zip(captions, files, strict=True)]
    named.append((f"difference x{_GAIN}, 0 is grey", "difference of both"))
    return [(*words, _visible(image)) for words, image in zip(named, [*pair, difference], strict=True)]


def _spectrum(image: np.ndarray) -> _Panel:
    """Return the log spectrum of an image, zero frequency in the middle."""
    part = luma_levels(centre(image, 512))
    window = np.outer(np.hanning(part.shape[0]), np.hanning(part.shape[1]))
    decibels = 20 * np.log10(np.abs(np.fft.fftshift(np.fft.fft2((part - part.mean()) * window))) + 1)
    shown = (decibels / max(float(decibels.max()), 1e-6) * 255).astype(np.uint8)[:, :, None]  # (h, w, 1)
    small = cv2.resize(shown, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)[:, :, None]  # OpenCV drops a single channel
    return "spectrum; the border is Nyquist", "logarithm of the power spectrum", small


def _blocks(image: np.ndarray) -> list[_Panel]:
    """Return the middle of an image, enlarged, and its fine structure, in which blocks show."""
    side = 96
    part = centre(image, side)
    luma = luma_levels(part)
    fine = ((luma - cv2.GaussianBlur(luma, (0, 0), 2)) * 4 + 128).clip(0, 255).astype(np.uint8)[:, :, None]
    return [
        ("GT, its middle", "middle of the image", _visible(part)),
        ("fine structure x4", "blocks of 8x8 pixels", _visible(fine)),
    ]


def _visible(image: np.ndarray) -> np.ndarray:
    """Repeat the pixels of small images."""
    times = max(1, _SIDE // max(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1)


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else np.asarray(pixels)


def _source(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_image(pixels, ".png")).decode()


def _text(text: str) -> str:
    # Names of files may be any bytes.
    return html.escape(text.encode("utf-8", "backslashreplace").decode())
