"""Schemas as text: JSON and TOML in and out, and a table for people."""

import dataclasses
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from netwright.data._errors import DataError
from netwright.data._schema import Column, Input, Schema, Target

__all__ = [
    "describe",
    "schema_from_json",
    "schema_from_toml",
    "schema_to_json",
    "schema_to_toml",
]


def schema_to_json(schema: Schema) -> str:
    """Write a schema as JSON.

    Args:
        schema: the schema.
    """
    content = dataclasses.asdict(schema)
    if not schema.input.sequence_columns:  # as in files from before there were any
        del content["input"]["sequence_columns"]
    return json.dumps(content, ensure_ascii=False)


def schema_from_json(text: str) -> Schema:
    """Read a schema that `schema_to_json` wrote.

    Args:
        text: the JSON text.

    Raises:
        DataError: if it is no schema; the message says which field, and why.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"The schema is no JSON: {error}.") from error
    return _checked(content)


def schema_to_toml(schema: Schema, *, statistics: bool = True) -> str:
    """Write a schema as TOML, to be edited.

    Args:
        schema: the schema.
        statistics: whether to write what was fitted on training rows (means, quantiles, categories,
            the vocabulary). Without, `load(..., schema=)` fits it anew.
    """
    content = dataclasses.asdict(schema)
    if not statistics:
        content = _without_statistics(content)
    columns = content["input"].pop("columns")
    lines = [f"groups = {_value(content['groups'])}"] if content["groups"] else []
    lines += ["", "[target]", *_assignments(content["target"])]
    lines += ["", "[input]", *_assignments(content["input"])]
    for column in columns:
        lines += ["", "[[input.columns]]", *_assignments(column)]
    return "\n".join(lines).strip() + "\n"


def schema_from_toml(text: str) -> Schema:
    """Read a schema from TOML; what is left out takes its default.

    Args:
        text: the TOML text.

    Raises:
        DataError: if it is no schema; the message says which field, and why.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"The schema is no TOML: {error}.") from error
    return _checked(content)


def _checked(content: Any) -> Schema:
    from pydantic import TypeAdapter, ValidationError

    unknown = list(_unknown(content, Schema, ""))
    if unknown:
        raise DataError(f"The schema has the unknown field `{unknown[0]}`.")
    try:
        return TypeAdapter(Schema).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"The schema's `{where}` is wrong: {first['msg']}.") from error


def _unknown(content: Any, kind: type, where: str) -> Iterator[str]:
    # Fields that no dataclass has: the library that checks types passes over them.
    if not isinstance(content, Mapping):
        return
    nested = {"input": Input, "target": Target, "columns": Column}
    known = {field.name for field in dataclasses.fields(kind)}
    for name, value in content.items():
        if name not in known:
            yield f"{where}{name}"
        elif name in nested:
            for each in value if isinstance(value, (list, tuple)) else [value]:
                yield from _unknown(each, nested[name], f"{where}{name}.")


def _without_statistics(content: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "kind")
    fitted = ("columns", "vocabulary", "mean", "std")
    kept = {key: value for key, value in content["input"].items() if key not in fitted}
    columns = [{key: column[key] for key in names} for column in content["input"]["columns"]]
    target = {key: content["target"][key] for key in ("kind", "names", "classes")}
    return {"groups": content["groups"], "target": target, "input": {**kept, "columns": columns}}


def _assignments(fields: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in fields.items() if value not in ((), [])]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON escapes all that TOML wants escaped, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_value(each) for each in value)}]"
    return str(value)


def describe(schema: Schema) -> str:
    """Write a schema as a table for people.

    Args:
        schema: the schema.

    Example:
        >>> from netwright.data import load
        >>> print(describe(load("iris").schema).splitlines()[0])
        target  class   `target`: setosa, versicolor, virginica
    """
    target, inputs = schema.target, schema.input
    rows = [("target", target.kind, _describe_target(schema))]
    if inputs.kind == "image":
        channels, height, width = inputs.shape
        colour = "grey" if channels == 1 else "colour"
        resized = ", resized" if inputs.resized else ""
        rows.append(("input", "image", f"{colour}, {width} x {height} pixels{resized}"))
    elif inputs.kind == "text":
        columns = _quoted(inputs.text_columns)
        tokens = "tokens" if inputs.tokens == "words" else "characters"
        words = f"{len(inputs.vocabulary):,} known {tokens}, {inputs.shape[0]} a row"
        rows.append(("input", "text", f"{columns}: {words}"))
    elif inputs.kind == "sequence":
        rows.append(("input", "sequence", _describe_sequence(inputs)))
    else:
        rows.append(("input", "table", f"{len(inputs.columns)} columns"))
        for column in inputs.columns:
            missing = ", some missing" if column.has_missing else ""
            rows.append(("", column.kind, f"`{column.name}`: {_describe_column(column)}{missing}"))
    if schema.groups:
        rows.append(("groups", "", _quoted(schema.groups)))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(
        f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip()
        for first, second, third in rows
    )


def _describe_sequence(inputs: Input) -> str:
    channels, steps = inputs.shape
    of = "1 channel" if channels == 1 else f"{channels:,} channels"
    named = f" ({_some(inputs.channels)})" if channels > 1 else ""
    rate = f" at {inputs.rate:,.6g} a second" if inputs.rate else ""
    return f"{of}{named}, {steps:,} steps{rate}"


def _describe_target(schema: Schema) -> str:
    target = schema.target
    if target.kind in ("class", "labels"):
        return f"{_quoted(target.names)}: {_some(target.classes)}"
    if not target.mean:
        return _quoted(target.names)
    spread = zip(target.mean, target.std, strict=True)
    return f"{_quoted(target.names)}: " + ", ".join(f"{m:.4g} ± {s:.4g}" for m, s in spread)


def _describe_column(column: Any) -> str:
    if column.kind == "category":
        return _some(column.categories)
    if column.kind == "date":
        ends = np.floor([column.minimum, column.maximum]).astype("datetime64[D]")
        return f"{ends[0]} to {ends[1]}"
    return f"{column.minimum:.6g} to {column.maximum:.6g}"


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _some(words: tuple[str, ...], most: int = 12) -> str:
    shown = ", ".join(words[:most])
    return f"{shown}, ... ({len(words):,} in all)" if len(words) > most else shown
