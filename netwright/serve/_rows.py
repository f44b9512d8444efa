"""From the body of a request to raw rows that the model takes; whatever does not fit is named."""

import base64
import binascii
import datetime
import difflib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.artefact._raw import input_names
from netwright.data import Column, Schema
from netwright.data._pictures import FORMATS, decode, header
from netwright.serve._problems import Problem, RequestError
from netwright.serve._sequence_rows import (
    ReadSequence,
    read_sequence,
    read_sequence_file,
    together,
)

__all__ = [
    "MOST_PIXELS",
    "Rows",
    "check_names",
    "join",
    "parse_json",
    "rows_from_files",
    "rows_from_json",
]

MOST_PIXELS = 25_000_000  # of an uploaded picture, before it is decoded
_MOST_PROBLEMS = 20
_LARGEST = float(np.finfo(np.float32).max)
_MANY = {"image": "images", "table": "rows", "text": "texts", "sequence": "sequences"}
_ONE = {"image": "image", "table": "row", "text": "text", "sequence": "sequence"}


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows that fit the schema.

    Attributes:
        feed: an array for each input of the graph, all of length `n`.
        n: rows.
        notes: for each row, what is odd but allowed.
        shown: for each row, what was sent, as JSON can hold it; None for a picture or another file.
    """

    feed: dict[str, np.ndarray]
    n: int
    notes: tuple[tuple[str, ...], ...]
    shown: tuple[Any, ...]


def join(parts: Sequence[Rows]) -> dict[str, np.ndarray]:
    """Put the rows of several requests into one batch.

    Args:
        parts: of the same model; at least one.
    """
    if len(parts) == 1:
        return parts[0].feed
    if "sequence" in parts[0].feed and parts[0].feed["sequence"].ndim == 3:
        return {"sequence": together([part.feed["sequence"] for part in parts])}
    return {name: np.concatenate([part.feed[name] for part in parts]) for name in parts[0].feed}


def parse_json(body: bytes) -> Any:
    """Read JSON as the standard has it: no NaN, no endless nesting.

    Args:
        body: as received.

    Raises:
        RequestError: 400, if it is none.
    """
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise RequestError(400, "The body is nested too deeply.") from None
    except ValueError as error:  # with UnicodeDecodeError and numbers of too many digits
        raise RequestError(400, f"The body is no JSON: {error}.") from error


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON number; null is a missing value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def rows_from_json(content: Any, schema: Schema, *, most: int) -> Rows:
    """Read the rows of a request's JSON.

    Args:
        content: an object with `rows`, `images`, `texts` or `sequences`, or one `row`, `image`,
            `text` or `sequence`.
        schema: of the model.
        most: rows that one request may hold.

    Raises:
        RequestError: 422, naming every field that does not fit.
    """
    kind = schema.input.kind
    many, one = _MANY[kind], _ONE[kind]
    if not isinstance(content, Mapping):
        raise _bad("the body", f"must be a JSON object with `{many}`; got {_named(content)}")
    if (many in content) == (one in content):
        raise _bad(many, f"give either `{many}` (a list) or `{one}`; this model takes a {kind}")
    items = content[many] if many in content else [content[one]]
    if not isinstance(items, list):
        raise _bad(many, f"must be a list; got {_named(items)}")
    if not 1 <= len(items) <= most:
        raise _bad(many, f"must hold 1 to {most:,} rows; got {len(items):,}")
    places = [f"{many}[{i}]" for i in range(len(items))] if many in content else [one]
    if kind == "table":
        return _table(items, places, schema)
    if kind == "sequence":
        return _sequences(items, places, schema)
    return _texts(items, places) if kind == "text" else _images(items, places, schema)


def check_names(content: Any, known: Sequence[str], *, where: str = "") -> None:
    """Refuse fields that nobody reads: they are mistakes of spelling.

    Args:
        content: an object, or anything else, which passes.
        known: names that are read.
        where: in front of the names, in messages.

    Raises:
        RequestError: 422.
    """
    if not isinstance(content, Mapping):
        return
    unknown = [str(name) for name in content if name not in known]
    if unknown:
        raise RequestError(
            422,
            "The request has fields that are not known.",
            [Problem(f"{where}{n[:80]}", f"is not known{_near(n, known)}") for n in unknown[:5]],
        )


def rows_from_files(files: Sequence[tuple[str, bytes]], schema: Schema, *, most: int) -> Rows:
    """Read uploaded pictures, or sequences (.wav, .csv).

    Args:
        files: name of each, for messages, and its bytes.
        schema: of the model.
        most: files that one request may hold.

    Raises:
        RequestError: 415 if the model takes neither, 422 if a file is none.
    """
    if schema.input.kind not in ("image", "sequence"):
        many = _MANY[schema.input.kind]
        raise RequestError(
            415, f"This model takes a {schema.input.kind}: send JSON with `{many}`, not files."
        )
    if not 1 <= len(files) <= most:
        raise _bad("files", f"send 1 to {most:,} files; got {len(files):,}")
    if schema.input.kind == "sequence":
        made = [read_sequence_file(data, schema.input) for _, data in files]
        return _stacked([name for name, _ in files], made, (None,) * len(files))
    return _decoded([(name, data) for name, data in files], schema)


def _bad(field: str, reason: str) -> RequestError:
    return RequestError(422, "The request does not fit the model.", [Problem(field, reason)])


def _check(problems: list[Problem]) -> None:
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        message = "The request does not fit the model."
        if more > 0:
            message += f" {more:,} more problems are not listed."
        raise RequestError(422, message, problems[:_MOST_PROBLEMS])


def _table(items: list[Any], places: Sequence[str], schema: Schema) -> Rows:
    columns = schema.input.columns
    known = {column.name for column in columns}
    problems: list[Problem] = []
    cells: list[list[Any]] = [[] for _ in columns]
    notes: list[tuple[str, ...]] = []
    for place, item in zip(places, items, strict=True):
        if not isinstance(item, Mapping):
            problems.append(Problem(place, f"must be an object; got {_named(item)}"))
            continue
        for name in item:
            if name not in known:
                reason = f"is no column of this model{_near(name, tuple(known))}"
                problems.append(Problem(f"{place}.{name[:80]}", reason))
        odd: list[str] = []
        for column, values in zip(columns, cells, strict=True):
            if column.name not in item:
                reason = "is missing; null stands for a value that is not known"
                problems.append(Problem(f"{place}.{column.name}", reason))
                continue
            found = _cell(item[column.name], column, odd)
            if isinstance(found, _Wrong):
                problems.append(Problem(f"{place}.{column.name}", found.reason))
            else:
                values.append(found)
        notes.append(tuple(odd))
        if len(problems) > 10 * _MOST_PROBLEMS:
            break
    _check(problems)
    feed = {
        name: np.array(values, object if column.kind == "category" else np.float32)
        for name, column, values in zip(input_names(schema), columns, cells, strict=True)
    }
    return Rows(feed, len(items), tuple(notes), tuple(items))


@dataclass(frozen=True, slots=True)
class _Wrong:
    reason: str


def _cell(value: Any, column: Column, odd: list[str]) -> float | str | _Wrong:
    if value is None:
        if not column.has_missing:
            odd.append(f"`{column.name}` was never missing in training.")
        return "" if column.kind == "category" else math.nan
    if column.kind == "category":
        if not isinstance(value, str):
            return _Wrong(f"must be a text or null; got {_named(value)}")
        if reason := _unwritable(value):
            return _Wrong(reason)
        word = value.strip()
        if word and word not in column.categories:
            odd.append(f"`{column.name}`: {word[:40]!r} was not seen in training.")
        return word
    if column.kind == "boolean":
        if value in (0, 1) and isinstance(value, bool | int | float):
            return float(value)
        return _Wrong(f"must be true, false or null; got {_named(value)}")
    number = _days(value) if column.kind == "date" and isinstance(value, str) else value
    if isinstance(number, _Wrong):
        return number
    if isinstance(number, bool) or not isinstance(number, int | float):
        wanted = "a date such as 2024-05-31, days since 1970," if column.kind == "date" else "a"
        wanted = wanted if column.kind == "date" else "a number"
        return _Wrong(f"must be {wanted} or null; got {_named(value)}")
    if not -_LARGEST <= number <= _LARGEST:
        return _Wrong(f"must be within {_LARGEST:.3g}; got {_named(value)}")
    if column.minimum < column.maximum and not column.minimum <= number <= column.maximum:
        ends = f"{column.minimum:.6g} to {column.maximum:.6g}"
        odd.append(f"`{column.name}` is outside the training rows' {ends}.")
    return float(number)


def _days(text: str) -> float | _Wrong:
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return _Wrong(f"must be a date such as 2024-05-31; got {_named(text)}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch).total_seconds() / 86_400


def _texts(items: list[Any], places: Sequence[str]) -> Rows:
    problems = []
    for place, item in zip(places, items, strict=True):
        if not isinstance(item, str):
            problems.append(Problem(place, f"must be a text; got {_named(item)}"))
        elif reason := _unwritable(item):
            problems.append(Problem(place, reason))
    _check(problems)
    texts = np.empty(len(items), object)
    texts[:] = items
    return Rows({"text": texts}, len(items), ((),) * len(items), tuple(items))


def _sequences(items: list[Any], places: Sequence[str], schema: Schema) -> Rows:
    made: list[ReadSequence | str] = []
    for item in items:
        if isinstance(item, list):
            made.append(read_sequence(item, schema.input))
        elif isinstance(item, str):
            data = _from_base64(item)
            wrong = isinstance(data, _Wrong)
            made.append(data.reason if wrong else read_sequence_file(data, schema.input))
        else:
            made.append(f"must be lists of numbers, or a file in base64; got {_named(item)}")
    shown = tuple(item if isinstance(item, list) else None for item in items)
    return _stacked(places, made, shown)


def _stacked(
    places: Sequence[str], made: Sequence[ReadSequence | str], shown: tuple[Any, ...]
) -> Rows:
    pairs = zip(places, made, strict=True)
    _check([Problem(place, found) for place, found in pairs if isinstance(found, str)])
    found = [each for each in made if isinstance(each, ReadSequence)]
    feed = {"sequence": together([each.values for each in found])}
    return Rows(feed, len(found), tuple(each.notes for each in found), shown)


def _unwritable(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"is no Unicode text: half a surrogate pair at place {error.start}"
    return ""


def _images(items: list[Any], places: Sequence[str], schema: Schema) -> Rows:
    shape = schema.input.shape
    problems: list[Problem] = []
    found: list[tuple[str, Any]] = []
    for place, item in zip(places, items, strict=True):
        if isinstance(item, str):
            made = _from_base64(item)
        elif isinstance(item, list):
            made = _from_pixels(item, shape)
        else:
            made = _Wrong(f"must be a picture in base64, or pixels; got {_named(item)}")
        if isinstance(made, _Wrong):
            problems.append(Problem(place, made.reason))
        else:
            found.append((place, made))
    _check(problems)
    return _decoded(found, schema)


def _from_base64(text: str) -> bytes | _Wrong:
    if text.startswith("data:"):
        _, comma, text = text.partition(",")
        if not comma:
            return _Wrong("is a data: address without a comma")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        return _Wrong(f"is no base64: {error}")


def _from_pixels(item: list[Any], shape: tuple[int, ...]) -> np.ndarray | _Wrong:
    wanted = f"must be whole numbers 0 to 255 in lists of shape {shape}"
    try:
        array = np.array(item)
    except (ValueError, OverflowError):
        return _Wrong(f"{wanted}; the lists are of unequal lengths")
    if array.dtype.kind not in "iu" or array.size and not 0 <= array.min() <= array.max() <= 255:
        return _Wrong(f"{wanted}; got other values")
    if array.ndim == 2 and shape[0] == 1:
        array = array[None]
    if array.shape != shape:
        return _Wrong(f"{wanted}; got shape {array.shape}")
    return array.astype(np.uint8)


def _decoded(found: Sequence[tuple[str, Any]], schema: Schema) -> Rows:
    pixels = np.empty((len(found), *schema.input.shape), np.uint8)
    problems: list[Problem] = []
    left = 2 * MOST_PIXELS  # of all pictures together: small files may hold large ones
    for place, (name, item) in enumerate(found):
        made: np.ndarray | str = item
        if not isinstance(item, np.ndarray):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, about files that it can read
                seen = _size(item)
                left -= seen if isinstance(seen, int) else 0
                late = "too many pixels in one request; send fewer pictures at once"
                made = seen if isinstance(seen, str) else late
                if isinstance(seen, int) and left >= 0:
                    made = decode(item, schema.input.shape)
        if isinstance(made, str):
            problems.append(Problem(name, made))
        else:
            pixels[place] = made
    _check(problems)
    return Rows({"image": pixels}, len(found), ((),) * len(found), (None,) * len(found))


def _size(data: bytes) -> int | str:
    """Count a picture's pixels from its header; or say why it is not decoded."""
    if not data:
        return f"the file is empty; send one of {', '.join(FORMATS)}"
    seen = header(data)
    pixels = seen.height * seen.width
    if not seen.trouble and pixels > MOST_PIXELS:
        size = f"{seen.width:,} x {seen.height:,} pixels"
        return f"{size}; at most {MOST_PIXELS:,} in all are decoded"
    return seen.trouble or pixels


def _named(value: Any) -> str:
    """Say what came, in a few letters."""
    kinds = ((bool, "a boolean"), (Mapping, "an object"), (list, "a list"))
    if value is None:
        return "null"
    for kind, name in kinds:
        if isinstance(value, kind):
            return name
    if isinstance(value, str):
        shown = value if len(value) <= 40 else f"{value[:40]}..."
        return f"the text {ascii(shown)}"
    if isinstance(value, int) and abs(value) >= 10**15:
        return "a number beyond all bounds" if abs(value) > 10**300 else f"{float(value):.6g}"
    return f"{value!r}"


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(name)[:80], known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
