"""The page of a report: complete, self-contained, and safe from the names in it."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from srzoo.report.markup import Markup, data_block, element, table
from srzoo.report.page import page
from tests.report.pages import HOSTILE, report

VOID = {"br", "circle", "image", "img", "input", "line", "meta", "polyline", "rect"}


class Elements(HTMLParser):
    """Elements of a page: (name, attributes, text inside)."""

    def __init__(self, text):
        super().__init__()
        self.open, self.all = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.all[-1])

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID
        self.all.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, text in self.open:
            text.append(data)

    def named(self, name):
        return [(attributes, "".join(text)) for tag, attributes, text in self.all if tag == name]


@pytest.fixture(scope="module")
def text():
    return page(report())


@pytest.fixture(scope="module")
def elements(text):
    return Elements(text)


def test_no_name_becomes_an_element_or_a_script(text, elements):
    assert "<script>window" not in text
    assert not any("onerror" in attributes for _, attributes, _ in elements.all)
    assert HOSTILE in [cell for _, cell in elements.named("th")]
    # One script runs; the others are data.
    kinds = [attributes.get("type") for attributes, _ in elements.named("script")]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/json", "text/plain"}
    (data, *_) = [content for attributes, content in elements.named("script") if attributes.get("id") == "set-0"]
    assert json.loads(data)["images"][0]["key"] == HOSTILE


def test_nothing_is_fetched_and_only_its_own_script_and_style_are_allowed(elements):
    (policy,) = [meta["content"] for meta, _ in elements.named("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    (style,) = [content for _, content in elements.named("style")]
    (script,) = [content for attributes, content in elements.named("script") if "type" not in attributes]
    for name, content in (("style", style), ("script", script)):
        checksum = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{checksum}'" in policy
    for _, attributes, _ in elements.all:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert "http" not in re.sub(r"http-equiv", "", script + style)


def test_without_javascript_tables_curves_and_records_are_there(elements):
    assert [caption for _, caption in elements.named("caption")] == [
        f"Mean {HOSTILE}", "Set5 x2", f"Protocols of {HOSTILE}",
    ]  # fmt: skip
    # Controls that need the script are hidden until it runs.
    hidden = [attributes.get("class") for _, attributes, _ in elements.all if "hidden" in attributes]
    assert set(hidden) == {"viewer", "key", "scripted"}
    assert len(elements.named("noscript")) == 2


def test_pictures_have_words_and_figures_their_commands(elements):
    for attributes, _ in elements.named("img"):
        assert "ground truth, 120 by 96 pixels" in attributes["alt"]
    figures = [content for attributes, content in elements.named("figure") if attributes]
    assert len(figures) == 2
    assert all("Repeat: srzoo" in content for content in figures)
    sections = [attributes for attributes, _ in elements.named("section")]
    known = {attributes["id"] for _, attributes, _ in elements.all if "id" in attributes}
    assert {attributes["aria-labelledby"] for attributes in sections} <= known


def test_pixels_come_behind_everything_else(text):
    assert text.index('type="text/plain"') > text.index("</main>")


def test_sections_without_content_are_left_out():
    empty = dataclasses.replace(report(1), panels=[], sets=[], overlays=[], per_image=[])
    links = [attributes["href"] for attributes, _ in Elements(page(empty)).named("a")]
    assert links == ["#content", "#scores", "#provenance"]


def test_markup_is_escaped_once():
    assert element("p", "a < b", Markup("<br />"), title='"x"') == '<p title="&quot;x&quot;">a &lt; b<br /></p>'
    # Browsers end a script at "</script " too.
    inside = data_block("x", {"</script >": "<!--"}).partition(">")[2].removesuffix("</script>")
    assert json.loads(inside) == {"</script >": "<!--"}
    assert "<" not in inside
    assert 'aria-label="&lt;x&gt;"' in table(["a"], [["b"]], caption="<x>")
