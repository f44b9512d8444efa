"""The shipped file, and rows of the split in the raw form that it takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from netwright.artefact._feed import raw_feed
from netwright.data import Schema
from netwright.measure import Subject

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["raw_feeds", "shipped", "start"]


def shipped(subject: Subject, quantity: str) -> Path:
    """Return the shipped file.

    Args:
        subject: what is measured.
        quantity: what asks, for the error.

    Raises:
        ValueError: if there is no file.
    """
    if subject.artefact is None:
        raise ValueError(
            f"`{quantity}` is measured on the shipped file, and this network has none: "
            f"`subject.artefact` is None. Write one with `netwright.artefact.write`."
        )
    return subject.artefact


def start(subject: Subject, quantity: str, threads: int) -> "onnxruntime.InferenceSession":
    """Load the whole shipped file, preprocessing included.

    Args:
        subject: what is measured.
        quantity: what asks, for the error.
        threads: intra-op threads.

    Raises:
        ValueError: if there is no file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong comes back as an exception
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    path = str(shipped(subject, quantity))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def raw_feeds(
    session: "onnxruntime.InferenceSession", subject: Subject, *, batch: int, most: int
) -> list[dict[str, np.ndarray]]:
    """Turn rows of the split back into what the file takes: pixels, cells or text.

    Text comes back in lower case with a blank between tokens, or as its characters; what is outside
    the vocabulary comes back as a letter that it does not hold.

    Args:
        session: the running file.
        subject: supplies schema and rows; they are cycled if there are too few.
        batch: rows a call.
        most: calls at most.

    Returns:
        Arguments of `session.run`, each for other rows.

    Raises:
        ValueError: if the file is fixed to another batch size.
    """
    fixed = session.get_inputs()[0].shape[0]
    if isinstance(fixed, int) and fixed != batch:
        raise ValueError(f"`batch` must be {fixed}, to which the file is fixed; got {batch}.")
    n = len(subject.split)
    calls = max(1, min(most, n // batch))
    places = torch.arange(calls * batch) % n
    rows = subject.split.take(places).split(batch)
    return [_raw(session, subject.schema, part) for part in rows]


def _raw(session: Any, schema: Schema, x: Tensor) -> dict[str, np.ndarray]:
    inputs, columns = session.get_inputs(), schema.input.columns
    first = inputs[0]
    if schema.input.kind == "table" and len(first.shape) == 1:
        return {
            port.name: _cells(x[:, i], columns[i].categories, port.type)
            for i, port in enumerate(inputs)
        }
    if schema.input.kind == "image" and first.type == "tensor(uint8)":
        return {first.name: (x * 255).round().to(torch.uint8).numpy()}
    if schema.input.kind == "text" and first.type == "tensor(string)":
        return {first.name: raw_feed(x, schema)["text"]}
    return {first.name: x.numpy()}  # a file that takes what the network takes


def _cells(codes: Tensor, categories: tuple[str, ...], kind: str) -> np.ndarray:
    if kind != "tensor(string)":
        return codes.numpy()
    names = ("", *categories)
    return np.array([names[int(code)] for code in codes.tolist()], dtype=object)
