"""The Open Inference Protocol (KServe's second version), with tensors as JSON.

Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
Departs: no binary tensors, no model repository, no gRPC.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from netwright.artefact._raw import input_names
from netwright.serve._model import ServedModel
from netwright.serve._problems import Problem, RequestError
from netwright.serve._rows import Rows

__all__ = ["infer_answer", "model_metadata", "rows_from_tensors"]

_KINDS = ("UINT8", "FP32", "BYTES")
_INT32 = 2**31 - 1
_ANY = -1  # a size that is the caller's to choose


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """Describe the model's tensors.

    Args:
        model: that is served.
    """
    outputs = [{"name": model.outputs, "datatype": "FP32", "shape": [-1, len(model.classes)]}]
    if model.schema.target.kind == "class":
        outputs.append({"name": "label", "datatype": "BYTES", "shape": [-1]})
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnx_onnxruntime",
        "inputs": [
            {"name": name, "datatype": kind, "shape": [-1, *shape]}
            for name, kind, shape in _inputs(model)
        ],
        "outputs": outputs,
    }


def rows_from_tensors(content: Any, model: ServedModel, *, most: int) -> Rows:
    """Read the tensors of an inference request.

    Args:
        content: the request's JSON.
        model: that is served.
        most: rows that one request may hold.

    Raises:
        RequestError: 400, naming every tensor that does not fit.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("inputs"), list):
        raise _bad([Problem("inputs", "must be a list of tensors")])
    tensors: dict[str, Mapping[str, Any]] = {}
    for place, tensor in enumerate(content["inputs"]):
        name = tensor.get("name") if isinstance(tensor, Mapping) else None
        if not isinstance(name, str):
            raise _bad([Problem(f"inputs[{place}]", "must be an object with a `name`")])
        tensors[name] = tensor
    wanted = _inputs(model)
    problems: list[Problem] = []
    feed: dict[str, np.ndarray] = {}
    for name, kind, shape in wanted:
        if name not in tensors:
            problems.append(Problem(name, f"is missing; it is {kind} of shape [-1, *{shape}]"))
            continue
        made = _tensor(tensors[name], kind, shape, most)
        if isinstance(made, np.ndarray) and _ANY in shape:
            made = _first_steps(made, model.schema.input.shape[1])
        if isinstance(made, str):
            problems.append(Problem(name, made))
        else:
            feed[name] = made
    known = {name for name, _, _ in wanted}
    problems += [Problem(n[:80], "is no input of this model") for n in tensors if n not in known]
    lengths = {len(array) for array in feed.values()}
    if not problems and len(lengths) != 1:
        problems.append(Problem("inputs", f"must be equally long; got {sorted(lengths)} rows"))
    if problems:
        raise _bad(problems)
    (n,) = lengths
    return Rows(feed, n, ((),) * n, (None,) * n)


def infer_answer(model: ServedModel, answers: list[dict[str, Any]], content: Any) -> dict[str, Any]:
    """Put answers into tensors.

    Args:
        model: that is served.
        answers: of the rows.
        content: the request's JSON; its `id` and `outputs` count.

    Raises:
        RequestError: 400 if an output is asked for that there is not.
    """
    key = "probabilities" if model.outputs == "probabilities" else "values"
    flat = [number for answer in answers for number in answer[key]]
    shape = [len(answers), len(model.classes)]
    made = {
        key: {"name": key, "datatype": "FP32", "shape": shape, "data": flat},
    }
    if model.schema.target.kind == "class":
        labels = [answer["label"] for answer in answers]
        made["label"] = {
            "name": "label", "datatype": "BYTES", "shape": [len(answers)], "data": labels,
        }  # fmt: skip
    names = wanted_outputs(content, tuple(made))
    found: dict[str, Any] = {
        "model_name": model.name,
        "model_version": model.version,
        "outputs": [made[name] for name in names],
        "parameters": {"answers": ",".join(answer["id"] for answer in answers)},
    }
    if isinstance(content.get("id"), str):
        found["id"] = content["id"][:200]
    return found


