"""Say for which inputs the class cannot change within a distance, cheap bounds first."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from netwright.artefact._export import export_network
from netwright.artefact._file import load_model
from netwright.artefact._graph import Graph, from_seam, parse_graph
from netwright.audits.verify._intervals import Box, intervals
from netwright.audits.verify._program import Program
from netwright.audits.verify._propagate import (
    linear_bounds,
    optimised_bounds,
    tighten,
)
from netwright.audits.verify._steps import Embedded, read_embedded, read_program
from netwright.audits.verify._threads import one_thread

__all__ = ["Certified", "certify_ball", "certify_box", "read_bounded", "read_text"]


@dataclass(frozen=True, slots=True)
class Certified:
    """Which inputs keep their class.

    Attributes:
        holds: whether every input of the ball gets the given class, (batch,).
        margin: lower bound of the class's output less any other's, (batch,).
        method: the first that succeeded, or the last that was tried: "intervals", "linear",
            "tightened" or "optimised".
    """

    holds: Bool[Tensor, "batch"]
    margin: Float[Tensor, "batch"]
    method: tuple[str, ...]


def read_bounded(
    source: Path | str | bytes | nn.Module,
    *,
    sample: Float[Tensor, "batch *features"] | None = None,
) -> Program:
    """Read the network inside an ONNX file, or trace a module, to be bounded.

    Args:
        source: the file, or its content, or a module of one tensor to one tensor.
        sample: inputs of the module, whose values do not matter; not used for a file.

    Raises:
        NetworkError: if it holds operations that cannot be bounded; names all of them.
        ArtefactError: if the file is damaged, or the module cannot be traced.
        FileNotFoundError: if there is no such file.
        TypeError: if a module comes without a sample.
    """
    return read_program(_graph(source, sample))


def read_text(source: Path | str | bytes | nn.Module, tokens: Int[Tensor, "1 time"]) -> Embedded:
    """Read a network of tokens from its embedding on, for one text, to be bounded.

    What depends on the tokens otherwise, such as the mask of padding, is fixed by the text.

    Args:
        source: an ONNX file, or its content, or a module.
        tokens: of the text.

    Raises:
        NetworkError: if it holds operations that cannot be bounded, or not one embedding.
        ArtefactError: if the file is damaged, or the module cannot be traced.
        FileNotFoundError: if there is no such file.
    """
    return read_embedded(_graph(source, tokens), tokens)


def _graph(source: Path | str | bytes | nn.Module, sample: Tensor | None) -> Graph:
    if isinstance(source, bytes):
        import onnx

        model = onnx.load_model_from_string(source)
    elif isinstance(source, nn.Module):
        if sample is None:
            raise TypeError(
                "`sample` must be given with a module, so that it can be traced: one or more "
                "inputs, whose values do not matter."
            )
        model = export_network(source, sample, output="outputs")
    else:
        model = load_model(Path(source))
    return from_seam(parse_graph(model))


def certify_ball(
    program: Program,
    x: Float[Tensor, "batch *features"],
    labels: Int[Tensor, "batch"],
    *,
    linf: float,
    least: float = 0.0,
    most: float = 1.0,
    steps: int = 20,
) -> Certified:
    """Bound how far each class stays ahead, over all inputs within a distance.

    What holds, holds for the network as executed in the file's own precision, in any order of
    summation (see `_propagate`); where it does not, nothing is said.

    Args:
        program: of `read_bounded`; its output is one number a class.
        x: inputs.
        labels: the class of each.
        linf: largest change of any number of an input.
        least: inputs are at least this.
        most: inputs are at most this.
        steps: of the optimisation of slopes, where cheaper bounds do not suffice; 0 for none.

    Raises:
        ValueError: if `linf` is negative.
        NetworkError: if the graph mixes the rows of a batch.
    """
    if not linf >= 0:
        raise ValueError(f"`linf` must not be negative; got {linf}.")
    centre = x.double()
    down = torch.nextafter(centre - linf, torch.tensor(-torch.inf, dtype=torch.float64))
    up = torch.nextafter(centre + linf, torch.tensor(torch.inf, dtype=torch.float64))
    down, up = down.clamp(least, most), up.clamp(least, most)
    return certify_box(program, down, up, labels, steps=steps)


def certify_box(
    program: Program,
    low: Float[Tensor, "batch *features"],
    high: Float[Tensor, "batch *features"],
    labels: Int[Tensor, "batch"],
    *,
    steps: int = 20,
) -> Certified:
    """Bound how far each class stays ahead, over all inputs of a box.

    Args:
        program: of `read_bounded`; its output is one number a class.
        low: least inputs, float64.
        high: largest inputs, float64.
        labels: the class of each box.
        steps: of the optimisation of slopes, where cheaper bounds do not suffice; 0 for none.

    Raises:
        NetworkError: if the graph mixes the rows of a batch.
    """
    margin = torch.full((len(low),), -torch.inf, dtype=torch.float64)
    method = [""] * len(low)
    open_ = torch.arange(len(low))
    with torch.no_grad(), one_thread():
        for name in ("intervals", "linear", "tightened", "optimised"):
            if not len(open_) or (name == "optimised" and not steps):
                break
            box = intervals(program, low[open_], high[open_])
            if name in ("tightened", "optimised"):
                tighten(box)
            found = _margins(box, labels[open_], name, steps).nan_to_num(nan=-torch.inf)
            margin[open_] = torch.maximum(margin[open_], found)
            for i in open_.tolist():
                method[i] = name
            open_ = open_[margin[open_] <= 0]
    return Certified(margin > 0, margin, tuple(method))


def _margins(box: Box, labels: Tensor, name: str, steps: int) -> Tensor:
    """Return the least bound of own output less another, (batch,)."""
    target = box.program.target
    low, high = box.least[target], box.most[target]
    B, K = low.shape
    every = torch.arange(B)
    if name == "intervals":
        others = high.clone()
        others[every, labels] = -torch.inf
        return low[every, labels] - others.amax(1)
    rows = torch.zeros(K, B, K, dtype=torch.float64)
    rows[:, every, labels] = 1.0
    rows[torch.arange(K), :, torch.arange(K)] -= 1.0
    if name == "optimised":
        bounds = optimised_bounds(box, target, rows, steps=steps)
    else:
        bounds = linear_bounds(box, target, rows)
    bounds = bounds.T.clone()
    bounds[every, labels] = torch.inf
    return bounds.amin(1)
