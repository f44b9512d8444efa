"""Sequences: numbers that follow each other in time, in one or more channels, cut to one length.

Recordings are sequences too: their samples, as `_wav` reads them, with their channels kept apart.

A sequence ends with the last step at which any channel has a value; what is NaN before that is
missing. The one length is what 99 % of the training rows fit in, at most 16,384 steps: shorter rows
end in NaN, longer ones are cut.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from netwright.data._errors import DataError
from netwright.data._schema import Input
from netwright.data._wav import is_recording, read_recording, read_samples

__all__ = [
    "LENGTH",
    "Header",
    "channel_names",
    "coded",
    "common_length",
    "commonest",
    "decode",
    "encode_sequences",
    "header",
    "misfit",
    "ragged",
    "statistics",
]

LENGTH = 16_384  # steps; longer sequences are cut
_LARGEST = np.finfo(np.float32).max
_BLOCK = 1 << 22  # bytes coded at a time


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a sequence before it is coded.

    Attributes:
        channels: how many there are.
        steps: up to the last one with a value.
        rate: steps a second; 0 if unknown.
        trouble: why it cannot be used; empty if it can.
    """

    channels: int = 0
    steps: int = 0
    rate: float = 0.0
    trouble: str = ""


def header(item: Any) -> Header:
    """Look at one sequence.

    Args:
        item: an array, tensor or list of (steps,) or (channels, steps), or the path or content of
            a WAV file; None is a missing one.
    """
    if item is None:
        return Header(trouble="the sequence is missing")
    rate = 0.0
    if is_recording(item):
        found = read_recording(item)
        if isinstance(found, str):
            return Header(trouble=found)
        if not found.floats:  # whole numbers are all there
            return Header(found.channels, found.frames, found.rate)
        rate, item = float(found.rate), read_samples(item, found, found.frames)
    values = _values(item)
    if isinstance(values, str):
        return Header(trouble=values)
    present = ~np.isnan(values)
    if not present.any():
        empty = "the sequence has no steps" if not values.size else "the sequence has no value"
        return Header(trouble=empty)
    if not (np.abs(values[present]) <= _LARGEST).all():
        return Header(trouble="the sequence has a value that is not finite")
    return Header(len(values), int(np.flatnonzero(present.any(axis=0))[-1]) + 1, rate)


def _values(item: Any) -> np.ndarray | str:
    # (channels, steps) of floats, or why it is no sequence.
    try:
        array = item.detach().cpu().numpy() if isinstance(item, Tensor) else np.asarray(item)
        if array.dtype.kind == "O":  # None among the numbers
            array = array.astype(np.float64)
    except (ValueError, TypeError):
        return "the sequence holds cells that are no numbers, or channels of different lengths"
    if array.ndim not in (1, 2):
        return f"an array of shape {array.shape} is no sequence; wanted is (channels, steps)"
    if array.dtype.kind not in "fiub":
        return f"the sequence holds {array.dtype} instead of numbers"
    array = array if array.ndim == 2 else array[None]
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def ragged(rows: Any) -> list[np.ndarray]:
    """Read rows that are vectors, or channels of vectors, of more than one shape.

    Args:
        rows: what may be a list of arrays or of lists of numbers.

    Returns:
        Floats (channels, steps) of each row that is not missing; nothing if the rows are of one
            shape, or no numbers.
    """
    objects = isinstance(rows, np.ndarray) and rows.dtype.kind == "O"
    if not isinstance(rows, (list, tuple)) and not objects:
        return []
    present = [row for row in rows if row is not None]
    if len({_axes(row) for row in present}) < 2:
        return []
    found = [_values(row) for row in present]
    arrays = [array for array in found if not isinstance(array, str)]
    several = len({array.shape for array in arrays}) > 1
    return arrays if several and len(arrays) == len(found) else []


def _axes(row: Any) -> tuple[int, ...]:
    # The shape of an array or of nested lists, without a look at all of them.
    if hasattr(row, "shape"):
        return tuple(row.shape)
    if not isinstance(row, (list, tuple)):
        return ()
    return len(row), *(_axes(row[0]) if row else ())


