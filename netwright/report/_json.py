"""Findings as JSON, and back: what a program reads instead of the page.

A document is `{"version": 1, "findings": [...]}`; each finding has the fields of `Finding`, and
evidence says by `kind` what it is. JSON has no numbers that are not finite: they are written as the
texts "NaN", "Infinity" and "-Infinity", which `float` in Python and `Number` in JavaScript read.
Where a field may hold text as well (cells of a table, positions of a series) such a number comes
back as that text; everywhere else it comes back as the number.
"""

import functools
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from netwright.finding import Finding

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["FINDINGS_VERSION", "findings_from_json", "findings_schema", "findings_to_json"]

FINDINGS_VERSION = 1
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_KINDS = ("table", "lines", "points", "bars", "heatmap", "picture")


def findings_to_json(findings: Iterable[Finding]) -> str:
    """Write findings as a JSON document.

    Args:
        findings: in the order to keep.

    Returns:
        The document, in ASCII, one finding a line.
    """
    rows = _adapter().dump_python(tuple(findings), mode="json")
    lines = [json.dumps(_finite(row), allow_nan=False) for row in rows]
    inside = "\n" + ",\n".join(lines) + "\n" if lines else ""
    return f'{{"version": {FINDINGS_VERSION}, "findings": [{inside}]}}\n'


def findings_from_json(text: str) -> tuple[Finding, ...]:
    """Read what `findings_to_json` wrote.

    Args:
        text: the document.

    Raises:
        ValueError: if it is not JSON, has another version, or does not follow the schema; the
            message names the place.
    """
    try:
        document = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"`text` must be a findings document; it is not JSON: {error}.") from error
    if not isinstance(document, dict) or "version" not in document:
        raise ValueError("`text` must be a findings document, an object with a `version`.")
    version = document["version"]
    if version != FINDINGS_VERSION or isinstance(version, bool):
        raise ValueError(
            f"`version` of a findings document must be {FINDINGS_VERSION}; got {version!r}. "
            f"It was written by another release of Netwright: read it with that one."
        )
    if set(document) != {"version", "findings"} or not isinstance(document["findings"], list):
        raise ValueError(
            f"A findings document holds `version` and a list `findings`; got {sorted(document)}."
        )
    _check_kinds(document["findings"])
    return _validated(document["findings"])


def findings_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of findings documents."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generate(GenerateJsonSchema):
        def float_schema(self, schema: Any) -> dict[str, Any]:
            return {"anyOf": [{"type": "number"}, {"enum": list(_NOT_FINITE)}]}

    inner = _adapter().json_schema(schema_generator=Generate, mode="serialization")
    definitions = inner.pop("$defs")
    for definition in definitions.values():
        definition["description"] = definition["description"].partition("\n")[0]
        if "kind" in definition["properties"]:
            definition["required"].append("kind")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Netwright findings",
        "description": "What an audit measured, the verdicts, and the evidence.",
        "type": "object",
        "required": ["version", "findings"],
        "additionalProperties": False,
        "properties": {"version": {"const": FINDINGS_VERSION}, "findings": inner},
        "$defs": definitions,
    }


@functools.cache
def _adapter() -> "TypeAdapter[tuple[Finding, ...]]":
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(tuple[Finding, ...], config=ConfigDict(extra="forbid"))


def _validated(rows: list[Any]) -> tuple[Finding, ...]:
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(rows)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in ("findings", *first["loc"]))
        raise ValueError(f"`{place}` of a findings document: {first['msg']}.") from error


def _check_kinds(rows: list[Any]) -> None:
    """Refuse evidence that does not say what it is: lines could be taken for points."""
    for k, row in enumerate(rows):
        evidence = row.get("evidence", []) if isinstance(row, dict) else []
        for i, piece in enumerate(evidence if isinstance(evidence, list) else []):
            kind = piece.get("kind") if isinstance(piece, dict) else None
            if kind not in _KINDS:
                raise ValueError(
                    f"`findings.{k}.evidence.{i}.kind` must be one of {', '.join(_KINDS)}; "
                    f"got {kind!r}."
                )


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f'`text` must be JSON, which has no {name}; write it as the text "{name}".')
