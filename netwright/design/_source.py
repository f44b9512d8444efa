"""Print a design as PyTorch source that builds the same network without this library."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright import nn as layers
from netwright.data._schema import Column, Schema
from netwright.design._arguments import Arguments, Code, arguments_of
from netwright.design._build_network import build_network
from netwright.design._bundle import Bundle
from netwright.design._design import Design
from netwright.nn._resized import resized

__all__ = ["load_weights", "source"]

_WIDEST = 100


def source(design: Design, schema: Schema, *, is_calibrated: bool = False) -> str:
    """Print the network of a design as a file of its own.

    Args:
        design: what to print.
        schema: of the task.
        is_calibrated: whether the network stands inside `Calibrated`, as that of a finished run for
            classes or labels does.

    Returns:
        Python source that needs torch alone: the layers, `build()`, which makes the network, and
        `load_weights(network, path)`, which reads `model.safetensors`. The names of the weights are
        those of the network that `build_network` makes.

    Raises:
        ValueError: if the network has a layer that cannot be printed; names it and its place.
    """
    network: nn.Module = build_network(design, schema, seed=0)
    bundle = Bundle()
    made, sizes = _made(design, schema)
    if sizes:
        bundle.add("resized", resized.__module__)
    if is_calibrated:
        bundle.add_object(layers.Calibrated)
        made = _Call("Calibrated", [made], {})
    body = _value(made, "network", bundle, 4, len("return "))
    for kind in {type(m) for m in network.modules()}:  # those that are handed over as classes
        if kind.__module__.startswith("netwright.") and kind.__name__ in body:
            bundle.add_object(kind)
    bundle.add("load_weights", __name__)
    bundle.imports |= {"import sys", "from torch import nn"}
    constants = [
        f"{name} = {_value(value, name, bundle, 0, len(name) + 3)}"
        for name, value in (
            ("COLUMNS", tuple(map(_column, schema.input.columns))),
            ("VOCABULARY", schema.input.vocabulary),
        )
        if name in body
    ]
    constants += [f"{name} = {_lines(value)}" for name, value in sizes.items()]
    if "OrderedDict(" in body:
        bundle.imports.add("from collections import OrderedDict")
    if "partial(" in body:
        bundle.imports.add("from functools import partial")
    story = '    """Make the network, with weights drawn at random."""'
    build = f"def build() -> nn.Module:\n{story}\n    return {body}"
    parts = [f'"""{_story(design, schema)}"""', bundle.text(), *constants, build, _MAIN]
    return "\n\n\n".join(parts).replace('"""\n\n\n', '"""\n\n', 1) + "\n"


def _made(design: Design, schema: Schema) -> tuple[Any, dict[str, Any]]:
    """What `build` returns, and constants that it refers to: what compression has left."""
    if design.family != "reduced":
        return build_network(design, schema, seed=0), {}
    given = dict(design.parameters)
    base = Design(design.name, given.pop("base", "small_cnn"), given.pop("arguments", None) or {})
    made, constants = _made(base, schema)
    if not any(given.values()):
        return made, constants
    number = f"_{len(constants)}" if constants else ""  # compressed twice
    names = {name: f"{name.upper()}{number}" for name, value in given.items() if value}
    constants |= {names[name]: given[name] for name in names}
    return _Call("resized", [made], {n: Code(constant) for n, constant in names.items()}), constants


def _lines(value: Any) -> str:
    """Write a constant, one entry a line."""
    pairs = value.items() if isinstance(value, Mapping) else [(None, each) for each in value]
    lines = [f"{json.dumps(k)}: {_text(v, 4, 0)}" if k else _text(v, 4, 0) for k, v in pairs]
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    return opening + "".join(f"\n    {line}," for line in lines) + "\n" + closing


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Fill a network with the weights of a .safetensors file.

    Args:
        network: whose parameters and buffers have the names of the file.
        path: of the file.
    """
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")  # the length of the header, the header, the rest
    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16}
    types |= {"BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32}
    types |= {"U8": torch.uint8, "BOOL": torch.bool}
    weights = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        first, end = entry["data_offsets"]
        weight = torch.empty(entry["shape"], dtype=types[entry["dtype"]])
        if end > first:
            piece = bytearray(data[start + first : start + end])
            weight = torch.frombuffer(piece, dtype=weight.dtype).reshape(weight.shape)
        weights[name] = weight
    network.load_state_dict(weights)


_MAIN = """if __name__ == "__main__":
    network = build()
    if len(sys.argv) > 1:
        load_weights(network, sys.argv[1])
    print(network.eval())"""


def _story(design: Design, schema: Schema) -> str:
    shape = " x ".join(map(str, schema.input.shape))
    reads = {
        "image": f"images as float32 in [0, 1], (batch, {shape.replace(' x ', ', ')})",
        "table": f"rows as float32 (batch, {shape}): numbers, NaN where missing, and categories "
        f"counted from 1",
        "text": f"numbers of {schema.input.tokens} as int64 (batch, {shape}): 0 for padding, 1 for "
        f"unknown, i + 2\nfor entry i of the vocabulary",
        "sequence": f"sequences as float32 (batch, {shape.replace(' x ', ', ')}), channels before "
        f"steps, NaN where\nmissing and behind the end",
    }[schema.input.kind]
    target = schema.target
    gives = {"class": "one logit a class", "labels": "one logit a label"}
    outcome = gives.get(target.kind, "values in the target's units")
    name = "".join(c if c.isprintable() and c not in '"\\' else " " for c in design.name)
    return (
        f"{name}.\n\nReads {reads}.\nGives {outcome}, (batch, {target.width}).\n\nNeeds torch "
        f"alone. `python FILE model.safetensors` loads the weights and shows the network.\n"
    )


def _printed(module: nn.Module, path: str, bundle: Bundle, column: int, indent: int = 4) -> str:
    """Write the call that makes a module; `column` is where it begins, `indent` its line's."""
    kind = type(module)
    if kind is nn.Sequential:
        children = dict(module.named_children())
        if list(children) == [str(place) for place in range(len(children))]:
            arguments: Arguments = (list(children.values()), {})
        else:
            named = _Call("OrderedDict", [], children)
            arguments = ([named], {})
    else:
        known = arguments_of(module)
        if known is None:
            raise ValueError(
                f"`{path}` is a {kind.__module__}.{kind.__name__}, whose arguments are not known: "
                f"it cannot be printed. Add them to `design._arguments`."
            )
        arguments = known
    if kind.__module__.startswith("netwright."):
        bundle.add_object(kind)
    name = f"nn.{kind.__name__}" if kind.__module__.startswith("torch.") else kind.__name__
    return _call(_Call(name, *arguments), path, bundle, column, indent)


class _Call:
    """A call to be printed."""

    def __init__(self, name: str, positional: list[Any], named: Mapping[str, Any]) -> None:
        self.name, self.positional, self.named = name, positional, named


def _call(call: _Call, path: str, bundle: Bundle, column: int, indent: int) -> str:
    def written(inner: int) -> list[str]:
        found = [_value(v, f"{path}[{i}]", bundle, inner) for i, v in enumerate(call.positional)]
        return found + [
            f"{name}={_value(value, f'{path}.{name}', bundle, inner, len(name) + 1)}"
            for name, value in call.named.items()
        ]

    short = f"{call.name}({', '.join(written(indent))})"
    if "\n" not in short and column + len(short) < _WIDEST:
        return short
    pad = " " * (indent + 4)
    lines = "".join(f"{pad}{text},\n" for text in written(indent + 4))
    return f"{call.name}(\n{lines}{' ' * indent})"


def _value(value: Any, path: str, bundle: Bundle, indent: int, prefix: int = 0) -> str:
    """Write an argument; `prefix` is what stands before it on its line."""
    if isinstance(value, nn.Module):
        return _printed(value, path, bundle, indent + prefix, indent)
    if isinstance(value, _Call):
        return _call(value, path, bundle, indent + prefix, indent)
    if not isinstance(value, list | tuple | dict) or not _holds_calls(value):
        return _text(value, indent, prefix)
    if isinstance(value, dict):
        names, values = [f"{json.dumps(name)}: " for name in value], list(value.values())
    else:
        names, values = [""] * len(value), list(value)
    inner = [
        name + _value(v, f"{path}[{i}]", bundle, indent + 4, len(name))
        for i, (name, v) in enumerate(zip(names, values, strict=True))
    ]
    opening, closing = (
        "{}" if isinstance(value, dict) else "()" if isinstance(value, tuple) else "[]"
    )
    single = "," * (isinstance(value, tuple) and len(value) == 1)
    short = f"{opening}{', '.join(inner)}{single}{closing}"
    if "\n" not in short and indent + prefix + len(short) < _WIDEST:
        return short
    pad = " " * (indent + 4)
    return opening + "\n" + "".join(f"{pad}{line},\n" for line in inner) + " " * indent + closing


def _holds_calls(value: Any) -> bool:
    values = value.values() if isinstance(value, dict) else value
    return any(
        isinstance(v, nn.Module | _Call) or (isinstance(v, list | tuple | dict) and _holds_calls(v))
        for v in values
    )


def _text(value: Any, indent: int, column: int) -> str:
    """Write a plain value, over several lines where it is long."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, list | tuple):
        return repr(value)
    inner = [_text(v, indent + 4, 0) for v in value]
    opening, closing = "()" if isinstance(value, tuple) else "[]"
    single = "," if isinstance(value, tuple) and len(value) == 1 else ""
    short = opening + ", ".join(inner) + single + closing
    if indent + column + len(short) < _WIDEST:
        return short
    lines, pad = [""], " " * (indent + 4)
    for text in inner:
        if lines[-1] and len(pad) + len(lines[-1]) + len(text) + 2 > _WIDEST:
            lines.append("")
        lines[-1] += f"{text}, "
    body = "\n".join(pad + line.rstrip() for line in lines)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"


def _column(column: Column) -> _Call:
    values = {f.name: getattr(column, f.name) for f in fields(Column)}
    defaults = {f.name: f.default for f in fields(Column)}
    return _Call("Column", [], {n: v for n, v in values.items() if v != defaults[n]})
