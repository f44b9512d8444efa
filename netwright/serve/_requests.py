"""Read a request's body: JSON, or uploaded pictures."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from netwright.data import Schema
from netwright.serve._problems import Problem, RequestError
from netwright.serve._rows import Rows, check_names, parse_json, rows_from_files, rows_from_json

__all__ = ["body_schema", "read_json", "read_rows"]

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'\bname="([^"\r\n]*)"', re.IGNORECASE)
_NAMES = ("rows", "row", "images", "image", "texts", "text", "sequences", "sequence")
_MANY = {"image": "images", "sequence": "sequences"}  # what may come as files
_FILES = ("image/", "audio/", "text/csv")  # kinds of a body that is one file


async def read_json(request: Any) -> Any:
    """Read a body that must be JSON.

    Args:
        request: Starlette's.

    Raises:
        RequestError: 415 if it says it is something else, 400 if it is no JSON.
    """
    kind = _kind(request)
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestError(415, "Send JSON, with the header `Content-Type: application/json`.")
    return parse_json(await request.body())


async def read_rows(
    request: Any,
    schema: Schema,
    *,
    most: int,
    thread: Executor,
    options: Sequence[str] = (),
) -> tuple[Rows, Mapping[str, Any]]:
    """Read the rows of a request, and what else it asks for.

    Args:
        request: Starlette's.
        schema: of the model.
        most: rows that one request may hold.
        thread: decodes pictures, one at a time, so that a few large ones cannot fill the memory.
        options: names of further fields.

    Returns:
        The rows, and the JSON object they came in; empty for files.

    Raises:
        RequestError: 4xx, naming every field that does not fit.
    """
    kind = _kind(request)
    loop = asyncio.get_running_loop()
    if kind == "multipart/form-data" or kind.startswith(_FILES):
        files = await _files(request, kind, most)
        return await loop.run_in_executor(
            thread, lambda: rows_from_files(files, schema, most=most)
        ), {}
    content = await read_json(request)
    check_names(content, (*_NAMES, *options))
    if schema.input.kind in _MANY and _holds_files(content, schema.input.kind):
        rows = await loop.run_in_executor(
            thread, lambda: rows_from_json(content, schema, most=most)
        )
    else:
        rows = rows_from_json(content, schema, most=most)
    return rows, content


def _holds_files(content: Any, one: str) -> bool:
    """Whether files must be decoded: an image or a sequence that is no list of numbers."""
    items = content.get(_MANY[one], [content.get(one)]) if isinstance(content, dict) else []
    return not isinstance(items, list) or any(isinstance(item, str) for item in items)


async def _files(request: Any, kind: str, most: int) -> list[tuple[str, bytes]]:
    body = await request.body()
    if kind.startswith(_FILES):
        return [("the body", body)]
    files: list[tuple[str, bytes]] = []
    for name, is_file, content in _parts(request.headers["content-type"], body, most):
        if not is_file:
            reason = "is no file; send each row as a file"
            raise RequestError(
                422, "The request does not fit the model.", [Problem(name[:80], reason)]
            )
        files.append((f"{name}[{len(files)}]"[:80], content))
    return files


def _parts(kind: str, body: bytes, most: int) -> list[tuple[str, bool, bytes]]:
    """Take a form apart (RFC 7578): name, whether it is a file, and content of each part."""
    found = _BOUNDARY.search(kind)
    if found is None:
        raise RequestError(400, "The form's Content-Type names no boundary.")
    boundary = (found[1] or found[2]).encode("latin-1")
    first, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, most + 2)
    if first.strip() or not parts or not parts[-1].startswith(b"--"):
        fault = "holds too many parts" if len(parts) > most + 1 else "is cut short or damaged"
        raise RequestError(400, f"The form {fault}.")
    made = []
    for part in parts[:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        named = _NAME.search(head)
        if not blank or named is None:
            raise RequestError(400, "A part of the form has no name.")
        made.append((named[1].decode(errors="replace"), b"filename" in head, content))
    return made


def _kind(request: Any) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def body_schema(schema: Schema) -> dict[str, Any]:
    """Describe the body of a prediction's request, as OpenAPI does.

    Args:
        schema: of the model.
    """
    if schema.input.kind == "text":
        names, item = ("texts", "text"), {"type": "string"}
    elif schema.input.kind == "image":
        names = ("images", "image")
        item = {"type": "string", "contentEncoding": "base64", "description": "a picture file"}
    elif schema.input.kind == "sequence":
        names = ("sequences", "sequence")
        numbers = {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 1}
        channels = schema.input.shape[0]
        several = {"type": "array", "items": numbers, "minItems": channels, "maxItems": channels}
        file = {"type": "string", "contentEncoding": "base64", "description": "a .wav or .csv file"}
        item = {"anyOf": [*((numbers,) if channels == 1 else ()), several, file]}
    else:
        names = ("rows", "row")
        properties = {c.name: _column_schema(c) for c in schema.input.columns}
        item = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    many, one = names
    content: dict[str, Any] = {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {many: {"type": "array", "items": item, "minItems": 1}, one: item},
            }
        }
    }
    if schema.input.kind in _MANY:
        file = {"type": "string", "format": "binary"}
        for each in ("image/png",) if schema.input.kind == "image" else ("audio/wav", "text/csv"):
            content[each] = {"schema": file}
        content["multipart/form-data"] = {
            "schema": {"type": "object", "properties": {"file": {"type": "array", "items": file}}}
        }
    return {"required": True, "content": content}


def _column_schema(column: Any) -> dict[str, Any]:
    kinds = {
        "number": ["number", "null"],
        "category": ["string", "null"],
        "boolean": ["boolean", "null"],
        "date": ["string", "number", "null"],
    }
    found: dict[str, Any] = {"type": kinds[column.kind]}
    if column.kind == "category":
        found["examples"] = list(column.categories[:5])
    return found
