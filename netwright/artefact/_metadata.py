"""What an ONNX file says about itself, in a few hundred bytes: its metadata properties.

| key | value |
|---|---|
| `netwright` | version that wrote it |
| `classes` | JSON list of class names, in the order of the outputs; absent for numbers |
| `schema` | JSON of the schema, defaults left out, and without what the file holds elsewhere |
| `input` | one sentence for people: what to feed |
| `temperature` | what the logits have been divided by; absent when 1 |

The schema in the file leaves out the class names (they are `classes`), categories and vocabulary
(they are the keys of the graph's LabelEncoders), and the quantiles of number columns (they are
inside the network's weights). `restore` puts all but the quantiles back; `schema.json` has
everything.
"""

import dataclasses
import json

from netwright.artefact._errors import ArtefactError
from netwright.artefact._raw import input_names
from netwright.data import Schema

__all__ = ["describe", "restore"]


def describe(schema: Schema, *, version: str, temperature: float = 1.0) -> dict[str, str]:
    """Make the metadata properties of a file.

    Args:
        schema: of the task.
        version: of Netwright.
        temperature: what the logits have been divided by.
    """
    from pydantic import TypeAdapter

    columns = tuple(
        dataclasses.replace(c, categories=(), quantiles=()) for c in schema.input.columns
    )
    short = dataclasses.replace(
        schema,
        input=dataclasses.replace(schema.input, columns=columns, vocabulary=()),
        target=dataclasses.replace(schema.target, classes=()),
    )
    described = {
        "netwright": version,
        "schema": TypeAdapter(Schema).dump_json(short, exclude_defaults=True).decode(),
        "input": _sentence(schema),
    }
    if schema.target.classes:
        described["classes"] = json.dumps(schema.target.classes, separators=(",", ":"))
    if temperature != 1:
        described["temperature"] = repr(temperature)
    return described


def restore(properties: dict[str, str], words: dict[str, tuple[str, ...]]) -> Schema | None:
    """Read the schema back; None if the file was not written by Netwright.

    Args:
        properties: the file's metadata properties.
        words: categories and vocabulary, by input.

    Raises:
        ArtefactError: if the properties are damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    if "netwright" not in properties or "schema" not in properties:
        return None
    try:
        schema = TypeAdapter(Schema).validate_json(properties["schema"])
        classes = TypeAdapter(tuple[str, ...]).validate_json(properties.get("classes", "[]"))
        float(properties.get("temperature", "1"))
    except (ValidationError, ValueError) as error:
        raise ArtefactError(f"The model's metadata is damaged: {error}") from error
    columns = tuple(
        dataclasses.replace(column, categories=words.get(name, ()))
        for name, column in zip(input_names(schema), schema.input.columns, strict=False)
    )
    vocabulary = words.get("text", ()) if schema.input.kind == "text" else ()
    return dataclasses.replace(
        schema,
        input=dataclasses.replace(schema.input, columns=columns, vocabulary=vocabulary),
        target=dataclasses.replace(schema.target, classes=classes),
    )


def _sentence(schema: Schema) -> str:
    kind = schema.input.kind
    if kind == "image":
        return "image: uint8 pixels, 0 to 255."
    if kind == "sequence":
        length = schema.input.shape[1]
        named = ", ".join(schema.input.channels)
        rate = f" at {schema.input.rate:.6g} steps a second" if schema.input.rate else ""
        return (
            f"sequence: float32 (batch, channels, steps){rate}, channels {named}; NaN is missing, "
            f"and follows the end; steps after the first {length} are not used."
        )
    if kind == "text":
        capitals = "" if schema.input.tokens == "words" else ", whose capitals count"
        return f"text: UTF-8 strings{capitals}."
    return "One input a column: strings, or float32 (dates: days since 1970); '' or NaN is missing."
