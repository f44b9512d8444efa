"""Let an SVG drawing into a page only if it can do nothing but be seen."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from netwright.report._svg import clean, element

__all__ = ["InlineDrawing", "inline_drawing"]

_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset(
    "svg g title desc defs marker path rect circle ellipse line polyline polygon text tspan "
    "linearGradient radialGradient stop clipPath use symbol pattern".split()
)
_LOCAL = re.compile(r"#[\w.-]+")
_LOCAL_URL = re.compile(r"url\(\s*#[\w.-]+\s*\)")
_MOST_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class InlineDrawing:
    """A drawing that may stand inside a page.

    Attributes:
        markup: one `svg` element, without namespace prefixes.
        width: that it was made for, in pixels; 0.0 where it does not say.
        height: that it was made for, in pixels; 0.0 where it does not say.
    """

    markup: str
    width: float
    height: float


def inline_drawing(svg: str, name: str) -> InlineDrawing:
    """Check a drawing and write it anew, as an image with a name, to stand inside a page.

    Args:
        svg: an SVG document.
        name: what the drawing shows; used where it has no name of its own.

    Raises:
        ValueError: if it is no well-formed SVG, or holds anything that could run, load or reach
            beyond itself (scripts, styles, links, event handlers, foreign elements), or is larger
            than a page can carry.
    """
    if len(svg.encode(errors="replace")) > _MOST_BYTES:
        raise ValueError(f"`drawing` must be at most {_MOST_BYTES:,} bytes; got {len(svg):,}.")
    if "<!DOCTYPE" in svg or "<!ENTITY" in svg:
        raise ValueError("`drawing` must not declare a document type or entities.")
    try:
        root = ElementTree.fromstring(clean(svg))
    except ElementTree.ParseError as error:
        raise ValueError(f"`drawing` must be well-formed XML; {error}.") from error
    if root.tag.removeprefix(_SVG) != "svg":
        raise ValueError(f"`drawing` must be an `svg` element; got `{root.tag}`.")
    titles = [c for c in root if c.tag.removeprefix(_SVG) == "title"]
    label = root.get("aria-label") or (titles[0].text if titles else None) or name
    width, height = _size(root)
    size = {"style": f"--natural:{width:g}px"} if width else {"width": "100%"}
    markup = _write(root, {"role": "img", "aria-label": label, **size})
    return InlineDrawing(markup, width, height)


def _size(root: ElementTree.Element) -> tuple[float, float]:
    numbers = root.get("viewBox", "").replace(",", " ").split()[2:]
    try:
        width, height = map(float, numbers or (root.get("width", "0"), root.get("height", "0")))
    except ValueError:  # percentages, or a broken view box
        return 0.0, 0.0
    return (width, height) if 0 < width < 1e5 and 0 < height < 1e5 else (0.0, 0.0)


def _write(node: ElementTree.Element, extra: dict[str, str]) -> str:
    if not isinstance(node.tag, str):  # a comment or a processing instruction
        return ""
    name = node.tag.removeprefix(_SVG)
    if name not in _ELEMENTS:
        raise ValueError(f"`drawing` must not contain `{name}` elements.")
    attributes = {}
    for key, value in node.attrib.items():
        key = key.removeprefix(_SVG).removeprefix("{http://www.w3.org/1999/xlink}")
        _check_attribute(name, key, value)
        attributes[key] = value
    attributes |= extra
    inside = [_write(child, {}) + _text(child.tail) for child in node]
    return element(name, *inside, text=node.text, **attributes)


def _check_attribute(owner: str, key: str, value: str) -> None:
    where = f'`{key}="{value[:60]}"` on `{owner}`'
    if "{" in key or key.lower().startswith("on"):
        raise ValueError(f"`drawing` must not carry {where}.")
    if key == "href" and not _LOCAL.fullmatch(value):
        raise ValueError(f"`drawing` must refer only to its own parts; got {where}.")
    if "url(" in _LOCAL_URL.sub("", value) or "@import" in value or "\\" in value:
        raise ValueError(f"`drawing` must refer only to its own parts; got {where}.")


def _text(text: str | None) -> str:
    if not text:
        return ""
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
