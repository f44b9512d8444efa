"""Decide whether a network has a property: the command `netwright verify`, as a function."""

import csv
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from netwright.audits.verify._affine_onnx import read_affine
from netwright.audits.verify._falsify import falsify
from netwright.audits.verify._network import AffineReLU, read_nnet
from netwright.audits.verify._proof import prove, write_proof
from netwright.audits.verify._query import Query, queries
from netwright.audits.verify._search import search
from netwright.audits.verify._threads import one_thread
from netwright.audits.verify._vnnlib import Property, PropertyError, format_witness, read_vnnlib
from netwright.audits.verify._witness import Replay, Witness

__all__ = ["Instance", "UnsoundError", "Verdict", "read_instances", "verify", "verify_instances"]


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


@dataclass(frozen=True, slots=True)
class Instance:
    """A row of `instances.csv`.

    Attributes:
        network: path of the network.
        prop: path of the property.
        timeout: seconds.
    """

    network: Path
    prop: Path
    timeout: float


def verify(
    network: Path | str | AffineReLU,
    prop: Path | str | Property,
    *,
    timeout: float = 60.0,
    proof: Path | str | None = None,
) -> Verdict:
    """Decide whether any input violates a property.

    Args:
        network: an `.onnx` or `.nnet` file (inputs of a `.nnet` file are normalised ones), or
            layers.
        prop: a VNN-LIB file, or a property.
        timeout: seconds; passed by what one batch of sub-problems takes, at most.
        proof: where to write a proof that `check_proof` accepts, if the property holds; may take
            several times as long as the verdict, within `timeout`.

    Returns:
        The verdict. What holds was attacked before it is returned; what is violated was replayed.

    Raises:
        ValueError: if a file cannot be read, or the two do not fit together.
        FileNotFoundError: if there is no such file.
        UnsoundError: if an attack breaks what was proved; a fault of this library.
    """
    start = time.perf_counter()
    deadline = start + timeout
    layers, model = _read_network(network)
    asked = prop if isinstance(prop, Property) else read_vnnlib(prop)
    if (asked.n_inputs, asked.n_outputs) != (layers.n_inputs, layers.n_outputs):
        raise PropertyError(
            f"The property is about {asked.n_inputs} inputs and {asked.n_outputs} outputs; the "
            f"network has {layers.n_inputs} and {layers.n_outputs}."
        )
    with one_thread():
        verdict = _decide(layers, asked, Replay(asked, model), deadline)
        if proof is not None and verdict.outcome == "unsat":
            verdict = replace(verdict, note=_prove(layers, asked, Path(proof), deadline))
    return replace(verdict, seconds=time.perf_counter() - start)


def read_instances(source: Path | str) -> list[Instance]:
    """Read a list of problems: network, property and seconds a line, paths relative to the file.

    Args:
        source: a csv file without a header.

    Raises:
        ValueError: if a line has another form.
        FileNotFoundError: if there is no such file.
    """
    path = Path(source)
    found = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if not row:
                continue
            try:
                network, prop, seconds = (cell.strip() for cell in row)
                limit = float(seconds)
            except ValueError as error:
                raise ValueError(
                    f"{path.name}, line {number}: a line holds a network, a property and seconds; "
                    f"got {','.join(row)!r}."
                ) from error
            found.append(Instance(_find(path, network), _find(path, prop), limit))
    return found


def verify_instances(
    source: Path | str, *, workers: int = 1, timeout: float | None = None
) -> Iterator[tuple[Instance, Verdict]]:
    """Decide every problem of a list, in its order.

    Args:
        source: as `read_instances` takes it.
        workers: processes; with several, problems are decided side by side.
        timeout: seconds for each, instead of the list's.

    Yields:
        Each problem with its verdict; "unknown", with a note, where a file could not be read.

    Raises:
        ValueError: if the list cannot be read.
        FileNotFoundError: if there is no list.
    """
    listed = read_instances(source)
    if timeout is not None:
        listed = [replace(one, timeout=timeout) for one in listed]
    if workers == 1:
        for one in listed:
            yield one, _verify_one(one)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(listed, pool.map(_verify_one, listed), strict=True)


def _verify_one(one: Instance) -> Verdict:
    try:
        return verify(one.network, one.prop, timeout=one.timeout)
    except (ValueError, FileNotFoundError) as error:
        return Verdict("unknown", None, 0.0, 0, note=str(error))


def _find(listing: Path, name: str) -> Path:
    """Take a path as given relative to the list, or the file of that name beside it."""
    given = listing.parent / name
    beside = listing.parent / Path(name).name
    return beside if not given.exists() and beside.exists() else given


def _read_network(network: Path | str | AffineReLU) -> tuple[AffineReLU, Path | AffineReLU]:
    if isinstance(network, AffineReLU):
        return network, network
    path = Path(network)
    if path.suffix == ".nnet":
        layers = read_nnet(path).network
        return layers, layers
    return read_affine(path), path


def _decide(layers: AffineReLU, asked: Property, replay: Replay, deadline: float) -> Verdict:
    found: list[Witness] = []
    disputed: list[np.ndarray] = []

    def accept(i: int, point: np.ndarray) -> bool:
        witness = replay(asked.regions[i], point)
        (found if witness else disputed).append(witness or point)  # type: ignore[arg-type]
        return witness is not None

    regions = queries(asked)
    n_boxes = 0
    outcomes = []
    for i, query in enumerate(regions):
        (made,) = search(layers, [query], deadline=deadline, accept=lambda _, x, i=i: accept(i, x))
        n_boxes += made.n_boxes
        if made.outcome == "sat":
            return Verdict("sat", found[-1], 0.0, n_boxes)
        outcomes.append(made.outcome)
        if made.outcome == "unsat":
            _doubt(layers, query, deadline)
    if "timeout" in outcomes:
        note = f"{len(disputed)} points violate it in float64 but not in ONNX Runtime."
        return Verdict("timeout", None, 0.0, n_boxes, note if disputed else "")
    if "unknown" in outcomes:
        note = "Bounds are not finite, or a box became too small to be halved."
        return Verdict("unknown", None, 0.0, n_boxes, note)
    return Verdict("unsat", None, 0.0, n_boxes)


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
