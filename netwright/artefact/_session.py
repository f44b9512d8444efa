"""Run an ONNX file in ONNX Runtime, on raw rows or on what the network inside it receives."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Num
from torch import Tensor

from netwright.artefact._errors import ArtefactError
from netwright.artefact._feed import Feed, prepare_rows, raw_feed
from netwright.artefact._file import load_model, properties
from netwright.artefact._graph import find_seam
from netwright.artefact._metadata import restore
from netwright.artefact._raw import known_words
from netwright.data import Schema

if TYPE_CHECKING:
    import onnx
    from numpy.typing import ArrayLike

__all__ = ["Session", "cut_at_seam", "cut_before_seam", "run_session", "start_session"]


class Session:
    """An ONNX file, ready to run on the CPU: one that Netwright wrote, or any other with one input.

    Attributes:
        path: the file.
        schema: of the task, if Netwright wrote the file (without quantiles, which only building a
            network needs); None otherwise.
        classes: names of the outputs; empty if the file has none.
        output: name of the output that is returned: logits or values.
        opset: version of the standard operators.
        temperature: what the logits have been divided by.
    """

    def __init__(self, path: Path | str, *, threads: int = 1) -> None:
        """Load a file.

        Args:
            path: an ONNX file.
            threads: threads within one operator.

        Raises:
            ArtefactError: if the file is damaged, or ONNX Runtime cannot run it.
            FileNotFoundError: if there is none.
        """
        self.path = Path(path)
        model = load_model(self.path)
        about = properties(model)
        try:
            words = known_words(model) if "netwright" in about else {}
            self.schema: Schema | None = restore(about, words)
            self.temperature = float(about.get("temperature", 1.0))
        except ValueError as error:  # of the metadata, which do not know their file
            raise ArtefactError(f"{self.path}: {str(error)[:500]}") from error
        self.classes: tuple[str, ...] = self.schema.target.classes if self.schema else ()
        self.output = model.graph.output[0].name
        self.opset = next((o.version for o in model.opset_import if not o.domain), 1)
        self._raw = start_session(model, threads=threads, name=str(self.path))
        self._inner = self._raw
        if find_seam(model) is not None:
            self._inner = start_session(cut_at_seam(model), threads=threads, name=str(self.path))

    def __repr__(self) -> str:
        return f"Session({str(self.path)!r}, inputs={self.inputs}, output={self.output!r})"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the raw inputs, in order."""
        return tuple(value.name for value in self._raw.get_inputs())

    def predict(self, x: Num[Tensor, "batch *features"]) -> Num[Tensor, "batch *outputs"]:
        """Return logits (or values) for inputs as the network receives them.

        Args:
            x: as in `netwright.data.Input`; for a file of another origin, as its only input. A file
                that fixes its batch size runs as often as it takes.

        Raises:
            ArtefactError: if the graph has several inputs or cannot take these.
        """
        fed = self._inner.get_inputs()
        if len(fed) != 1:
            raise ArtefactError(
                f"{self.path} has {len(fed)} inputs ({', '.join(v.name for v in fed)}); `predict` "
                f"needs one. Feed them by name with `predict_raw`."
            )
        rows = fed[0].shape[0] if fed[0].shape and isinstance(fed[0].shape[0], int) else None
        if rows is None or rows == len(x) or rows < 1:
            return self._run(self._inner, {fed[0].name: x.detach().cpu().numpy()})[self.output]
        full = torch.cat([x, x[-1:].expand(-len(x) % rows, *x.shape[1:])])
        return torch.cat([self.predict(part) for part in full.split(rows)])[: len(x)]

    def predict_raw(self, rows: "Mapping[str, ArrayLike]") -> Num[Tensor, "batch *outputs"]:
        """Return logits (or values) for raw rows.

        Args:
            rows: an array for each input: a table's columns by name, `image` (uint8), `text`, or
                `sequence` (a list where rows differ in length).

        Raises:
            ArtefactError: if the graph cannot take them.
            ValueError: if a column is missing, or the arrays differ in length.
        """
        return self._run(self._raw, self._feed(rows))[self.output]

    def probabilities(self, rows: "Mapping[str, ArrayLike]") -> Num[Tensor, "batch classes"]:
        """Return the probability of each class (or label) for raw rows.

        Args:
            rows: as in `predict_raw`.

        Raises:
            ArtefactError: if the file has no such output, or the graph cannot take the rows.
        """
        names = [value.name for value in self._raw.get_outputs()]
        if "probabilities" not in names:
            raise ArtefactError(f"{self.path} gives no probabilities; it gives {', '.join(names)}.")
        return self._run(self._raw, self._feed(rows), "probabilities")["probabilities"]

    def raw_feed(self, x: Num[Tensor, "batch *features"]) -> Feed:
        """Turn what a network receives back into raw rows, exactly.

        Args:
            x: as in `predict`; images on the grid of 255ths.

        Raises:
            ArtefactError: if Netwright did not write the file.
            ValueError: if no raw row gives `x`.
        """
        if self.schema is None:
            raise ArtefactError(f"{self.path} has no schema, so its raw inputs are not known.")
        return raw_feed(x, self.schema)

    def _feed(self, rows: "Mapping[str, ArrayLike]") -> Feed:
        return prepare_rows(rows, self.schema) if self.schema else dict(rows)  # type: ignore[arg-type]

    def _run(self, session: Any, feed: Feed, output: str | None = None) -> dict[str, Tensor]:
        name = output or self.output
        (made,) = run_session(session, [name], feed, name=str(self.path))
        return {name: torch.from_numpy(made)}


