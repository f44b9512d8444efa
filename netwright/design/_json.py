"""A design as JSON text, and back; anything unexpected in the text is an error."""

import json
import math
from dataclasses import asdict, fields
from typing import Any

from netwright.design._design import Design
from netwright.learn._recipe import Recipe

__all__ = ["design_from_json", "design_to_json"]

_VERSION = 1


def design_to_json(design: Design) -> str:
    """Write a design as JSON.

    Args:
        design: its parameters must be plain JSON values: text, finite numbers, booleans, None,
            lists and string-keyed mappings of them.

    Returns:
        Indented text with sorted keys; `design_from_json` gives an equal design back.

    Raises:
        TypeError: if a parameter is no plain JSON value (a tuple, for example).
        ValueError: if a parameter is not finite.
    """
    for name, value in design.parameters.items():
        _check_plain(value, f"parameters[{name!r}]", design.name)
    content = {
        "version": _VERSION,
        "name": design.name,
        "family": design.family,
        "parameters": dict(design.parameters),
        "recipe": asdict(design.recipe),
    }
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False)


def design_from_json(text: str) -> Design:
    """Read a design.

    Args:
        text: what `design_to_json` wrote.

    Raises:
        ValueError: if the text is no JSON, has another version, or an entry is missing, unknown,
            of the wrong kind or not finite. A recipe may lack entries; they are as by default.
    """
    try:
        content = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"A design must be JSON; {error}.") from error
    _check_keys(content, ("version", "name", "family", "parameters", "recipe"), "A design")
    if content["version"] != _VERSION:
        raise ValueError(
            f"`version` of a design must be {_VERSION}; got {content['version']!r}. It was written "
            f"by another version of Netwright."
        )
    for name, kind in (("name", str), ("family", str), ("parameters", dict)):
        if not isinstance(content[name], kind):
            raise ValueError(
                f"`{name}` of a design must be {kind.__name__}; got {content[name]!r}."
            )
    return Design(
        name=content["name"],
        family=content["family"],
        parameters=content["parameters"],
        recipe=_read_recipe(content["recipe"]),
    )


def _refuse(constant: str) -> None:
    raise ValueError(f"Numbers of a design must be finite; got {constant}.")


def _read_recipe(content: Any) -> Recipe:
    defaults = {field.name: field.default for field in fields(Recipe)}
    _check_keys(content, tuple(defaults), "`recipe`", complete=False)
    values: dict[str, Any] = {}
    for name, default in defaults.items():
        value = content.get(name, default)
        if (
            name not in content
        ):  # written before there was such an entry: by default it does nothing
            fits = True
        elif isinstance(default, tuple):
            fits = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
            value = tuple(value) if fits else value
        elif isinstance(default, str):
            fits = isinstance(value, str)
        elif isinstance(default, float):
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            value = float(value) if fits else value
        else:
            fits = isinstance(value, int) and not isinstance(value, bool)
        if not fits:
            kind = "a list of text" if isinstance(default, tuple) else type(default).__name__
            raise ValueError(f"`{name}` of a recipe must be {kind}; got {value!r}.")
        values[name] = value
    return Recipe(**values)


def _check_keys(content: Any, known: tuple[str, ...], owner: str, *, complete: bool = True) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{owner} must be a JSON object; got {content!r}.")
    missing = [name for name in known if complete and name not in content]
    unknown = [name for name in content if name not in known]
    if missing or unknown:
        raise ValueError(
            f"{owner} has the entries {', '.join(known)}; missing: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(unknown) or 'none'}."
        )


def _check_plain(value: Any, where: str, name: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"`{where}` of design {name!r} must be finite; got {value}.")
        return
    if isinstance(value, list):
        for place, entry in enumerate(value):
            _check_plain(entry, f"{where}[{place}]", name)
        return
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, entry in value.items():
            _check_plain(entry, f"{where}[{key!r}]", name)
        return
    raise TypeError(
        f"`{where}` of design {name!r} must be a plain JSON value (text, number, boolean, None, "
        f"list, mapping); got {type(value).__name__}."
    )
