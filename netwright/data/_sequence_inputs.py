"""Make the inputs of all rows out of sequences, in the two steps of `_inputs`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from netwright.data import _sequences
from netwright.data._arrow import ArrowRows
from netwright.data._gathered import Gathered
from netwright.data._inputs import Finish, Room, Stored
from netwright.data._quarantine import Quarantine
from netwright.data._schema import Input

__all__ = ["sequence_inputs"]


def sequence_inputs(
    gathered: Gathered, given: Input | None, quarantine: Quarantine, room: Room
) -> Finish:
    """Cut sequences to one length.

    Args:
        gathered: a source of sequences, which have the rate of its own or their own.
        given: a schema whose shape and statistics are to be used.
        quarantine: takes the sequences that cannot be used.
        room: where the rows are kept.
    """
    items: Any = gathered.sequences
    found = [_sequences.header(item) for item in items]
    _set_aside(found, given, quarantine)
    quarantine.check()
    good = quarantine.good
    steps = np.array([header.steps for header in found])
    channels, own_rate = _sequences.commonest([found[i] for i in np.flatnonzero(good)])
    rate = gathered.rate or own_rate
    notes = _layout_notes(channels, steps[good])

    def finish(train: np.ndarray) -> Stored:
        inputs = given
        if inputs is None:
            shape = channels, _sequences.common_length(steps[train])
            named = gathered.channels or _sequences.channel_names(channels)
            columns = gathered.sequence_columns
            inputs = Input("sequence", shape, channels=named, sequence_columns=columns, rate=rate)
        length = inputs.shape[1]
        kept = quarantine.good
        cut = int((steps[kept] > length).sum())
        cuts = (f"{cut:,} sequences were cut to {length:,} steps.",) if cut else ()
        blocks = _sequences.coded(items, kept, inputs.shape)
        x = room.keep(blocks, len(items), inputs.shape, np.dtype(np.float32))
        late = _without_values(x, np.flatnonzero(kept & (steps > length)))
        if late:
            cuts += (f"{late:,} of them have no value before that.",)
        return Stored(x, _fitted(inputs, x, np.flatnonzero(train)), (*notes, *cuts))

    return finish


def _set_aside(found: list[_sequences.Header], given: Input | None, quarantine: Quarantine) -> None:
    good = quarantine.good.copy()
    sound = [
        header for header, fine in zip(found, good, strict=True) if fine and not header.trouble
    ]
    reasons = {i: header.trouble for i, header in enumerate(found) if header.trouble}
    if sound:
        channels, rate = _sequences.commonest(sound)
        whose = "most have"
        if given is not None:
            channels, rate, whose = given.shape[0], given.rate or rate, "the schema has"
        for i, header in enumerate(found):
            trouble = header.trouble or _sequences.misfit(header, channels, rate, whose)
            if trouble:
                reasons[i] = trouble
    bad = np.zeros(len(good), bool)
    bad[list(reasons)] = True
    quarantine.add(bad, reasons)


def _layout_notes(channels: int, steps: np.ndarray) -> tuple[str, ...]:
    middle = int(np.median(steps))
    if channels <= max(8, middle):
        return ()
    return (
        f"The sequences have {channels:,} channels of {middle:,} steps; arrays are read as (rows, "
        f"channels, steps), so swap the last two axes if it is the other way round.",
    )


def _without_values(x: np.ndarray | ArrowRows, rows: np.ndarray) -> int:
    return sum(bool(np.isnan(x[rows[i : i + 1]]).all()) for i in range(len(rows)))


def _fitted(inputs: Input, x: np.ndarray | ArrowRows, rows: np.ndarray) -> Input:
    if inputs.mean or not len(rows):
        return inputs

    def blocks() -> Iterator[np.ndarray]:
        size = max(1, (1 << 22) // (4 * inputs.shape[0] * inputs.shape[1]))
        return (x[rows[start : start + size]] for start in range(0, len(rows), size))

    mean = np.nan_to_num(_sequences.statistics(blocks(), None))
    std = np.sqrt(np.nan_to_num(_sequences.statistics(blocks(), mean)))
    std = np.where(std > 0, std, 1.0)
    return replace(inputs, mean=tuple(mean.tolist()), std=tuple(std.tolist()))
