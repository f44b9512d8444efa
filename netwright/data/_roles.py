"""Decide what each column of a source is for: target, text, input, group, time, split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from netwright.data._errors import DataError, nearest
from netwright.data._gathered import Gathered
from netwright.data._infer import ColumnKind
from netwright.data._schema import Column, InputKind, Schema, TargetKind
from netwright.data._schema_io import schema_from_toml

__all__ = [
    "ARRAY",
    "SEQUENCE",
    "TARGET_NAMES",
    "Roles",
    "Wish",
    "as_names",
    "decide_roles",
    "given_columns",
    "read_wish",
    "wants_sequence",
]

SEQUENCE = "sequence"
TARGET_NAMES = ("label", "labels", "target", "class", "y")
ARRAY = "x"  # what arrays without names are called in `schema=`


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of the schema.

    Attributes:
        given: a whole schema; None infers one.
        forced: kinds of single columns, the target's among them.
    """

    given: Schema | None
    forced: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column is what.

    Attributes:
        target: the target columns.
        target_kind: what they are said to hold; None infers it.
        text: columns joined to one text, if that is the input.
        inputs: columns that may be inputs of a table.
        kind: the kind of input; None leaves table or text to inference.
        group: columns that must not be on both sides of a split.
        time: the column by which splits follow each other.
        by: columns by which gaps are measured.
        split: the column that names each row's split.
        notes: what was assumed.
    """

    target: tuple[str, ...]
    target_kind: TargetKind | None
    text: tuple[str, ...]
    inputs: tuple[str, ...]
    kind: InputKind | None
    group: tuple[str, ...]
    time: str | None
    by: tuple[str, ...]
    split: str | None
    notes: tuple[str, ...]


def read_wish(schema: Schema | Mapping[str, str] | str | Path | None) -> Wish:
    """Read the argument `schema` of `load`.

    Args:
        schema: a schema, the path of one in TOML, or kinds of single columns.

    Raises:
        DataError: if the file does not exist, or a kind is unknown.
    """
    if schema is None:
        return Wish(None, {})
    if isinstance(schema, Schema):
        return Wish(schema, {})
    if isinstance(schema, Mapping):
        known = {*get_args(ColumnKind), *get_args(TargetKind), SEQUENCE} - {"mixed"}
        for column, kind in schema.items():
            if kind not in known:
                near = nearest(str(kind), sorted(known))
                raise DataError(f"`schema` gives `{column}` the unknown kind {kind!r}.{near}")
        return Wish(None, dict(schema))
    path = Path(schema)
    if not path.is_file():
        raise DataError(f"`schema` names no file: {path}.")
    return Wish(schema_from_toml(path.read_text("utf-8")), {})


def wants_sequence(wish: Wish) -> bool:
    """Say whether the user wants arrays to be read as sequences.

    Args:
        wish: the user's schema.
    """
    if wish.given is not None:
        return wish.given.input.kind == SEQUENCE
    return wish.forced.get(ARRAY) == SEQUENCE


def decide_roles(
    gathered: Gathered,
    wish: Wish,
    *,
    target: str | Sequence[str] | None,
    text: str | Sequence[str] | None,
    group: str | Sequence[str] | None,
    time: str | None,
    by: str | Sequence[str] | None,
    split: str | None,
) -> Roles:
    """Decide what each column is for.

    Args:
        gathered: the source.
        wish: the user's schema.
        target: as in `load`.
        text: as in `load`.
        group: as in `load`.
        time: as in `load`.
        by: as in `load`.
        split: name of the split column.

    Raises:
        DataError: if a column that is named is not there, or no target is named and none is plain.
    """
    names = gathered.table.column_names
    given = wish.given
    if given is not None:
        target = target or given.target.names
        text = text or given.input.text_columns
        by = given.groups if by is None else by
    asked = {
        "target": as_names(target) or gathered.target,
        "text": as_names(text) or (() if given else gathered.text),
        "group": as_names(group),
        "time": as_names(time),
        "by": as_names(by),
        "split": as_names(split),
        "schema": tuple(wish.forced),
    }
    if gathered.sequences is not None:  # forced columns have become these
        asked["schema"] = tuple(name for name, kind in wish.forced.items() if kind != SEQUENCE)
    if not asked["text"] and given is None:
        asked["text"] = tuple(n for n, kind in wish.forced.items() if kind == "characters")
    notes: list[str] = []
    if not asked["target"]:
        asked["target"] = _guess_target(names, notes)
    for argument, columns in asked.items():
        for column in columns:
            if column not in names:
                raise DataError(
                    f"`{argument}` names the column `{column}`, which {gathered.name} does not "
                    f"have.{nearest(column, names)}"
                )
    deciding = {*asked["group"], *asked["time"], *asked["split"]}
    for column in sorted(deciding - set(asked["split"])):
        notes.append(f"Column `{column}` decides the split and is no input.")
    taken = {*asked["target"], *deciding}
    others = tuple(name for name in names if name not in taken)
    overlap = set(asked["text"]) & set(asked["target"])
    if overlap:
        raise DataError(f"`{overlap.pop()}` cannot be both `text` and `target`.")
    if gathered.pictures is not None or gathered.sequences is not None:
        kind: InputKind | None = "image" if gathered.pictures is not None else SEQUENCE
        unused = [name for name in others if name not in asked["by"]]
        if unused:
            notes.append(f"Beside the {kind}s, these columns are not used: {', '.join(unused)}.")
    elif asked["text"]:
        kind = "text"
        if SEQUENCE in wish.forced.values():
            raise DataError(
                f"`schema` asks for a sequence and `text` for a text (`{asked['text'][0]}`); a "
                f"network has one of them as its input."
            )
        unused = [name for name in others if name not in (*asked["text"], *asked["by"])]
        if unused:
            notes.append(f"Beside the text, these columns are not used: {', '.join(unused)}.")
    else:
        kind = given.input.kind if given else None
    if given is not None and kind != given.input.kind:
        raise DataError(
            f"`schema` is for {given.input.kind} input, but {gathered.name} holds {kind} input."
        )
    return Roles(
        target=asked["target"],
        target_kind=_target_kind(gathered, wish, asked["target"]),
        text=asked["text"],
        inputs=others,
        kind=kind,
        group=asked["group"],
        time=time,
        by=asked["by"],
        split=split,
        notes=tuple(notes),
    )


def as_names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return one name, several or none as a tuple.

    Args:
        names: as `load` takes them.
    """
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def _guess_target(names: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    found = [name for name in names if name.lower() in TARGET_NAMES]
    if len(found) != 1:
        what = f"several could be meant ({', '.join(found)})" if found else "none is called so"
        raise DataError(
            f"`target=` must name the column to predict; {what}.{nearest('target', names)}"
        )
    notes.append(f"Column `{found[0]}` was taken as the target.")
    return (found[0],)


def _target_kind(gathered: Gathered, wish: Wish, target: tuple[str, ...]) -> TargetKind | None:
    if wish.given is not None:
        return wish.given.target.kind
    forced = {wish.forced[name] for name in target if name in wish.forced}
    if not forced:
        return gathered.target_kind if target == gathered.target else None
    kind = forced.pop()
    kind = {"category": "class", "boolean": "class", "number": "value"}.get(kind, kind)
    if kind not in get_args(TargetKind) or forced:
        raise DataError(f"A target cannot be of kind {kind!r}; it is class, labels or value(s).")
    if len(target) > 1:
        return "values" if kind in ("value", "values") else "labels"
    return "value" if kind == "values" else kind  # type: ignore[return-value]


def given_columns(wish: Wish) -> tuple[Column, ...]:
    """Return the columns of a given schema; none if there is no schema.

    Args:
        wish: the user's schema.
    """
    return wish.given.input.columns if wish.given is not None else ()
