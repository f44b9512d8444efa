"""Run an ONNX file in ONNX Runtime, on raw rows or on what the network inside it receives."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Num
from torch import Tensor

from netwright.artefact._errors import ArtefactError
from netwright.artefact._file import cut_at_seam, encoder_keys, load_model
from netwright.artefact._metadata import restore
from netwright.data import Schema

if TYPE_CHECKING:
    import numpy as np
    import onnx

__all__ = ["Session"]


class Session:
    """An ONNX file, ready to run on the CPU.

    Attributes:
        path: the file.
        schema: of the task, if Netwright wrote the file; None otherwise.
        classes: names of the outputs; empty if the file has none.
        output: name of the output that `predict` returns.
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
        self._threads = threads
        model = load_model(self.path)
        properties = {p.key: p.value for p in model.metadata_props}
        self.schema: Schema | None = restore(properties, encoder_keys(model))
        self.classes: tuple[str, ...] = self.schema.target.classes if self.schema else ()
        self.output = model.graph.output[0].name
        self._raw = self._start(model)
        self._inner = self._start(cut_at_seam(model)) if self.schema else self._raw

    def predict(self, x: Num[Tensor, "batch *features"]) -> Num[Tensor, "batch *outputs"]:
        """Return logits (or values) for inputs as the network receives them.

        Args:
            x: as in `netwright.data.Input`.
        """
        name = self._inner.get_inputs()[0].name
        return torch.from_numpy(self._inner.run([self.output], {name: x.numpy()})[0])

    def predict_raw(
        self, rows: "Mapping[str, np.ndarray[Any, Any]]"
    ) -> Num[Tensor, "batch *outputs"]:
        """Return logits (or values) for raw rows.

        Args:
            rows: an array for each input of the graph, by name.
        """
        return torch.from_numpy(self._raw.run([self.output], dict(rows))[0])

    def _start(self, model: "onnx.ModelProto") -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # what goes wrong comes back as an exception
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
