"""Read a request's body: JSON, or uploaded pictures."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from netwright.data import Schema
from netwright.serve._problems import Problem, RequestError
from netwright.serve._rows import Rows, check_names, parse_json, rows_from_files, rows_from_json

__all__ = ["body_schema", "read_json", "read_rows"]

_NAMES = ("rows", "row", "images", "image", "texts", "text")


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
    if kind == "multipart/form-data" or kind.startswith("image/"):
        files = await _files(request, kind, most)
        return await loop.run_in_executor(
            thread, lambda: rows_from_files(files, schema, most=most)
        ), {}
    content = await read_json(request)
    check_names(content, (*_NAMES, *options))
    if schema.input.kind == "image":
        rows = await loop.run_in_executor(
            thread, lambda: rows_from_json(content, schema, most=most)
        )
    else:
        rows = rows_from_json(content, schema, most=most)
    return rows, content


async def _files(request: Any, kind: str, most: int) -> list[tuple[str, bytes]]:
    if kind.startswith("image/"):
        return [("the body", await request.body())]
    form = await request.form(max_files=most, max_fields=16)
    try:
        files = []
        for name, value in form.multi_items():
            if isinstance(value, str):
                reason = "is no file; send pictures as files"
                raise RequestError(
                    422, "The request does not fit the model.", [Problem(name[:80], reason)]
                )
            files.append((f"{name}[{len(files)}]"[:80], await value.read()))
        return files
    finally:
        await form.close()


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
    if schema.input.kind == "image":
        content["image/png"] = {"schema": {"type": "string", "format": "binary"}}
        file = {"type": "string", "format": "binary"}
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
