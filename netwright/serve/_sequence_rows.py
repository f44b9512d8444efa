"""Read one sequence of a request: lists of numbers, a WAV file or a CSV file."""

import csv
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.data import Input
from netwright.data._outline import outline
from netwright.data._sequences import decode, header, misfit

__all__ = ["ReadSequence", "read_sequence", "read_sequence_file", "together", "trace"]

_LARGEST = float(np.finfo(np.float32).max)
_NUMBERS = {int, float, type(None)}
_MOST_STEPS = 1 << 22  # read of a file, before it is cut
_WIDE = 8  # channels that are drawn
_POINTS = 400  # of a drawn line
_WHOLE = 20_000  # values of a sequence that is told whole


@dataclass(frozen=True, slots=True, eq=False)
class ReadSequence:
    """A sequence that fits the schema.

    Attributes:
        values: float32 (channels, steps), at most as many steps as the network looks at; NaN is
            missing.
        notes: what is odd but allowed.
    """

    values: np.ndarray
    notes: tuple[str, ...]


def read_sequence(item: list[Any], inputs: Input) -> ReadSequence | str:
    """Read lists of numbers: one a channel, or the numbers of the only channel.

    Args:
        item: as JSON gives it; None is a missing value.
        inputs: a sequence.

    Returns:
        The sequence, or why it is none.
    """
    channels = inputs.shape[0]
    rows = item if any(isinstance(v, list) for v in item) else [item]
    if len(rows) != channels or not all(isinstance(row, list) for row in rows):
        wanted = "a list of numbers" if channels == 1 else f"{channels} lists, one a channel"
        return f"must be {wanted}; got {_layout(rows)}"
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        return f"must have channels of one length; got {_few(sorted(lengths))} steps"
    values = np.empty((channels, lengths.pop()), np.float32)
    for channel, row in enumerate(rows):
        where = f"channel {_names(inputs)[channel]}, step "
        if not set(map(type, row)) <= _NUMBERS:
            step = next(i for i, v in enumerate(row) if type(v) not in _NUMBERS)
            return f"must hold numbers or null; {where}{step} does not"
        # A whole number may be too large for any kind of float.
        far = [i for i, v in enumerate(row) if v is not None and not -_LARGEST <= v <= _LARGEST]
        if far:
            return f"must hold numbers within {_LARGEST:.3g}; {where}{far[0]} does not"
        values[channel] = [math.nan if v is None else v for v in row]
    return _cut(values, inputs)


def read_sequence_file(data: bytes, inputs: Input) -> ReadSequence | str:
    """Read a WAV file, or a CSV file with a column for each channel and a line for each step.

    Args:
        data: the file.
        inputs: a sequence.

    Returns:
        The sequence, or why it is none.
    """
    if not data:
        return "the file is empty; send a .wav or .csv file"
    made = _from_wav(data, inputs) if data[:4] == b"RIFF" else _from_csv(data, inputs)
    return made if isinstance(made, str) else _cut(made, inputs)


def together(items: "list[np.ndarray]") -> np.ndarray:
    """Make one array of sequences of several lengths: NaN follows the end of the shorter ones.

    Args:
        items: float32 (channels, steps) or (rows, channels, steps), alike but for the steps.

    Returns:
        float32 (rows, channels, most steps).
    """
    blocks = [item[None] if item.ndim == 2 else item for item in items]
    steps = max(block.shape[2] for block in blocks)
    room = np.full((sum(map(len, blocks)), blocks[0].shape[1], steps), np.nan, np.float32)
    start = 0
    for block in blocks:
        room[start : start + len(block), :, : block.shape[2]] = block
        start += len(block)
    return room


