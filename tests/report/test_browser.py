"""The page of a report in a real browser, without a display: Debian's chromium, driven by Playwright."""

import base64
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from srzoo.images import decode_image, to_tensor
from srzoo.metrics.protocol import PROTOCOLS
from srzoo.metrics.psnr import psnr
from srzoo.report.page import page
from tests.report.pages import HOSTILE, columns, report

pytest.importorskip("playwright.sync_api", reason='the browser is driven by Playwright: pip install -e ".[dev]"')
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (apt-get install chromium)")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(report()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # A sandbox needs rights that containers lack; the page is ours.
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Seen:
    """A page, with everything that it logged and asked for."""

    def __init__(self, browser, file, **context):
        self.context = browser.new_context(viewport={"width": 1200, "height": 900}, **context)
        self.page = self.context.new_page()
        self.logged, self.requests = [], []
        self.page.on("console", lambda message: self.logged.append(message.text))
        self.page.on("pageerror", lambda error: self.logged.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.own = file.as_uri()

    def close(self):
        """Check that nothing was logged, fetched or attacked, and close the page."""
        scripted = self.page.evaluate("() => window.attacked")
        self.context.close()
        assert self.logged == []
        assert [url for url in self.requests if not url.startswith("data:")] == [self.own]
        assert scripted is None


@pytest.fixture
def seen(browser, file):
    seen = Seen(browser, file)
    yield seen
    seen.close()


def opened(seen, number=0, image=0):
    """Open an image of a dataset, and return the section."""
    section = seen.page.locator("section.set").nth(number)
    section.locator(".thumbs button").nth(image).click()
    seen.page.wait_for_selector(f"section.set[data-number='{number}'][data-ready='{image}']")
    return section


def pixels(locator):
    """Return the pixels of a canvas, (H, W, 3)."""
    url = locator.evaluate("canvas => canvas.toDataURL('image/png')")
    return decode_image(base64.b64decode(url.partition(",")[2]), Path("canvas.png")).rgb


def test_pictures_open_as_they_come_into_view_and_on_demand(seen):
    assert seen.page.locator(".viewer:visible").count() == 0
    seen.page.locator("#pictures").scroll_into_view_if_needed()
    seen.page.wait_for_selector("section.set[data-ready='0']")
    section = opened(seen, 0, 1)
    assert section.locator("button[aria-pressed='true']").inner_text() == "image 1"
    assert "image 1" in section.locator(".shown").inner_text()


def test_the_slider_shows_one_picture_left_and_the_other_right(seen):
    section = opened(seen)
    expected = columns(0)
    np.testing.assert_array_equal(pixels(section.locator(".over")), expected["bicubic"])
    np.testing.assert_array_equal(pixels(section.locator(".under")), expected["network"])
    section.locator(".right").select_option("GT")
    np.testing.assert_array_equal(pixels(section.locator(".under")), expected["GT"])
    assert section.locator(".tag-left").inner_text() == "bicubic"


def test_the_slider_is_dragged_and_moved_by_keys(seen):
    section = opened(seen)
    slider, divider = section.locator(".slider"), section.locator(".divider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    seen.page.mouse.move(x, y)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] / 4, y, steps=3)
    seen.page.mouse.up()
    assert float(divider.input_value()) == pytest.approx(250, abs=5)
    clip = section.locator(".over").evaluate("canvas => canvas.style.clipPath")
    assert float(clip.split()[1].rstrip("%")) == pytest.approx(75, abs=0.5)
    seen.page.mouse.move(x, y)  # the button is up
    assert float(divider.input_value()) == pytest.approx(250, abs=5)
    divider.focus()
    seen.page.keyboard.press("End")
    assert section.locator(".over").evaluate("canvas => canvas.style.clipPath").startswith("inset(0px 0% ")
    seen.page.keyboard.press("ArrowLeft")
    assert divider.input_value() == "995"
    assert divider.get_attribute("aria-valuetext") == "100 % of the left picture"


def crop_of(section):
    return [int(section.locator(f".crop-{name}").input_value()) for name in ("left", "top", "side")]


def captions(section):
    return section.locator(".crops figcaption").all_inner_texts()


def expected_psnr(image, gt, crop, name):
    """Return PSNR in the colours of a protocol, of a crop."""
    left, top, side = crop
    sr, truth = (to_tensor(each[top : top + side, left : left + side])[None] for each in (image, gt))
    return float(psnr(*dataclasses.replace(PROTOCOLS[name], crop_border=0).prepare(sr, truth, 2)))


def test_the_crop_is_the_same_everywhere_with_its_psnr(seen):
    section = opened(seen, 0, 1)
    images = columns(40)
    section.locator(".crop-side").fill("40")
    section.locator(".crop-side").press("Enter")
    overview = section.locator(".overview")
    overview.scroll_into_view_if_needed()
    box = overview.bounding_box()
    # A click puts the middle of the crop there.
    seen.page.mouse.click(box["x"] + box["width"] * 50 / 120, box["y"] + box["height"] * 44 / 96)
    left, top, side = crop_of(section)
    assert (left, top, side) == (pytest.approx(30, abs=1), pytest.approx(24, abs=1), 40)
    overview.focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Shift+ArrowDown")
    assert crop_of(section) == [left + 10, top + 1, side]
    left, top, side = crop_of(section)
    for place, (name, image) in enumerate(images.items()):
        crop = pixels(section.locator(".crops canvas").nth(place))
        np.testing.assert_array_equal(crop, image[top : top + side, left : left + side])
        words = captions(section)[place]
        if name == "GT":
            assert words == "GT"
        else:
            value = expected_psnr(image, images["GT"], (left, top, side), "basicsr-y")
            assert words == f"{name} {value:.2f} dB"
    assert "luma as in basicsr-y" in section.locator(".psnr-note").inner_text()


def test_without_a_protocol_the_psnr_is_over_rgb(seen):
    section = opened(seen, 1, 0)
    images, crop = columns(40), crop_of(section)
    value = expected_psnr(images["network"], images["GT"], crop, "basicsr-rgb")
    assert captions(section)[1] == f"network {value:.2f} dB"


def test_the_crop_stays_inside_and_grows_to_the_whole_picture(seen):
    section = opened(seen)
    overview = section.locator(".overview")
    overview.focus()
    for _ in range(12):
        seen.page.keyboard.press("ArrowLeft")
        seen.page.keyboard.press("ArrowUp")
    assert crop_of(section)[:2] == [0, 0]
    before = crop_of(section)[2]
    seen.page.keyboard.press("+")
    assert crop_of(section)[2] < before
    section.locator(".whole").click()
    assert crop_of(section) == [0, 0, 120]
    np.testing.assert_array_equal(pixels(section.locator(".crops canvas").nth(2)), columns(0)["GT"])


def test_differences_are_drawn_on_one_scale(seen):
    section = opened(seen)
    section.locator(".whole").click()
    section.locator(".differences").check()
    section.locator(".full").select_option("16")
    images = columns(0)
    scale = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
    for place, name in enumerate(("bicubic", "network")):
        difference = np.abs(images[name].astype(float) - images["GT"]).mean(2).clip(0, 16) / 16
        expected = np.stack([np.interp(4 * difference, range(5), scale[:, channel]) for channel in range(3)], 2)
        drawn = pixels(section.locator(".crops canvas").nth(place))
        assert np.abs(drawn - expected).max() <= 0.5 + 1e-9
    np.testing.assert_array_equal(pixels(section.locator(".crops canvas").nth(2)), images["GT"])
    assert section.locator(".key").inner_text() == "016 levels"


def test_tables_are_sorted_by_the_keyboard(seen):
    table = seen.page.locator("table.sortable")
    head = table.locator("thead th").nth(1)
    head.locator("button").focus()

    def column(number):
        return table.locator(f"tbody tr :nth-child({number})").all_inner_texts()

    assert head.get_attribute("aria-sort") == "none"
    seen.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(2) == ["inf", "10.25", "9.5", "-"]
    seen.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(2) == ["9.5", "10.25", "inf", "-"]
    table.locator("thead th button").first.click()
    assert head.get_attribute("aria-sort") == "none"
    assert column(1)[-3:] == ["a", "b", "c"]
    # All names of columns are still there, as they are.
    assert table.locator("thead th").all_inner_texts() == ["image", f"run {HOSTILE} psnr"]


def test_the_attribution_map_fades(seen):
    heat, opacity = seen.page.locator("image.heat"), seen.page.locator(".opacity")
    assert heat.get_attribute("opacity") == "0.8"
    opacity.focus()
    seen.page.keyboard.press("Home")
    assert heat.get_attribute("opacity") == "0"


def luminance(colour):
    red, green, blue = (int(value) / 255 for value in colour.removeprefix("rgb(").rstrip(")").split(","))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_are_readable_in_light_and_dark(browser, file, scheme):
    seen = Seen(browser, file, color_scheme=scheme)
    ground = luminance(seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.1) == (scheme == "dark")
    for selector, name, least in (
        ("h1", "color", 7), (".note", "color", 4.5), ("a[href]", "color", 4.5),
        (".line.c0", "stroke", 3), (".line.c1", "stroke", 3),
    ):  # fmt: skip
        colour = seen.page.locator(selector).last.evaluate(f"element => getComputedStyle(element).{name}")
        high, low = sorted((luminance(colour), ground), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= least, (selector, colour)  # contrast of WCAG 2
    seen.close()


def test_without_javascript_the_tables_are_there(browser, file):
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(file.as_uri())
    assert plain.locator("table.sortable tbody tr").count() == 4
    assert plain.locator("svg.curves:visible").count() == 1
    assert plain.locator("noscript").first.is_visible()
    assert plain.locator(".viewer:visible").count() == 0
    plain.locator("summary").first.click()
    assert plain.get_by_text("round_rgb").is_visible()
    context.close()


def test_the_tab_key_reaches_every_control(seen):
    opened(seen)
    reached = set()
    for _ in range(60):
        seen.page.keyboard.press("Tab")
        reached.add(seen.page.evaluate("() => document.activeElement.className || document.activeElement.tagName"))
    assert {"divider", "overview", "left", "right", "differences", "full", "crop-left", "whole"} <= reached
