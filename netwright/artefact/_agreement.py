"""Show that a shipped file computes what the network computes, or say where it begins to differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor, nn

from netwright.artefact._errors import ArtefactError
from netwright.artefact._export import evaluating
from netwright.artefact._feed import Feed, raw_feed
from netwright.artefact._file import load_model
from netwright.artefact._graph import SEAM, parse_graph
from netwright.artefact._read_onnx import read_onnx
from netwright.artefact._session import (
    Session,
    cut_at_seam,
    cut_before_seam,
    run_session,
    start_session,
)
from netwright.artefact._write import to_onnx
from netwright.data import Schema

if TYPE_CHECKING:
    import onnx

__all__ = ["Agreement", "check_agreement"]

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely ONNX Runtime follows torch on real rows.

    Attributes:
        max_abs_difference: largest difference of any output, in units of the outputs.
        n: rows compared.
        tolerance: what was allowed, in units of the outputs.
        raw: whether the rows were also fed raw, through the file's preprocessing.
    """

    max_abs_difference: float
    n: int
    tolerance: float
    raw: bool


def check_agreement(
    network: nn.Module,
    path: Path | str,
    x: Num[Tensor, "batch *features"],
    *,
    schema: Schema | None = None,
    tolerance: float = 1e-4,
) -> Agreement:
    """Compare a file with the network it was written from: outputs, and features made of raw rows.

    The preprocessing must reproduce `x` to the bit. Outputs may differ by what another order of
    float32 sums makes of them.

    Args:
        network: in whatever mode; it is compared in eval mode, on the CPU.
        path: written by `write`.
        x: real rows, as the network receives them; images on the grid of 255ths.
        schema: that `x` was coded by; None trusts the one in the file.
        tolerance: allowed difference, as a share of the largest output (for logits, of 1 if that is
            larger).

    Raises:
        ArtefactError: if they disagree; names the first node that differs.
        ValueError: if `x` has no rows, or no raw row gives it.

    Cost: three passes over `x`. A disagreement costs an export and some more.
    """
    if not len(x):
        raise ValueError("`x` must have at least one row to compare on; got none.")
    session = Session(path)
    schema = schema or session.schema
    feed = None if schema is None else raw_feed(x, schema)
    wrong = 0 if feed is None else _wrong_features(session, feed, x)
    if wrong:
        raise ArtefactError(
            f"{path} makes other features of {wrong} of {len(x)} raw rows than `x` holds. "
            f"{_locate(network, session, schema, x, tolerance)}"
        )
    with evaluating(network) as shadow, torch.no_grad():
        expected = shadow(x.cpu()) / session.temperature
    scale = expected.abs().max().item()
    allowed = tolerance * (max(scale, 1.0) if session.output == "logits" else scale)
    difference = _difference(session.predict(x), expected)
    if feed is not None:
        whole = session.predict_raw(feed)
        difference = max(difference, _difference(whole, expected))
    if difference <= allowed:
        return Agreement(difference, len(x), allowed, raw=feed is not None)
    raise ArtefactError(
        f"{path} disagrees with `network`: an output differs by {difference:.3g}, and "
        f"{allowed:.3g} is allowed. {_locate(network, session, schema, x, tolerance)}"
    )


def _wrong_features(session: Session, feed: Feed, x: Tensor) -> int:
    """Count the rows of which the preprocessing makes anything but `x`, to the bit."""
    first = start_session(cut_before_seam(load_model(session.path)), name=str(session.path))
    (made,) = run_session(first, [SEAM], feed, name=str(session.path))
    wanted = x.cpu().numpy()
    if made.shape != wanted.shape:
        return len(x)
    same = (made == wanted) | ((made != made) & (wanted != wanted))
    return int((~same).reshape(len(x), -1).any(1).sum())


def _difference(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("inf")
    same = (found == expected) | (found.isnan() & expected.isnan())
    gaps = torch.where(same, 0.0, (found - expected).abs().double())
    return torch.where(gaps.isnan(), float("inf"), gaps).max().item()


def _locate(
    network: nn.Module, session: Session, schema: Schema | None, x: Tensor, tolerance: float
) -> str:
    """Say which node differs first: from a fresh export, else from torch."""
    model = load_model(session.path)
    if schema is None:
        return _against_torch(model, {_only_input(model): x.cpu().numpy()}, tolerance)
    fresh: Any = type(model)()
    fresh.ParseFromString(to_onnx(network, schema, sample=x[:1], temperature=session.temperature))
    feed = raw_feed(x, schema)
    found, wanted = _all_values(model, feed), _all_values(fresh, feed)
    for label, outputs in _steps(model):
        for name in outputs:
            if name not in found:  # a sequence
                continue
            if name not in wanted:
                return f"The first node that differs is {label}: a fresh export has no such value."
            if not _close(found[name], wanted[name], tolerance):
                return (
                    f"The first node that differs from a fresh export of `network` is {label}: "
                    f"its weights, attributes or inputs have been changed since."
                )
    if not _close(wanted[SEAM], x.cpu().numpy(), 0.0):
        return "A fresh export does so too: the preprocessing cannot express what `x` was made by."
    return _against_torch(cut_at_seam(model), {SEAM: x.cpu().numpy()}, tolerance)


def _against_torch(model: "onnx.ModelProto", feed: Arrays, tolerance: float) -> str:
    found = _all_values(model, feed)
    reread = read_onnx(model)
    with torch.no_grad():
        for node, made in reread.trace({n: torch.from_numpy(a) for n, a in feed.items()}):
            for name, tensor in zip(node.outputs, made, strict=False):
                if name in found and not _close(found[name], tensor.numpy(), tolerance):
                    return (
                        f"The first node that ONNX Runtime computes unlike torch is {node.label}."
                    )
    return (
        "Every node agrees with torch when ONNX Runtime leaves the graph as it is: either its "
        "optimisations or torch.onnx.export changed the meaning of a module."
    )


def _steps(model: "onnx.ModelProto") -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in parse_graph(model).nodes:
        yield node.label, tuple(name for name in node.outputs if name)


def _all_values(model: "onnx.ModelProto", feed: Arrays) -> dict[str, np.ndarray]:
    """Run a graph with every value as an output, and without rewriting it."""
    import onnx

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {value.name for value in exposed.graph.output}
    sequences = {o for n in exposed.graph.node if n.op_type.startswith("Seq") for o in n.output}
    for node in exposed.graph.node:
        for name in node.output:
            if name and name not in known | sequences:
                exposed.graph.output.append(onnx.ValueInfoProto(name=name))
                known.add(name)
    session = start_session(exposed, optimise=False)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, run_session(session, names, dict(feed)), strict=True))


def _close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    if found.shape != wanted.shape:
        return False
    if found.dtype.kind not in "fc":
        return bool((found == wanted).all())
    largest = np.nanmax(np.abs(wanted), initial=0.0)
    allowed = tolerance * (largest if np.isfinite(largest) else 0.0)
    return bool(np.allclose(found, wanted, rtol=tolerance, atol=allowed, equal_nan=True))


def _only_input(model: "onnx.ModelProto") -> str:
    return parse_graph(model).inputs[0].name
