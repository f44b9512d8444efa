"""Pixels as pictures that a browser shows."""

import base64
import io

import numpy as np

__all__ = ["as_data_address", "as_png"]


def as_png(pixels: np.ndarray) -> bytes:
    """Write pixels as a PNG file.

    Args:
        pixels: uint8 (channels, height, width), of 1 or 3 channels.
    """
    from PIL import Image

    array = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    written = io.BytesIO()
    Image.fromarray(array).save(written, "PNG")
    return written.getvalue()


def as_data_address(pixels: np.ndarray) -> str:
    """Write pixels as a `data:` address.

    Args:
        pixels: uint8 (channels, height, width), of 1 or 3 channels.
    """
    return f"data:image/png;base64,{base64.b64encode(as_png(pixels)).decode()}"
