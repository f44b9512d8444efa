"""The encodings of numbers that a table design can name."""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from netwright.nn import Periodic, PiecewiseLinear, Standardise

__all__ = ["encoder_of_numbers"]


def encoder_of_numbers(name: str, width: int) -> Callable[..., nn.Module]:
    """Resolve the name of an encoding.

    Args:
        name: "standard", "piecewise" or "periodic".
        width: numbers that each number becomes; unused by "standard".

    Returns:
        A function of the columns, `device` and `dtype` that makes the encoder.

    Raises:
        ValueError: if there is no such encoding.
    """
    known: dict[str, Callable[..., Any]] = {
        "standard": Standardise,
        "piecewise": partial(PiecewiseLinear, width=width),
        "periodic": partial(Periodic, width=width),
    }
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"`numbers` must be one of {', '.join(known)}; got {name!r}.{hint}")
    return known[name]
