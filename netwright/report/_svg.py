"""Write SVG and HTML as text: escaped elements, and an estimate of how wide a text will be."""

import re
from html import escape

__all__ = ["clean", "element", "number", "shorten", "shorten_middle", "text_width"]

# What XML 1.0 cannot hold: control characters, lone surrogates, non-characters.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NARROW = frozenset("iljtfrI.,:;'!|()[]{}/\\ `\"-")
_BROAD = frozenset("mwMW@%—")


def clean(text: str) -> str:
    """Replace every character that XML cannot hold by U+FFFD.

    Args:
        text: anything, from anywhere.
    """
    return _ILLEGAL.sub("\ufffd", text)


def number(value: float) -> str:
    """Write a coordinate with at most one decimal.

    Args:
        value: in units of the view box.
    """
    short = f"{value:.1f}"
    return short[:-2] if short.endswith(".0") else short


def element(name: str, *children: str, text: str | None = None, **attributes: object) -> str:
    """Write one element; attribute values and `text` are escaped, `children` are already markup.

    Args:
        name: the tag.
        *children: markup to put inside.
        text: plain text to put inside, before the children.
        **attributes: `class_` becomes class, `aria_label` becomes aria-label; None is left out;
            floats are written as coordinates.
    """
    written = [name]
    for key, value in attributes.items():
        if value is None:
            continue
        shown = number(value) if isinstance(value, float) else clean(str(value))
        written.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown, quote=True)}"')
    inside = ("" if text is None else escape(clean(text), quote=False)) + "".join(children)
    opening = " ".join(written)
    return f"<{opening}>{inside}</{name}>" if inside else f"<{opening}/>"


def text_width(text: str, size: float = 12.0) -> float:
    """Estimate the width of a text in a sans-serif face; errs on the wide side.

    Args:
        text: one line.
        size: font size, in units of the view box.
    """
    total = 0.0
    for letter in text:
        if letter in _NARROW:
            total += 0.34
        elif letter in _BROAD:
            total += 0.9
        elif ord(letter) > 0x2E7F:  # ideographs, syllables and pictures fill a square
            total += 1.05
        elif letter.isupper():
            total += 0.7
        else:
            total += 0.57
    return total * size


def shorten(text: str, width: float, size: float = 12.0) -> str:
    """Cut a text to a width, with an ellipsis in place of what is left out.

    Args:
        text: one line.
        width: room, in units of the view box.
        size: font size, in units of the view box.
    """
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    room = width - text_width("…", size)
    kept = 0.0
    for place, letter in enumerate(text):
        kept += text_width(letter, size)
        if kept > room:
            return text[:place].rstrip() + "…"
    return text


def shorten_middle(text: str, width: float, size: float = 12.0) -> str:
    """Cut a name to a width in its middle, since names of a kind often differ only at the end.

    Args:
        text: one line.
        width: room, in units of the view box.
        size: font size, in units of the view box.
    """
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        tail = kept // 2
        cut = f"{text[: kept - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"
        if text_width(cut, size) <= width:
            return cut
    return shorten(text, width, size)