def start_session(
    model: "onnx.ModelProto", *, threads: int = 1, name: str = "", optimise: bool = True
) -> Any:
    """Hand a model to ONNX Runtime.

    Args:
        model: with all weights in memory.
        threads: threads within one operator.
        name: for messages.
        optimise: let ONNX Runtime rewrite the graph.

    Raises:
        ArtefactError: if ONNX Runtime refuses it.
    """
    import onnxruntime
    from google.protobuf.message import EncodeError

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what goes wrong comes back as an exception
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print, and try the same again
        )
    except (*_runtime_errors(), ValueError, EncodeError) as error:
        raise ArtefactError(f"ONNX Runtime cannot run {name or 'the model'}: {error}") from error


def run_session(session: Any, outputs: Sequence[str], feed: Feed, *, name: str = "") -> list[Any]:
    """Run a model.

    Args:
        session: of `start_session`.
        outputs: names of what is wanted.
        feed: an array for each input.
        name: for messages.

    Raises:
        ArtefactError: if the model cannot take the inputs.
    """
    try:
        return session.run(list(outputs), feed)
    except (*_runtime_errors(), ValueError, TypeError) as error:
        shapes = ", ".join(f"`{key}` {value.dtype}{value.shape}" for key, value in feed.items())
        raise ArtefactError(f"{name or 'The model'} cannot take {shapes}: {error}") from error


@functools.cache
def _runtime_errors() -> tuple[type[Exception], ...]:
    """List ONNX Runtime's exceptions; they have no common parent below Exception."""
    import onnxruntime.capi.onnxruntime_pybind11_state as state

    found = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (RuntimeError, *(kind for kind in found if issubclass(kind, Exception)))


def cut_at_seam(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Keep the network alone: from `features` to the first output.

    Args:
        model: written by Netwright.
    """
    return _cut(model, [_seam(model)], model.graph.output[0])


def cut_before_seam(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Keep the preprocessing alone: from the raw inputs to `features`.

    Args:
        model: written by Netwright.
    """
    return _cut(model, list(model.graph.input), _seam(model))


def _seam(model: "onnx.ModelProto") -> "onnx.ValueInfoProto":
    seam = find_seam(model)
    assert seam is not None
    return seam


def _cut(
    model: "onnx.ModelProto", inputs: "list[onnx.ValueInfoProto]", output: "onnx.ValueInfoProto"
) -> "onnx.ModelProto":
    from onnx import helper

    graph, fed = model.graph, {value.name for value in inputs}
    needed, nodes = {output.name}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output) - fed - {""}:
            needed.update(node.input)
            nodes.append(node)
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    part = helper.make_graph(nodes[::-1], "part", inputs, [output], kept)
    return helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
