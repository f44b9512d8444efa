"""Turn a network into the ONNX graph from what it receives to what it returns, and nothing more.

torch's exporter writes stack traces, module paths and shapes of every value into the file; a user
who asked for 200 kB pays for those bytes, so they are taken out again.
"""

import contextlib
import copy
import functools
import logging
import unittest.mock
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.artefact._errors import ArtefactError

if TYPE_CHECKING:
    import onnx

__all__ = ["OPSET", "evaluating", "export_network"]

OPSET = 20


def export_network(network: nn.Module, sample: Tensor, *, output: str) -> "onnx.ModelProto":
    """Export a network in eval mode, with a free batch axis called `batch`.

    Args:
        network: takes one tensor and returns one; it is left as it was.
        sample: one or more inputs, as the network receives them; values do not matter.
        output: name of the graph's output.

    Returns:
        A model whose graph goes from `features` to `output`, weights inline, opset `OPSET`.

    Raises:
        ArtefactError: if the network cannot be traced, fixes its batch size, or uses an operation
            that ONNX lacks.
    """
    first = sample[:1].detach().cpu()
    rows = first.expand(3, *first.shape[1:]).clone()  # one row would be taken for a constant
    name = type(network).__name__
    with _silence(), _registry_kept():
        import onnxscript  # noqa: F401  # its first import warns

        try:
            with evaluating(network) as shadow, torch.no_grad():
                weights = set(shadow.state_dict())
                program = torch.export.export(
                    shadow, (rows,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
                )
                exported = torch.onnx.export(
                    program,
                    dynamo=True,
                    opset_version=OPSET,
                    input_names=["features"],
                    output_names=[output],
                    verbose=False,
                )
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            raise ArtefactError(
                f"`network` ({name}) could not be exported to ONNX: {_first_line(error)} "
                f"Use operations that torch.export and ONNX opset {OPSET} know, and keep the batch "
                f"axis free of fixed sizes."
            ) from error
        if exported is None:
            raise ArtefactError(f"torch.onnx.export returned nothing for `network` ({name}).")
        model = exported.model_proto
    _strip(model, weights)
    _name_batch(model.graph)
    return model


def _name_batch(graph: "onnx.GraphProto") -> None:
    """Call the batch axis `batch`; the exporter calls it `s31` or so."""
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == symbol:
                dimension.dim_param = "batch"


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Lend a network in eval mode on the CPU, and leave it as it was.

    Args:
        network: in any mode, on any device.
    """
    devices = {t.device for t in (*network.parameters(), *network.buffers())}
    if devices - {torch.device("cpu")}:
        yield copy.deepcopy(network).cpu().eval()
        return
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield network.eval()
    finally:
        for module, mode in modes:
            module.training = mode


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's warnings and log lines to itself, for the length of one call."""
    loggers = [logging.getLogger(n) for n in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _registry_kept() -> Iterator[None]:
    """Let the exporter build its table of operators once a process instead of once a call.

    Building it parses 500 functions, half of an export's time, and torch 2.13 has no public way to
    hand one over. The exporter only reads it.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    registry = _registry()
    with unittest.mock.patch.object(ONNXRegistry, "from_torchlib", lambda *_, **__: registry):
        yield


@functools.cache
def _registry() -> Any:
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    return ONNXRegistry.from_torchlib(opset_version=OPSET)


def _strip(model: "onnx.ModelProto", weights: set[str]) -> None:
    """Remove everything that no runtime reads; share equal constants."""
    graph = model.graph
    for message in (model, graph):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    model.ClearField("producer_name")
    model.ClearField("producer_version")
    graph.ClearField("value_info")
    for message in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    for node in graph.node:
        node.ClearField("name")  # a value has one producer, so its output's name identifies a node
    _share_equal_constants(graph, weights)


def _share_equal_constants(graph: "onnx.GraphProto", weights: set[str]) -> None:
    # Weights are left alone, even equal ones: so the size of a file tells nothing of its training.
    kept: dict[tuple[object, ...], str] = {}
    renamed: dict[str, str] = {}
    unique = []
    for tensor in graph.initializer:
        key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data or tensor.SerializeToString())
        if tensor.name not in weights and key in kept:
            renamed[tensor.name] = kept[key]
        else:
            kept[key] = tensor.name
            unique.append(tensor)
    if not renamed:
        return
    unique = [copy.deepcopy(tensor) for tensor in unique]
    graph.ClearField("initializer")
    graph.initializer.extend(unique)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