def wanted_outputs(content: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the outputs that a request asks for; all, if it names none.

    Args:
        content: the request's JSON.
        known: names of all.

    Raises:
        RequestError: 400 if one is not known.
    """
    asked = content.get("outputs") if isinstance(content, Mapping) else None
    if not asked:
        return known
    if not isinstance(asked, list):
        raise _bad([Problem("outputs", "must be a list")])
    names = [each.get("name") if isinstance(each, Mapping) else None for each in asked]
    for place, name in enumerate(names):
        if name not in known:
            raise _bad([Problem(f"outputs[{place}]", f"must name one of {', '.join(known)}")])
    return tuple(dict.fromkeys(str(name) for name in names))


def _inputs(model: ServedModel) -> list[tuple[str, str, tuple[int, ...]]]:
    inputs = model.schema.input
    if inputs.kind == "image":
        return [("image", "UINT8", inputs.shape)]
    if inputs.kind == "text":
        return [("text", "BYTES", ())]
    if inputs.kind == "sequence":
        return [("sequence", "FP32", (inputs.shape[0], _ANY))]
    return [
        (name, "BYTES" if column.kind == "category" else "FP32", ())
        for name, column in zip(input_names(model.schema), inputs.columns, strict=True)
    ]


def _tensor(
    tensor: Mapping[str, Any], kind: str, shape: tuple[int, ...], most: int
) -> np.ndarray | str:
    if tensor.get("datatype") != kind:
        return f"`datatype` must be {kind}; the kinds of this server are {', '.join(_KINDS)}"
    given = tensor.get("shape")
    sizes = given if isinstance(given, list) else []
    if not sizes or not all(type(s) is int and 0 <= s <= _INT32 for s in sizes):
        return "`shape` must be a list of sizes"
    n = sizes[0]
    if len(sizes) == len(shape) + 1:
        shape = tuple(s if w == _ANY and s else w for s, w in zip(sizes[1:], shape, strict=True))
    if tuple(sizes[1:]) != shape and not (not shape and sizes[1:] == [1]):
        shown = ("steps" if size == _ANY else str(size) for size in shape)
        return f"`shape` must be [rows, {', '.join(shown)}]; got {sizes[:8]}"
    if not 1 <= n <= most:
        return f"must hold 1 to {most:,} rows; got {n:,}"
    data = tensor.get("data")
    if not isinstance(data, list):
        return "`data` must be a list; binary tensors are not read"
    flat = _flat(data)
    if flat is None or len(flat) != n * math.prod(shape):
        got = "deeper lists" if flat is None else f"{len(flat):,}"
        return f"`data` must hold {n * math.prod(shape):,} values; got {got}"
    return _values(flat, kind, (n, *shape))


def _values(flat: list[Any], kind: str, shape: tuple[int, ...]) -> np.ndarray | str:
    if kind == "BYTES":
        if not all(isinstance(v, str) and "\0" not in v for v in flat):
            return "`data` must hold texts"
        try:
            "".join(flat).encode()
        except UnicodeEncodeError:
            return "`data` holds half a surrogate pair"
        found = np.empty(len(flat), object)
        found[:] = flat
        return found
    if kind == "UINT8":
        if not all(type(v) is int and 0 <= v <= 255 for v in flat):
            return "`data` must hold whole numbers 0 to 255"
        return np.array(flat, np.uint8).reshape(shape)
    most = float(np.finfo(np.float32).max)
    for value in flat:
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > most
        ):
            return f"`data` must hold numbers within {most:.3g}; null is missing"
    return np.array([math.nan if v is None else v for v in flat], np.float32).reshape(shape)


def _first_steps(rows: np.ndarray, length: int) -> np.ndarray | str:
    # As many steps as the network looks at, each row with a value.
    rows = rows[:, :, :length]
    empty = np.flatnonzero(np.isnan(rows).all(axis=(1, 2)))
    return f"row {empty[0]} has no value in its first {length:,} steps" if len(empty) else rows


def _flat(data: list[Any]) -> list[Any] | None:
    """Flatten nested lists, as the protocol allows; None if they nest too deeply."""
    for _ in range(5):
        if not any(isinstance(value, list) for value in data):
            return data
        data = [v for value in data for v in (value if isinstance(value, list) else [value])]
    return None


def _bad(problems: list[Problem]) -> RequestError:
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return RequestError(400, f"`{first.field}` {first.reason}{more}.", problems[:20])
