"""Decide whether a network has a property: the command `netwright verify`, as a function."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.artefact._export import export_network
from netwright.artefact._graph import from_seam, parse_graph
from netwright.audits.verify._affine_onnx import affine_relu, read_affine
from netwright.audits.verify._falsify import falsify
from netwright.audits.verify._layerwise import decide
from netwright.audits.verify._network import AffineReLU, read_nnet
from netwright.audits.verify._proof import prove, write_proof
from netwright.audits.verify._query import Query, queries
from netwright.audits.verify._search import Decision, search
from netwright.audits.verify._threads import one_thread
from netwright.audits.verify._together import Task, search_together
from netwright.audits.verify._vnnlib import Property, PropertyError, format_witness, read_vnnlib
from netwright.audits.verify._witness import Replay, Witness

if TYPE_CHECKING:
    import onnx

__all__ = ["UnsoundError", "Verdict", "verify"]

_FEW_INPUTS = 16  # boxes of more are not cut
_ALONE = 4.0  # seconds before other processes are called in, which take 2 to start


class UnsoundError(RuntimeError):
    """An attack broke what had been proved. Please report the network and the property."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about a property.

    Attributes:
        outcome: "unsat": no input violates it, proved in real arithmetic on the stored weights;
            "sat": `counterexample` violates it; "timeout"; "unknown": undecided for another reason.
        counterexample: inputs and ONNX Runtime's outputs there; None without.
        seconds: wall-clock time, reading of files included.
        n_boxes: sub-problems that were bounded.
        note: why it is unknown, or what became of the proof that was asked for.
    """

    outcome: Literal["sat", "unsat", "timeout", "unknown"]
    counterexample: Witness | None
    seconds: float
    n_boxes: int
    note: str = ""

    @property
    def text(self) -> str:
        """The verdict as the competition wants it: one word, and the counterexample below."""
        if self.counterexample is None:
            return self.outcome
        return f"{self.outcome}\n{format_witness(*self.counterexample)}"


def verify(
    network: Path | str | AffineReLU | nn.Module,
    prop: Path | str | Property,
    *,
    timeout: float = 60.0,
    proof: Path | str | None = None,
    workers: int = 1,
    watch: Callable[[int], None] = lambda n_boxes: None,
    sample: Float[Tensor, "batch *features"] | None = None,
) -> Verdict:
    """Decide whether any input violates a property.

    Networks of few inputs are searched by cutting boxes and splitting neurons (`search`), those of
    many inputs layer by layer (`decide`).

    Args:
        network: an `.onnx` or `.nnet` file (inputs of a `.nnet` file are normalised ones), or
            layers, or a module of one tensor to one tensor.
        prop: a VNN-LIB file, or a property.
        timeout: seconds; passed by what one batch of sub-problems takes, at most.
        proof: where to write a proof that `check_proof` accepts, if the property holds; may take
            several times as long as the verdict, within `timeout`.
        workers: processes that share a problem of few inputs which one does not decide in seconds.
        watch: told now and then how many sub-problems have been bounded.
        sample: inputs of a module, whose values do not matter; None if it takes rows of as many
            numbers as the property has inputs.

    Returns:
        The verdict. What holds was attacked before it is returned; what is violated was replayed.

    Raises:
        ValueError: if a file cannot be read, a module not be traced, or the two do not fit.
        FileNotFoundError: if there is no such file.
        UnsoundError: if an attack breaks what was proved; a fault of this library.
    """
    start = time.perf_counter()
    if not timeout > 0:
        raise ValueError(f"`timeout` must be positive, in seconds; got {timeout}.")
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1; got {workers}.")
    deadline = start + timeout
    asked = prop if isinstance(prop, Property) else read_vnnlib(prop)
    layers, model = _read_network(network, asked, sample)
    if (asked.n_inputs, asked.n_outputs) != (layers.n_inputs, layers.n_outputs):
        raise PropertyError(
            f"The property is about {asked.n_inputs} inputs and {asked.n_outputs} outputs; the "
            f"network has {layers.n_inputs} and {layers.n_outputs}."
        )
    with one_thread():
        job = _Job(layers, asked, Replay(asked, model), deadline, workers, watch)
        verdict = job.run()
        if proof is not None and verdict.outcome == "unsat":
            verdict = replace(verdict, note=_prove(layers, asked, Path(proof), deadline))
    return replace(verdict, seconds=time.perf_counter() - start)


def _read_network(
    network: Path | str | AffineReLU | nn.Module, asked: Property, sample: Tensor | None
) -> "tuple[AffineReLU, Path | AffineReLU | onnx.ModelProto]":
    if isinstance(network, AffineReLU):
        return network, network
    if isinstance(network, nn.Module):
        like = next((p for p in network.parameters()), torch.zeros(0))
        rows = torch.zeros(1, asked.n_inputs, dtype=like.dtype) if sample is None else sample
        traced = export_network(network, rows, output="outputs")
        return affine_relu(from_seam(parse_graph(traced))), traced
    path = Path(network)
    if path.suffix == ".nnet":
        layers = read_nnet(path).network
        return layers, layers
    return read_affine(path), path


@dataclass(slots=True, eq=False)
class _Job:
    """One property and what is known of it so far."""

    layers: AffineReLU
    asked: Property
    replay: Replay
    deadline: float
    workers: int
    watch: Callable[[int], None]
    found: list[Witness] = field(default_factory=list)
    n_disputed: int = 0
    n_boxes: int = 0

    def run(self) -> Verdict:
        outcomes = []
        for i, query in enumerate(queries(self.asked)):
            made = self._region(i, query)
            self.n_boxes += made.n_boxes
            if made.outcome == "sat":
                return Verdict("sat", self.found[-1], 0.0, self.n_boxes)
            outcomes.append(made.outcome)
            if made.outcome == "unsat":
                _doubt(self.layers, query, self.deadline)
        if "timeout" in outcomes:
            note = f"{self.n_disputed} points violate it in float64 but not in ONNX Runtime."
            return Verdict("timeout", None, 0.0, self.n_boxes, note if self.n_disputed else "")
        if "unknown" in outcomes:
            note = "Bounds are not finite, or there is nothing left to split."
            return Verdict("unknown", None, 0.0, self.n_boxes, note)
        return Verdict("unsat", None, 0.0, self.n_boxes)

    def _region(self, i: int, query: Query) -> Decision:
        def accept(point: np.ndarray) -> bool:
            witness = self.replay(self.asked.regions[i], point)
            if witness is None:
                self.n_disputed += 1
                return False
            self.found.append(witness)
            return True

        def watch(n_boxes: int) -> None:
            self.watch(self.n_boxes + n_boxes)

        if self.layers.n_inputs > _FEW_INPUTS:
            return decide(self.layers, query, deadline=self.deadline, accept=accept, watch=watch)
        until = self.deadline
        if self.workers > 1:
            until = min(until, time.perf_counter() + _ALONE)
        (made,) = search(
            self.layers, [query], deadline=until, accept=lambda _, x: accept(x), watch=watch
        )
        if made.outcome != "timeout" or until == self.deadline:
            return made
        task = Task(self.layers, query, Replay(self.asked, self.replay.model), i)
        return search_together(
            task, made, deadline=self.deadline, workers=self.workers, accept=accept, watch=watch
        )


def _doubt(layers: AffineReLU, query: Query, deadline: float) -> None:
    """Attack what was proved, with other points than the search tried."""
    point = falsify(layers, query, n_points=256, n_steps=2, seed=1_000_003, deadline=deadline)
    if point is None:
        return
    rows = query.rows(point, layers(point))
    # A float64 evaluation may round across a bound that holds by a hair.
    size = query.rows(np.abs(point), np.abs(layers(point)))
    if query.violated((rows + 1e-6 * (1 + np.abs(size)))[None])[0]:
        raise UnsoundError(
            f"The property was proved, and yet {point.tolist()} violates it, with rows "
            f"{rows.tolist()}. This is a fault of the prover; please report it."
        )


def _prove(layers: AffineReLU, asked: Property, path: Path, deadline: float) -> str:
    try:
        trees = prove(layers, asked, deadline=deadline)
    except ValueError as error:
        return f"No proof was written: {error}"
    if trees is None:
        return "No proof was written: the time was up, or a box became too small to be halved."
    write_proof(path, layers, asked, trees)
    return f"Proof of {sum(cut is None for tree in trees for cut in tree)} boxes: {path}"
