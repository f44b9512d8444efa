"""Pictures: look at their headers, decode them safely, and bring them to one shape.

One shape: the median height and the median width, both scaled down together until the longer is at
most 96 pixels. A picture of another size is scaled to fit inside, its aspect kept, and stands in
the middle of black. Sixteen-bit grey becomes eight-bit; transparent pixels show white; the first
frame of an animation counts; the orientation that a camera wrote down is applied. All pictures are
grey if every one is, else all are colour.
"""

import contextlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from netwright.data._errors import DataError
from netwright.data._schema import Input

__all__ = [
    "ENDINGS",
    "Header",
    "are_pixels",
    "as_arrays",
    "common_shape",
    "decode",
    "encode_images",
    "header",
    "headers",
    "in_threads",
]

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # nothing that runs a program
SIDE = 96  # pixels of the longer side of what a network receives
LONGEST = 20_000  # pixels of a side; longer pictures are never decoded
LARGEST = 100_000_000  # pixels of a picture
# What Pillow and its codecs are known to raise on damaged files.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(ArithmeticError, EOFError, MemoryError, struct.error, zlib.error),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture before it is decoded.

    Attributes:
        height: pixels, as it is to be seen.
        width: pixels, as it is to be seen.
        colour: whether it has colours.
        deep: whether it has more than eight bits a channel.
        frames: number of frames.
        trouble: why it cannot be used; empty if it can.
    """

    height: int = 0
    width: int = 0
    colour: bool = False
    deep: bool = False
    frames: int = 1
    trouble: str = ""


def in_threads(work: Callable[[Any], Any], items: Sequence[Any], *, run: int = 32) -> list[Any]:
    """Do `work` for each item, in order; Pillow decodes outside the interpreter lock.

    Args:
        work: what to do.
        items: what to do it with.
        run: how many items a thread takes at a time.
    """
    runs = [items[start : start + run] for start in range(0, len(items), run)]
    # Pillow warns about oddities of files; a file that it then decodes is good enough.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")
        done = pool.map(lambda run: [work(item) for item in run], runs)
        return [result for run in done for result in run]


def headers(items: Sequence[Any]) -> list[Header]:
    """Look at pictures without decoding them.

    Args:
        items: paths, encoded bytes, arrays, tensors or PIL images; None is a missing picture.
    """
    return in_threads(header, items)


def header(item: Any) -> Header:
    """Look at one picture without decoding it, in this thread.

    Args:
        item: as in `headers`.
    """
    if item is None:
        return Header(trouble="the picture is missing")
    if isinstance(item, (np.ndarray, Tensor)):
        return _array_header(item)
    try:
        with _opened(item) as image:
            return _image_header(image)
    except _BROKEN as error:
        return Header(trouble=_trouble(item, error))


def _image_header(image: Any) -> Header:
    width, height = image.size
    if max(width, height) > LONGEST or width * height > LARGEST:
        return Header(trouble=_too_large(height, width))
    # Asked for the Exif data of a PNG that shows none in its header, Pillow decodes it all.
    exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
    if exif.get(0x0112, 1) in (5, 6, 7, 8):  # the camera was held upright
        width, height = height, width
    grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
    deep = image.mode == "F" or image.mode.startswith("I")
    return Header(height, width, not grey, deep, getattr(image, "n_frames", 1))


def _too_large(height: int, width: int) -> str:
    return (
        f"{width:,} x {height:,} pixels; at most {LONGEST:,} a side and {LARGEST:,} in all are "
        f"decoded"
    )


@contextlib.contextmanager
def _opened(item: Any) -> Iterator[Any]:
    from PIL import Image

    if isinstance(item, Image.Image):
        yield item
        return
    with io.BytesIO(item) if isinstance(item, bytes) else open(item, "rb") as file:
        try:
            with Image.open(file, formats=FORMATS) as image:
                yield image
        except Image.DecompressionBombError as error:  # more than twice Pillow's own limit
            raise ValueError(f"too many pixels; at most {LARGEST:,} are decoded") from error


def _trouble(item: Any, error: BaseException) -> str:
    if isinstance(item, Path) and item.is_file() and item.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if type(error).__name__ == "UnidentifiedImageError":
        return f"not a picture in one of the formats {', '.join(FORMATS)}"
    return f"the picture cannot be read: {error}"


def _array_header(item: np.ndarray | Tensor) -> Header:
    shape = tuple(item.shape)
    deep = item.dtype not in (np.uint8, torch.uint8, np.bool_, torch.bool)
    if len(shape) == 2:
        return Header(shape[0], shape[1], False, deep)
    place = _channel_axis(shape, first=isinstance(item, Tensor))
    if place is None:
        return Header(trouble=f"an array of shape {shape} is no picture")
    height, width = (size for axis, size in enumerate(shape) if axis != place)
    if max(height, width) > LONGEST or height * width > LARGEST:
        return Header(trouble=_too_large(height, width))
    return Header(height, width, shape[place] >= 3, deep)


def _channel_axis(shape: tuple[int, ...], *, first: bool) -> int | None:
    # The axis of a three-axis array that holds channels; where both could, `first` decides.
    if len(shape) != 3:
        return None
    could = [axis for axis in (0, 2) if shape[axis] in (1, 2, 3, 4)]
    if not could:
        return None
    return could[0] if len(could) == 1 or first else could[-1]


def common_shape(found: Sequence[Header]) -> tuple[int, int, int]:
    """Choose the one shape (channels, height, width) of all pictures.

    Args:
        found: headers of pictures that can be used; at least one.
    """
    height = float(np.median([header.height for header in found]))
    width = float(np.median([header.width for header in found]))
    scale = min(1.0, SIDE / max(height, width))
    channels = 3 if any(header.colour for header in found) else 1
    return channels, max(1, round(height * scale)), max(1, round(width * scale))


def decode(item: Any, shape: tuple[int, ...]) -> np.ndarray | str:
    """Decode a picture.

    Args:
        item: as in `headers`; its header was found sound.
        shape: channels, height and width of the result.

    Returns:
        uint8 of that shape; or why it cannot be decoded.
    """
    from PIL import Image, ImageOps

    channels, height, width = shape
    try:
        if isinstance(item, (np.ndarray, Tensor)):
            return _pixels(Image.fromarray(_array_pixels(item)), channels, height, width)
        with _opened(item) as image:
            if image is not item and image.format == "JPEG":
                reach = 2 * max(height, width)  # decodes at a half, quarter or eighth if that does
                image.draft(None, (reach, reach))
            return _pixels(ImageOps.exif_transpose(image), channels, height, width)
    except _BROKEN as error:
        return _trouble(item, error)


def _pixels(image: Any, channels: int, height: int, width: int) -> np.ndarray:
    image = _plain(image, "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = _fit(image, height, width)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _plain(image: Any, mode: str) -> Any:
    from PIL import Image

    if image.mode.startswith("I"):
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(_bytes_of(np.asarray(image)))
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)


def _fit(image: Any, height: int, width: int) -> Any:
    from PIL import Image

    scale = min(height / image.height, width / image.width)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    inner = min(inner[0], width), min(inner[1], height)
    resized = image.resize(inner, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if resized.size == (width, height):
        return resized
    frame = Image.new(image.mode, (width, height))
    frame.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return frame


def _array_pixels(item: np.ndarray | Tensor) -> np.ndarray:
    array = item.detach().cpu().numpy() if isinstance(item, Tensor) else item
    if array.ndim == 3:
        axis = _channel_axis(array.shape, first=isinstance(item, Tensor))
        array = array.transpose(1, 2, 0) if axis == 0 else array
        array = array[:, :, 0] if array.shape[2] == 1 else array
    return np.ascontiguousarray(array if array.dtype == np.uint8 else _bytes_of(array))


def _bytes_of(array: np.ndarray) -> np.ndarray:
    # Eight bits of numbers in one of the ranges that pictures come in.
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("a pixel is not finite")
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(array * 255).astype(np.uint8)
    if array.dtype.kind == "f" and low >= 0 and high <= 255 and (array == np.round(array)).all():
        return array.astype(np.uint8)
    raise ValueError(
        f"pixels must be uint8, uint16, or numbers in [0, 1] or whole numbers in [0, 255]; got "
        f"{array.dtype} from {low:g} to {high:g}"
    )


def are_pixels(array: np.ndarray) -> bool:
    """Say whether the finite numbers of an array lie in one of the ranges that pictures come in.

    Args:
        array: of numbers.
    """
    finite = np.where(np.isfinite(array), array, 0) if array.dtype.kind == "f" else array
    try:
        _bytes_of(finite)
    except ValueError:
        return False
    return True


def as_arrays(
    array: np.ndarray, *, channels_first: bool = False
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read one array of many pictures.

    Args:
        array: (n, height, width), (n, height, width, channels) or (n, channels, height, width).
        channels_first: which of the last two it is where it could be both.

    Returns:
        uint8 (n, channels, height, width), rows with a pixel that is not finite, and notes.

    Raises:
        DataError: if the axes or the numbers cannot be those of pictures.
    """
    if array.ndim == 4:
        axis = _channel_axis(array.shape[1:], first=channels_first)
        if axis is None:
            raise DataError(
                f"An array of shape {array.shape} holds no pictures: neither its second nor its "
                f"last axis has 1, 3 or 4 channels."
            )
        array = array.transpose(0, 3, 1, 2) if axis == 2 else array
    elif array.ndim == 3:
        array = array[:, None]
    notes = ()
    bad: np.ndarray = np.zeros(len(array), bool)
    if array.dtype != np.uint8:
        if array.dtype.kind == "f":
            bad = np.logical_not(np.isfinite(array).all(axis=(1, 2, 3)))
            array = np.where(bad[:, None, None, None], 0, array)
        whole = array.dtype == np.bool_ or (array == np.round(array)).all()
        try:
            pixels = _bytes_of(array)
        except ValueError as error:
            raise DataError(
                f"The array holds no pictures: {error}. For a table, give it as (rows, columns), "
                f"for sequences as (rows, channels, steps)."
            ) from error
        if array.dtype == np.uint16 or not whole:
            notes = ("Pixels were rounded to eight bits.",)
        array = pixels
    if array.shape[1] in (2, 4):
        array = _on_white(array)
        notes = (*notes, "Transparent pixels show white.")
    return np.ascontiguousarray(array), bad, notes


def _on_white(array: np.ndarray) -> np.ndarray:
    colours, alpha = array[:, :-1].astype(np.uint32), array[:, -1:].astype(np.uint32)
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def encode_images(
    images: Sequence[Any], inputs: Input
) -> UInt8[Tensor, "images channels height width"]:
    """Decode new pictures into the shape that a schema fixes; divided by 255 they are the input.

    Args:
        images: paths, encoded bytes, arrays, tensors or PIL images.
        inputs: the schema of the input.

    Raises:
        DataError: if a picture cannot be used; the message names its place.
    """
    pixels = np.empty((len(images), *inputs.shape), np.uint8)
    for place, (image, header) in enumerate(zip(images, headers(images), strict=True)):
        found = header.trouble or decode(image, inputs.shape)
        if isinstance(found, str):
            raise DataError(f"Picture {place}: {found}.")
        pixels[place] = found
    return torch.from_numpy(pixels)
