"""Turn a network into the ONNX graph from what it receives to what it returns, and nothing more.

torch's exporter writes stack traces, module paths and shapes of every value into the file; a user
who asked for 200 kB pays for those bytes, so they are taken out again.
"""

import contextlib
import copy
import functools
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.artefact._errors import ArtefactError
from netwright.artefact._graph import CONSTANT

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
                buffers = {name for name, _ in shadow.named_buffers()}
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
                    optimize=False,
                )
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            raise ArtefactError(
                f"`network` ({name}) could not be exported to ONNX: {_first_line(error)} "
                f"Use operations that torch.export and ONNX opset {OPSET} know, and keep the batch "
                f"axis free of fixed sizes."
            ) from error
        assert exported is not None  # it is None only when a file is written
        _simplify(exported.model)
        model = exported.model_proto
    _strip(model)
    _name_batch(model.graph)
    _mark_constants(model.graph, buffers)
    return model


def _name_batch(graph: "onnx.GraphProto") -> None:
    """Call the batch axis `batch`; the exporter calls it `s31` or so."""
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert symbol  # torch.export refuses a network that fixes its batch size
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


def _mark_constants(graph: "onnx.GraphProto", buffers: set[str]) -> None:
    """Let a reader tell means and the like, which are fixed, from weights, which are learned."""
    for tensor in graph.initializer:
        if tensor.name in buffers:
            tensor.name = CONSTANT + tensor.name
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = CONSTANT + name if name in buffers else name


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


# Of onnxscript's rewriting rules those that do not look at the values of weights. Its `optimize`
# leaves out biases that are all 0 and shares equal weights, so that an untrained network would make
# a smaller file than the same network trained.
_RULES = (
    "cast_cast_rule",
    "cast_constant_of_shape_rule",
    "cast_constant_of_shape_without_value_rule",
    "collapse_slice_rule",
    "dropout_inference_rule",
    "dropout_zero_rule",
    "flatten_to_reshape_rule",
    "fuse_batchnorm_into_conv_rule",
    "fuse_batchnorm_into_conv_transpose_rule",
    "fuse_batchnorm_into_gemm_rule",
    "fuse_pad_into_conv_rule",
    "materialize_reshape_shape_rule",
    "no_op_cast_rule",
    "no_op_dynamic_scatter_nd_rule",
    "no_op_expand_rule",
    "no_op_static_scatter_nd_rule",
    "no_op_transpose_rule",
    "normalize_pad_format_conv_rule",
    "one_reshape_matmul_reshape_rule",
    "reshape_reshape_rule",
    "slice_split_rule",
    "squeeze_reshape_1d_rule",
    "successive_clip_relu_rule",
    "successive_clip_rule",
    "successive_relu_clip_rule",
    "successive_relu_rule",
    "transpose_transpose_rule",
    "two_reshapes_matmul_reshape_rule",
    "unsqueeze_unsqueeze_rule",
)


def _simplify(model: Any) -> None:
    """Fold constants, join operations, and share equal shapes and numbers."""
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer, rewriter
    from onnxscript.rewriter.rules import common

    rules = [getattr(common, name) for name in _RULES]
    optimizer.inline(model)
    for _ in range(2):  # what rewriting leaves may fold further
        optimizer.fold_constants(model)
        rewriter.rewrite(model, rules)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    kept: dict[tuple[object, ...], Any] = {}
    for name, value in tuple(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor.dtype.is_floating_point() and tensor.size > 1:
            continue
        key = (tensor.dtype, tuple(tensor.shape), tensor.tobytes())
        if key in kept:
            value.replace_all_uses_with(kept[key])
            del model.graph.initializers[name]
        else:
            kept[key] = value
    for last in (
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        last(model)


@contextlib.contextmanager
def _registry_kept() -> Iterator[None]:
    """Let the exporter build its table of operators once a process instead of once a call.

    Building it parses 500 functions, about half of an export's time, and torch 2.13 has no public
    way to hand one over. The exporter only reads it. Not to be used from several threads.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    registry = _registry()
    original = vars(ONNXRegistry)["from_torchlib"]
    try:
        ONNXRegistry.from_torchlib = lambda *_, **__: registry  # type: ignore[method-assign]
        yield
    finally:
        ONNXRegistry.from_torchlib = original


@functools.cache
def _registry() -> Any:
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    return ONNXRegistry.from_torchlib(opset_version=OPSET)


def _strip(model: "onnx.ModelProto") -> None:
    """Remove everything that no runtime reads."""
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
