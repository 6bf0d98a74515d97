"""HTML and SVG built from elements: text is escaped wherever it enters, so that names of images may hold anything."""

import html
import json


class Markup(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


# Elements without content or end tag.
_VOID = {"br", "circle", "image", "img", "input", "line", "meta", "path", "polyline", "rect"}


def element(name: str, /, *content: str, **attributes: str | float | bool | None) -> Markup:
    """Return an element; strings that are no :class:`Markup` are escaped.

    Args:
        name: of the element.
        content: strings inside it, joined.
        attributes: names with "_" for "-", and without one at their end (`class_`); True: without a value; None and
            False: left out.
    """
    words = [name]
    for key, value in attributes.items():
        label = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(label)
        elif value is not None and value is not False:
            words.append(f'{label}="{html.escape(_number(value))}"')
    start = " ".join(words)
    # SVG needs the slash, and HTML does not mind it.
    return Markup(f"<{start} />" if name in _VOID else f"<{start}>{joined(*content)}</{name}>")


def joined(*content: str) -> Markup:
    """Join strings, escaping those that are no :class:`Markup`."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in content))


def data_block(identity: str, content: object) -> Markup:
    """Return a block of JSON for the page's script, which no content can end early."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    safe = Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
    return element("script", safe, type="application/json", id=identity)


def table(head: list[str], rows: list[list[str]], *, caption: str, **attributes: str | bool) -> Markup:
    """Return a table whose first column holds the names of its rows, in a region that scrolls sideways.

    Args:
        head: cells of the first row.
        rows: cells of the others.
        caption: of the table.
        attributes: of the table.
    """
    columns = joined(*(element("th", cell, scope="col") for cell in head))
    body = joined(
        *(
            element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
            for name, *cells in rows
        )
    )
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", columns)),
        element("tbody", body),
        **attributes,
    )
    label = caption if not isinstance(caption, Markup) else "table"
    # A region that scrolls must be reachable by the keyboard.
    return element("div", content, class_="wide", role="region", aria_label=label, tabindex="0")


def _number(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