def commonest(found: Sequence[Header]) -> tuple[int, float]:
    """Choose the number of channels and the rate that sequences must have: what most have.

    Args:
        found: headers of sequences that can be used; at least one.

    Returns:
        The number of channels, and the rate; 0 if none has one.
    """
    channels = Counter(header.channels for header in found).most_common(1)[0][0]
    rates = Counter(h.rate for h in found if h.rate and h.channels == channels)
    return channels, rates.most_common(1)[0][0] if rates else 0.0


def misfit(found: Header, channels: int, rate: float, whose: str) -> str:
    """Say how a sequence differs from what it must be like; empty if it does not.

    Args:
        found: its header.
        channels: how many it must have.
        rate: steps a second that it must have, where it has a rate; 0 for any.
        whose: who has those, for the sentence.
    """
    if found.channels != channels:
        return f"{found.channels} channels; {whose} {channels}"
    if rate and found.rate and found.rate != rate:
        return f"{found.rate:,.6g} samples a second; {whose} {rate:,.6g}: resample it first"
    return ""


def common_length(steps: np.ndarray) -> int:
    """Choose the one length of all sequences.

    Args:
        steps: of the training rows, int (n,).
    """
    return min(LENGTH, int(np.quantile(steps, 0.99, method="higher")))


def channel_names(n: int) -> tuple[str, ...]:
    """Name channels that have no names of their own.

    Args:
        n: how many there are.
    """
    return tuple(f"x{place}" for place in range(n))


def decode(item: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Cut or pad a sequence.

    Args:
        item: as in `header`, which found it sound.
        shape: channels and steps of the result.

    Returns:
        float32 of that shape; NaN where a value is missing and after the end.
    """
    if is_recording(item):
        found = read_recording(item)
        if isinstance(found, str):  # it was sound when its header was looked at
            raise DataError(f"{item!s:.80} has been changed while it was read: {found}.")
        item = read_samples(item, found, shape[1])
    values = _values(item)
    assert isinstance(values, np.ndarray)
    steps = min(shape[1], values.shape[1])
    row = np.full(shape, np.nan, np.float32)
    row[:, :steps] = values[:, :steps]
    return row


def coded(items: Any, good: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield blocks of consecutive rows; the others than `good` ones are NaN.

    Args:
        items: the sequences.
        good: which can be used, bool (n,).
        shape: channels and steps of a row.
    """
    size = max(1, _BLOCK // (4 * shape[0] * shape[1]))
    for start in range(0, len(items), size):
        places = range(start, min(len(items), start + size))
        block = np.full((len(places), *shape), np.nan, np.float32)
        for i in places:
            if good[i]:
                block[i - start] = decode(items[i], shape)
        yield block


def statistics(blocks: "Iterator[np.ndarray]", centre: np.ndarray | None) -> np.ndarray:
    """Average each channel over its present values, or its squared distance from a centre.

    Args:
        blocks: consecutive rows, float32 (k, channels, steps).
        centre: (channels,); None averages the values themselves.

    Returns:
        float64 (channels,); NaN for a channel without values.
    """
    total, count = np.zeros(1), np.zeros(1)
    for block in blocks:
        values = block.astype(np.float64)
        if centre is not None:
            values = (values - centre[:, None]) ** 2
        total = total + np.nansum(values, axis=(0, 2))
        count = count + (~np.isnan(values)).sum(axis=(0, 2))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def encode_sequences(
    sequences: Sequence[Any], inputs: Input
) -> Float[Tensor, "rows channels steps"]:
    """Code new sequences as the network receives them: cut, or padded with NaN, to its length.

    Args:
        sequences: arrays, tensors or lists of (channels, steps), or (steps,) for one channel; or
            the paths or contents of WAV files.
        inputs: the schema of the input.

    Raises:
        DataError: if a sequence cannot be used; the message names its place.
    """
    channels, length = inputs.shape
    rows = np.empty((len(sequences), channels, length), np.float32)
    for place, item in enumerate(sequences):
        found = header(item)
        trouble = found.trouble
        if not trouble:
            trouble = misfit(found, channels, inputs.rate, "the schema has")
        if trouble:
            raise DataError(f"Sequence {place}: {trouble}.")
        rows[place] = decode(item, inputs.shape)
    return torch.from_numpy(rows)
