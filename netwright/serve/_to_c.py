"""Write a small network as one C header for microcontrollers: C99, no allocation, only libm."""

import math

import torch

from netwright.artefact import read_onnx
from netwright.serve._c_operations import C_OPERATIONS, CWriter, write_node
from netwright.serve._model import ServedModel
from netwright.serve._to_python import ExportError

__all__ = ["MOST_BYTES", "to_c"]

MOST_BYTES = 1_000_000  # of weights


def to_c(model: ServedModel) -> str:
    """Write a model as one C header.

    Args:
        model: of images, tables or sequences, whose network has at most 1 MB of weights.

    Returns:
        A header with `NAME_predict(input, output)`, for one row; the input is uint8 pixels, the
        steps of a sequence, or the coded cells of a row as the comment on top of it says.

    Raises:
        ExportError: if the model takes texts, is too large, or holds operations that cannot be
            written; names them.
    """
    if model.schema.input.kind == "text":
        raise ExportError("A C header takes pixels or numbers; this model takes texts.")
    network = read_onnx(model.path)
    graph = network.graph
    size = sum(t.numel() * 4 for t in graph.initializers.values())
    if size > MOST_BYTES:
        raise ExportError(
            f"{model.name} has {size / 1e6:.1f} MB of weights; a C header takes at most "
            f"{MOST_BYTES / 1e6:g} MB. Ship {model.path.name}."
        )
    unknown = sorted({n.op for n in graph.nodes if n.op not in C_OPERATIONS})
    if unknown:
        raise ExportError(
            f"The network holds operations that cannot be written in C: {', '.join(unknown)}."
        )
    sample = torch.zeros(1, *model.schema.input.shape)
    writer = CWriter({"features": tuple(sample.shape)}, dict(graph.initializers))
    with torch.no_grad():
        for node, made in network.trace({graph.inputs[0].name: sample}):
            writer.shapes[node.outputs[0]] = tuple(made[0].shape)
    for name, tensor in graph.initializers.items():
        writer.shapes[name] = tuple(tensor.shape)
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    last[graph.outputs[0].name] = len(graph.nodes)
    writer.shapes[graph.inputs[0].name] = tuple(sample.shape)
    writer.names[graph.inputs[0].name] = "x0"
    for i, node in enumerate(graph.nodes):
        write_node(writer, node)
        _release(writer, last, i)
    return _assemble(model, writer, writer.value(graph.outputs[0].name))


def _release(writer: CWriter, last: dict[str, int], now: int) -> None:
    needed = {writer.names[n] for n, at in last.items() if at > now and n in writer.names}
    writer.busy &= needed


def _assemble(model: ServedModel, writer: CWriter, result: str) -> str:
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in model.name)
    name = f"m_{name}" if name[:1].isdigit() else name
    shape, width = model.schema.input.shape, len(model.classes)
    is_image = model.schema.input.kind == "image"
    kind = "uint8_t" if is_image else "float"
    n = math.prod(shape)
    read = f"for (i = 0; i < {n}; ++i) x0[i] = input[i] / 255.0f;"
    if not is_image:
        read = f"for (i = 0; i < {n}; ++i) x0[i] = input[i];"
    finish = {
        "class": f"{{ float top = {result}[0], sum = 0.0f; "
        f"for (i = 1; i < {width}; ++i) if ({result}[i] > top) top = {result}[i]; "
        f"for (i = 0; i < {width}; ++i) sum += output[i] = expf({result}[i] - top); "
        f"for (i = 0; i < {width}; ++i) output[i] /= sum; }}",
        "labels": f"for (i = 0; i < {width}; ++i) output[i] = 1.0f / (1.0f + expf(-{result}[i]));",
    }.get(model.schema.target.kind, f"for (i = 0; i < {width}; ++i) output[i] = {result}[i];")
    buffers = "\n".join(f"  static float b{i}[{size}];" for i, size in enumerate(writer.buffers))
    memory = 4 * (n + sum(writer.buffers))
    guard = f"NETWRIGHT_{name.upper()}_H"
    body = "\n".join(f"  {line}" for line in writer.lines)
    return f"""/* {model.name} {model.version}, written by Netwright.
 *
 * {name}_predict(input, output) writes {model.outputs} of one row: {width} floats.
{_describe(model)}
 * Working memory: {memory:,} bytes, static: one call at a time. C99, libm.
 */
#ifndef {guard}
#define {guard}

#include <math.h>
#include <stdint.h>

#define {name.upper()}_INPUTS {n}
#define {name.upper()}_OUTPUTS {width}

{chr(10).join(writer.constants)}

static void {name}_predict(const {kind} *input, float *output) {{
  static float x0[{n}];
{buffers}
  int i, k, g, r, m, c, oy, ox, ky, kx;
  (void)k; (void)g; (void)r; (void)m; (void)c; (void)oy; (void)ox; (void)ky; (void)kx;
  {read}
{body}
  {finish}
}}

#endif
"""


def _describe(model: ServedModel) -> str:
    inputs = model.schema.input
    lines = [f"outputs: {', '.join(model.classes)}"]
    if inputs.kind == "image":
        lines.append(f"input: uint8 pixels, {' x '.join(map(str, inputs.shape))} (channels first)")
    if inputs.kind == "sequence":
        named, steps = ", ".join(inputs.channels), inputs.shape[1]
        lines.append(
            f"input: {steps} steps of each channel ({named}), one channel after the other;"
        )
        lines.append("NAN is missing, and fills what follows the end")
    for i, column in enumerate(inputs.columns):
        how = {"date": "days since 1970, NAN if missing", "boolean": "0 or 1, NAN if missing"}
        told = how.get(column.kind, "a number, NAN if missing")
        if column.kind == "category":
            codes = ", ".join(f"{k} {word}" for k, word in enumerate(column.categories, 1))
            told = f"0 missing or unknown, {codes}"
        lines.append(f"input[{i}] {column.name}: {told}")
    # Names come from data: they must not end the comment, nor go on into a trigraph.
    safe = (line.replace("*/", "* /").replace("??", "? ?").replace("\\", "/") for line in lines)
    return "\n".join(f" * {''.join(c if c.isprintable() else ' ' for c in line)}" for line in safe)