def trace(values: np.ndarray, inputs: Input) -> dict[str, Any]:
    """Write a sequence down so that a page can draw it.

    Args:
        values: float32 (channels, steps); NaN is missing, and follows the end.
        inputs: the schema of the input.

    Returns:
        Steps, their number a second (0 if unknown), for the first eight channels the name, and
        places and values of at most 400 points; and all values of a sequence of up to 20,000.
    """
    used = np.flatnonzero(~np.isnan(values).all(axis=0))
    values = values[:, : int(used[-1]) + 1 if len(used) else 0]
    lines = []
    for name, row in zip(_names(inputs)[:_WIDE], values, strict=False):
        places, numbers = outline(row, _POINTS)
        shown = [None if v is None else float(f"{v:.5g}") for v in numbers]
        lines.append({"name": name, "steps": places, "values": shown})
    found = {"steps": values.shape[1], "rate": inputs.rate, "channels": inputs.shape[0]}
    found["lines"] = lines
    if values.size <= _WHOLE:
        exact = [[None if v != v else float(f"{v:.9g}") for v in row] for row in values.tolist()]
        found["values"] = exact
    return found


def _names(inputs: Input) -> tuple[str, ...]:
    return inputs.channels or tuple(f"x{i}" for i in range(inputs.shape[0]))


def _cut(values: np.ndarray, inputs: Input) -> ReadSequence | str:
    used = np.flatnonzero(~np.isnan(values).all(axis=0))
    if not len(used):
        return "has no value" if values.size else "has no steps"
    steps, length = int(used[-1]) + 1, inputs.shape[1]
    notes = ()
    if not (~np.isnan(values[:, :length])).any():
        return f"has no value in its first {length:,} steps"
    if steps > length:
        notes = (f"The sequence has {steps:,} steps; the network looks at the first {length:,}.",)
    return ReadSequence(np.ascontiguousarray(values[:, : min(steps, length)]), notes)


def _layout(rows: list[Any]) -> str:
    if len(rows) == 1:
        return "one list of numbers"
    if not all(isinstance(row, list) for row in rows):
        return "numbers and lists beside each other"
    hint = "; are channels and steps swapped?" if {len(row) for row in rows} else ""
    return f"{len(rows):,} lists{hint}"


def _few(lengths: list[int]) -> str:
    return ", ".join(f"{n:,}" for n in lengths[:3]) + (", ..." if len(lengths) > 3 else "")


def _from_wav(data: bytes, inputs: Input) -> np.ndarray | str:
    found = header(data)
    trouble = found.trouble or misfit(found, inputs.shape[0], inputs.rate, "this model takes")
    if trouble:
        return trouble if found.trouble else f"has {trouble}"
    return decode(data, (inputs.shape[0], min(found.steps, _MOST_STEPS)))


def _from_csv(data: bytes, inputs: Input) -> np.ndarray | str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "is neither a WAV file nor text in UTF-8"
    lines = [line for line in text.splitlines() if line.strip()][: _MOST_STEPS + 1]
    if not lines:
        return "holds no lines"
    mark = next((m for m in ("\t", ";", ",") if m in lines[0]), ",")
    try:
        cells = list(csv.reader(lines, delimiter=mark))
    except csv.Error as error:
        return f"is no CSV file: {error}"
    channels, names = inputs.shape[0], _names(inputs)
    order = list(range(channels))
    first = 0
    if any(_number(cell) is None for cell in cells[0]):
        heading, first = [cell.strip() for cell in cells[0]], 1
        if set(names) <= set(heading):
            order = [heading.index(name) for name in names]
        elif len(heading) != channels:
            return f"has the columns {', '.join(heading)[:80]}; wanted are {', '.join(names)[:80]}"
    elif channels == 1 and len(cells) == 1 and len(cells[0]) > 1:
        cells = [[cell] for cell in cells[0]]  # one line of numbers
    rows = np.full((channels, len(cells) - first), np.nan, np.float32)
    for step, line in enumerate(cells[first:]):
        if len(line) <= max(order) or (first == 0 and len(line) != channels):
            wanted = "1 number" if channels == 1 else f"{channels} numbers, one a channel"
            return f"line {step + 1 + first}: must hold {wanted}; got {len(line)} cells"
        for channel, place in enumerate(order):
            value = _number(line[place])
            if value is None or abs(value) > _LARGEST:
                return f"line {step + 1 + first}: {line[place][:40]!r} is no number"
            rows[channel, step] = value
    return rows


def _number(cell: str) -> float | None:
    if not cell.strip():
        return math.nan  # missing
    try:
        return float(cell)
    except ValueError:
        return None
