"""Draw images with captions into one PNG that a person can read and a report can carry."""

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Shaped
from torch import Tensor

from netwright.finding import Picture

if TYPE_CHECKING:
    from PIL import Image, ImageFont

__all__ = ["contact_sheet"]

_FONT_SIZE = 13
_LINE = 17  # pixels from one caption line to the next
_GAP = 10
_CAPTION = 128  # pixels for about 18 characters; a longer line is cut
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def contact_sheet(
    images: Shaped[Tensor, "n channels height width"],
    captions: Sequence[Sequence[str]],
    *,
    title: str,
    alt: str,
    columns: int = 6,
    side: int = 112,
    most_bytes: int = 80_000,
) -> Picture:
    """Draw images in a grid, each with its caption lines underneath.

    Small images are enlarged by a whole factor with sharp pixels, large ones are reduced. When the
    file would be too large it gets fewer colours, then smaller images.

    Args:
        images: float in [0, 1] or uint8; 1, 3 or more channels (beyond three: the mean, in grey).
        captions: the lines under each image; a line that does not fit is cut with an ellipsis.
        title: caption of the whole picture.
        alt: what it shows, in words.
        columns: images side by side.
        side: pixels of the longer side of an image in the sheet, roughly.
        most_bytes: size of the PNG file that is not to be exceeded.

    Raises:
        ValueError: if there are no images or not one caption for each.
    """
    if len(images) == 0 or len(images) != len(captions):
        raise ValueError(
            f"`captions` must have one entry for each of at least one image; got {len(captions)} "
            f"for {len(images)}."
        )
    data = b""
    for length in (side, side // 2, side // 4):
        sheet, grey = _draw(images, captions, columns, length)
        for colors in (256, 64, 16):
            data = _encode(sheet, colors, grey)
            if len(data) <= most_bytes:
                png = base64.b64encode(data).decode()
                return Picture(title=title, png=png, alt=alt, pixelated=False)  # it has text
    raise ValueError(
        f"`images` do not fit in `most_bytes` = {most_bytes:,} bytes; the smallest sheet takes "
        f"{len(data):,}. Show fewer than {len(images)} images."
    )


def _draw(
    images: Tensor, captions: Sequence[Sequence[str]], columns: int, side: int
) -> "tuple[Image.Image, bool]":
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_FONT_SIZE)
    grey = images.shape[1] != 3
    cells = [_to_image(image, side) for image in images]
    longest = max((font.getlength(text) for caption in captions for text in caption), default=0)
    width = max(max(c.width for c in cells), min(math.ceil(longest), _CAPTION))
    height = max(c.height for c in cells)
    lines = max((len(c) for c in captions), default=0)
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    row_height = height + 4 + lines * _LINE + _GAP
    size = (columns * (width + _GAP) + _GAP, rows * row_height + _GAP)
    sheet = Image.new("L" if grey else "RGB", size, _PAPER[0] if grey else _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        left = _GAP + (place % columns) * (width + _GAP)
        top = _GAP + (place // columns) * row_height
        # A frame, so that a white image does not melt into the paper.
        frame = (left - 1, top - 1, left + cell.width, top + cell.height)
        draw.rectangle(frame, outline=160 if grey else (160, 160, 160))
        sheet.paste(cell, (left, top))
        for number, text in enumerate(caption):
            at = (left, top + cell.height + 4 + number * _LINE)
            draw.text(at, _fit(text, font, width), fill=_INK[0] if grey else _INK, font=font)
    return sheet, grey


def _to_image(image: Tensor, side: int) -> "Image.Image":
    from PIL import Image

    values = image if image.dtype == torch.uint8 else (image.clamp(0, 1) * 255).round().byte()
    if len(values) == 3:
        drawn = Image.fromarray(values.permute(1, 2, 0).cpu().contiguous().numpy(), "RGB")
    else:
        flat = values[0] if len(values) == 1 else values.float().mean(0).round().byte()
        drawn = Image.fromarray(flat.cpu().contiguous().numpy(), "L")
    longest = max(drawn.size)
    if longest * 2 <= side:
        factor = side // longest
        return drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)
    if longest > side:
        shrunk = (max(1, drawn.width * side // longest), max(1, drawn.height * side // longest))
        return drawn.resize(shrunk, Image.Resampling.BOX)
    return drawn


def _fit(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    flat = " ".join(text[:200].split())
    if font.getlength(flat) <= width:
        return flat
    while flat and font.getlength(flat + "…") > width:
        flat = flat[:-1]
    return flat + "…"


def _encode(sheet: "Image.Image", colors: int, grey: bool) -> bytes:
    if grey and colors < 256:
        step = 256 // colors  # few greys compress better, and text keeps its contrast
        drawn = sheet.point([min(255, round(v / step) * step) for v in range(256)])
    else:
        drawn = sheet if grey else sheet.quantize(colors)
    file = io.BytesIO()
    drawn.save(file, "PNG", optimize=True)
    return file.getvalue()
