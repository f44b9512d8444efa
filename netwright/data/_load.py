"""Make a task from a source."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from netwright.data import _inputs, _split, _table, _target
from netwright.data._arrow import ArrowRows, ArrowSplit
from netwright.data._cells import Cells
from netwright.data._duplicates import find_duplicates
from netwright.data._errors import DataError
from netwright.data._gathered import Gathered
from netwright.data._groups import group_names
from netwright.data._infer import target_kind
from netwright.data._list_columns import lists_as_sequences
from netwright.data._named import user_cache
from netwright.data._quarantine import Quarantine
from netwright.data._read import read_source
from netwright.data._roles import (
    Roles,
    Wish,
    as_names,
    decide_roles,
    given_columns,
    read_wish,
    wants_sequence,
)
from netwright.data._schema import Schema
from netwright.data._schema_io import schema_to_json
from netwright.data._sequence_inputs import sequence_inputs
from netwright.data._task import SealedSplit, Split, Task, TensorSplit

__all__ = ["load"]


def load(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    text: str | Sequence[str] | None = None,
    group: str | Sequence[str] | None = None,
    time: str | None = None,
    by: str | Sequence[str] | None = None,
    split: str | Mapping[str, float] | None = None,
    schema: Schema | Mapping[str, str] | str | Path | None = None,
    seed: int = 0,
    name: str | None = None,
    max_bad: float = 0.05,
    memory_limit: int = 2 << 30,
    cache: str | Path | None = None,
    workers: int = 2,
) -> Task:
    """Make a task: read a source, infer its schema, set bad rows aside, and split it.

    Args:
        source: a name (`data.NAMED` lists them), the path of a folder or file, a data frame, an
            Arrow table, a pair (x, y) of arrays, a list of pairs, a torch or Hugging Face data set,
            or a mapping from split names to any of these. "./digits" is a path, "digits" a name.
        target: the column(s) to predict; several are labels or values.
        text: the column(s) that hold the text to learn from.
        group: column(s); rows that share a value in one of them stay in one split.
        time: column; validation, calibration and test follow training in time.
        by: column(s) by which gaps between groups are to be measured.
        split: a column that names each row's split, or the shares of `train`, `validation`,
            `calibration` and `test`. None takes the source's own splits, or 60, 10, 10 and 20 %.
        schema: a whole schema, the path of one in TOML, or kinds of single columns, for example
            `{"zip": "category", "id": "ignore"}`; "characters" and "text" say what a text is cut
            into, and `{"x": "sequence"}` what arrays hold. Statistics that a schema has are kept.
        seed: decides the split.
        name: for people; the source's own if None.
        max_bad: share of rows that may be bad, in [0, 1].
        memory_limit: bytes; inputs that take more are streamed from an Arrow file.
        cache: folder for that file; the user's cache if None.
        workers: processes that read batches of streamed inputs ahead.

    Returns:
        A `Task`. Rows that cannot be used are in its `quarantine`; rows that occur in two splits in
        its `duplicates`; whatever else was left out or assumed in its `notes`.

    Raises:
        DataError: if the source cannot be read, or too many of its rows are bad.
        TypeError: if `source` is no source.
        ValueError: if arguments contradict each other.

    Example:
        >>> task = load("digits")
        >>> task.schema.input.shape, len(task.train), len(task.test)
        ((1, 8, 8), 1078, 359)
    """
    if not 0 <= max_bad <= 1:
        raise ValueError(f"`max_bad` is a share of the rows, in [0, 1]; got {max_bad}.")
    shares = _shares(split) if isinstance(split, Mapping) else None
    column = split if isinstance(split, str) else None
    folder = Path(cache) if cache is not None else user_cache() / "rows"
    wish = read_wish(schema)
    gathered = read_source(
        source, memory_limit=memory_limit, cache=folder, sequence=wants_sequence(wish)
    )
    if text is None:
        used = {name for each in (group, time, by, column) for name in as_names(each)}
        gathered = lists_as_sequences(gathered, wish, as_names(target), used)
    roles = decide_roles(
        gathered, wish, target=target, text=text, group=group, time=time, by=by, split=column
    )
    room = _inputs.Room.inside(folder, memory_limit)
    try:
        task = _make(
            gathered, roles, wish, Quarantine(gathered, max_bad), room, shares, seed, workers
        )
    finally:
        room.file.unlink(missing_ok=True)  # left behind only if the data were refused
    return task if name is None else replace(task, name=name)


def _make(
    gathered: Gathered,
    roles: Roles,
    wish: Wish,
    quarantine: Quarantine,
    room: _inputs.Room,
    shares: Mapping[str, float] | None,
    seed: int,
    workers: int,
) -> Task:
    goals = _read_goals(gathered, roles, wish, quarantine)
    finish = _read_inputs(gathered, roles, wish, quarantine, room)
    deciding = _split.read_columns(gathered, roles.group, roles.time, roles.split, quarantine)
    if goals.target.kind == "class" and wish.given is None:
        goals, lonely = _target.only_examples(goals, quarantine.good)
        quarantine.add(lonely, "it is the only row of its class, too few to learn and to test")
    quarantine.check()
    if wish.given is None:
        _check_target(goals, quarantine.good)
    official = gathered.official if roles.split is None else deciding.official
    chosen = _choose(goals, deciding, quarantine.good, official, shares, seed)
    if not (chosen == 0).any() and not (wish.given is not None and _fitted(wish.given)):
        raise DataError(
            "There are no training rows to fit the schema on. Give `split=` a share of `train`, or "
            "`schema=` a schema with its statistics."
        )
    if goals.target.kind == "class" and wish.given is None:
        goals, unseen = _target.only_trained(goals, chosen)
        quarantine.add(unseen, "its class has no row in the training split")
        quarantine.check()
        chosen[unseen] = -1
    if shares is None:
        _check_splits(chosen)
    train = chosen == 0
    stored = finish(train)
    aim = _target.with_statistics(goals.target, goals.y[train])
    found_schema = Schema(stored.inputs, aim, roles.by)
    fingerprint = _fingerprint(found_schema, stored.x, goals.y, gathered.row, chosen)
    x = _settle(stored.x, fingerprint)
    groups = {each: group_names(Cells(gathered.table[each]), train) for each in roles.by}
    duplicates = find_duplicates(
        x, stored.inputs, split=chosen, y=goals.y, rows=gathered.row, corpus=stored.corpus
    )
    parts = [
        _part(x, goals.y, gathered.row, groups, np.flatnonzero(chosen == place), workers)
        for place in range(4)
    ]
    table = quarantine.table()
    left_out = f"{len(table.rows):,} rows were left out; `quarantine` says why."
    return Task(
        name=gathered.name,
        schema=found_schema,
        train=parts[0],
        validation=parts[1],
        calibration=parts[2],
        test=SealedSplit(parts[3]),
        fingerprint=fingerprint,
        quarantine=table,
        duplicates=duplicates.table,
        notes=(
            *gathered.notes,
            *roles.notes,
            *goals.notes,
            *stored.notes,
            *((left_out,) if table.rows else ()),
            *duplicates.notes,
        ),
    )


def _shares(split: Mapping[str, float]) -> Mapping[str, float]:
    unknown = set(split) - set(_split.NAMES)
    total = sum(split.values())
    if unknown or abs(total - 1) > 1e-9 or min(split.values()) < 0:
        raise ValueError(
            f"`split` gives shares of {', '.join(_split.NAMES)} that sum to 1; got {dict(split)}."
        )
    return split


def _read_goals(
    gathered: Gathered, roles: Roles, wish: Wish, quarantine: Quarantine
) -> _target.Goals:
    columns = [
        Cells(gathered.table[name], verbatim=name in gathered.verbatim) for name in roles.target
    ]
    for cells, name in zip(columns, roles.target, strict=True):
        if pa.types.is_nested(cells.type) and not pa.types.is_list(cells.type):
            raise DataError(f"The target `{name}` holds {cells.type}; a target is plain or a list.")
    kind = roles.target_kind
    if kind is None and any(gathered.classes.get(name) for name in roles.target):
        kind = "labels" if pa.types.is_list(columns[0].type) else "class"
    kind = kind or target_kind(columns, pictures=gathered.pictures is not None)
    goals = _target.read_target(
        columns,
        roles.target,
        kind,
        of_codes=gathered.classes.get(roles.target[0], ()),
        classes=wish.given.target.classes if wish.given is not None else (),
    )
    for reason, bad in goals.bad.items():
        quarantine.add(bad, reason)
    quarantine.check()
    return goals


def _fitted(schema: Schema) -> bool:
    inputs = schema.input
    if inputs.kind == "table":
        return all(column.is_fitted for column in inputs.columns)
    return bool(inputs.vocabulary if inputs.kind == "text" else inputs.mean)


def _check_target(goals: _target.Goals, good: np.ndarray) -> None:
    shown = ", ".join(f"`{name}`" for name in goals.target.names)
    if goals.target.kind == "class" and len(goals.target.classes) < 2:
        raise DataError(f"The target {shown} has a single class; there is nothing to learn.")
    y = goals.y[good]
    if goals.target.kind in ("value", "values") and (y == y[:1]).all():
        raise DataError(f"The target {shown} is constant; there is nothing to learn.")


def _check_splits(chosen: np.ndarray) -> None:
    counts = np.bincount(chosen[chosen >= 0], minlength=4)
    if not counts.all():
        empty = _split.NAMES[int(np.argmin(counts))]
        raise DataError(
            f"{counts.sum()} rows leave the {empty} split empty. Add rows, or choose the shares of "
            f"the splits with `split=`, for example `{{'train': 0.5, 'test': 0.5}}`."
        )


def _read_inputs(
    gathered: Gathered, roles: Roles, wish: Wish, quarantine: Quarantine, room: _inputs.Room
) -> _inputs.Finish:
    given = wish.given.input if wish.given is not None else None

    def text_inputs(columns: tuple[str, ...]) -> _inputs.Finish:
        forced = {wish.forced.get(name) for name in columns}
        wanted = "characters" if "characters" in forced else "words" if "text" in forced else None
        return _inputs.text_inputs(gathered.table, columns, given, quarantine, room, wanted)

    if gathered.pictures is not None:
        return _inputs.picture_inputs(gathered.pictures, given, quarantine, room)
    if gathered.sequences is not None:
        return sequence_inputs(gathered, given, quarantine, room)
    if roles.kind == "text":
        return text_inputs(roles.text)
    plan = _table.plan_columns(gathered.table, roles.inputs, wish.forced, given_columns(wish))
    text = plan.text or (plan.chains if len(plan.chains) == 1 else ())
    if text and not plan.columns and not plan.bad:
        return text_inputs(text)
    return _inputs.table_inputs(gathered.table, plan, given, quarantine, room)


def _choose(
    goals: _target.Goals,
    deciding: _split.Deciding,
    good: np.ndarray,
    official: np.ndarray | None,
    shares: Mapping[str, float] | None,
    seed: int,
) -> np.ndarray:
    strata = _target.strata(goals)[good]
    group = None if deciding.group is None else deciding.group[good]
    time = None if deciding.time is None else deciding.time[good]
    given: dict[str, Any] = {"seed": seed, "strata": strata, "group": group, "time": time}
    chosen = np.full(len(good), -1, np.int8)
    if shares is not None:
        chosen[good] = _split.assign(int(good.sum()), shares=shares, **given)
    elif official is not None:
        chosen[good] = _split.carve(official[good], **given)
    else:
        chosen[good] = _split.assign(int(good.sum()), **given)
    return chosen


def _fingerprint(
    schema: Schema,
    x: np.ndarray | ArrowRows,
    y: np.ndarray,
    rows: np.ndarray,
    chosen: np.ndarray,
) -> str:
    # Of the same rows, whatever the columns were called that sequences were made of.
    nameless = replace(schema, input=replace(schema.input, sequence_columns=()))
    digest = hashlib.sha256(schema_to_json(nameless).encode())
    for start in range(0, len(x), 4096):
        stop = min(len(x), start + 4096)
        block = x[start:stop] if isinstance(x, np.ndarray) else x[np.arange(start, stop)]
        digest.update(np.ascontiguousarray(block[chosen[start:stop] >= 0]).data)
    for array in (y, rows, chosen):
        digest.update(np.ascontiguousarray(array[chosen >= 0]).data)
    return digest.hexdigest()


def _settle(x: np.ndarray | ArrowRows, fingerprint: str) -> np.ndarray | ArrowRows:
    # A file gets the name of its content: loading the same data again leaves one file, not two.
    if isinstance(x, np.ndarray):
        return x
    path = x.path.with_name(f"{fingerprint[:32]}.arrow")
    os.replace(x.path, path)
    return ArrowRows(path)


def _part(
    x: np.ndarray | ArrowRows,
    y: np.ndarray,
    rows: np.ndarray,
    groups: Mapping[str, np.ndarray],
    places: np.ndarray,
    workers: int,
) -> Split:
    goal = torch.from_numpy(np.ascontiguousarray(y[places]))
    numbers = torch.from_numpy(rows[places].astype(np.int64))
    named = {name: tuple(words[places].tolist()) for name, words in groups.items()}
    if isinstance(x, ArrowRows):
        return ArrowSplit(x, places, goal, numbers, named, workers)
    return TensorSplit(torch.from_numpy(x[places]), goal, numbers, named)
