"""E3: the Reluplex table decided again, in a second, with a proof of the cell that it got wrong.

Katz, Barrett, Dill, Julian, Kochenderfer. Reluplex: An Efficient SMT Solver for Verifying Deep
Neural Networks. CAV 2017, arXiv:1702.01135. Table 3 asks of one ACAS Xu network whether its advice
can change within a distance of five inputs. The cell of point 4, distance 0.05 reads SAT there; it
is UNSAT, by a proof that a checker which shares no code with the prover accepts in exact
arithmetic. Needs the folder `acasxu` of the research data in NETWRIGHT_DATA.
"""

import json
import os
import tarfile
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from netwright.audits.verify import (
    Constraint,
    NnetFile,
    ProofCheck,
    ProofError,
    Property,
    Region,
    Verdict,
    check_proof,
    read_instances,
    read_nnet,
    verify,
    verify_instances,
)
from netwright.finding import Cell, Finding, Judgement, Measurement, Table

__all__ = ["BAR", "ID", "TITLE", "AskedCell", "cells", "property_of", "run", "unpack"]

ID = "E3"
TITLE = "Verification, complete: the 25 robustness queries of Reluplex, Table 3"
BAR = (
    "all 25 decided in at most 1.0 s of processor time (the paper: 33,182 s), as in the paper but "
    "for point 4, distance 0.05, whose proof an exact checker accepts"
)
_PAPER_SECONDS = 33_182
_BAR = 1.0
_WRONG = (4, 0.05)  # the cell of the paper that no prover confirms
_PROVING = 600.0  # seconds for making the proof; a few are enough on an idle machine
_FOLDER = "acasxu"


@dataclass(frozen=True, slots=True)
class AskedCell:
    """One cell of the table.

    Attributes:
        point: 1 to 5.
        delta: distance, in normalised inputs.
        x: the point itself.
        paper: what the paper says, "SAT" (not robust) or "UNSAT".
        paper_seconds: what it took there.
    """

    point: int
    delta: float
    x: tuple[float, ...]
    paper: str
    paper_seconds: float


def run(*, full: bool, seed: int) -> Finding:
    """Decide the 25 queries, and prove the disputed one.

    Args:
        full: also decide the 186 instances of the verification competition, on two workers.
        seed: not used: nothing here is random but the attack, whose seeds are fixed.

    Returns:
        How many cells are right, with their table; undecided without the data.
    """
    began = time.monotonic()
    data = Path(os.environ.get("NETWRIGHT_DATA") or "$NETWRIGHT_DATA")
    if not (data / _FOLDER).is_dir():
        reason = (
            f"{data / _FOLDER} does not exist. Set NETWRIGHT_DATA to the folder of the research "
            f"data."
        )
        return Finding(
            f"claim/{ID}", TITLE, reason, requirement=BAR, judgement=Judgement("undecided", reason)
        )
    with tempfile.TemporaryDirectory() as folder:
        network = read_nnet(unpack(data, Path(folder)))
        asked = cells(data)
        table, n_right, seconds = _table(network, asked)
        proof = _prove(network, asked, Path(folder))
        more = _instances(data, Path(folder)) if full else None
    good = n_right == len(asked) and proof is not None and seconds <= _BAR
    good &= more is None or more[1] == 0
    summary = (
        f"{n_right} of {len(asked)} cells are right, in {seconds:.2f} s of processor time (the "
        f"paper: {_PAPER_SECONDS:,} s). "
    )
    summary += (
        f"Point {_WRONG[0]}, distance {_WRONG[1]} is UNSAT, not SAT: exact arithmetic accepts the "
        f"proof of {proof.n_leaves:,} boxes in {proof.seconds:.0f} s."
        if proof is not None
        else f"The proof of point {_WRONG[0]}, distance {_WRONG[1]} was not accepted."
    )
    if more is not None:
        summary += f" {more[2]}"
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(n_right, n_right, n_right, len(asked), note="cells decided right"),
        requirement=BAR,
        judgement=Judgement("met" if good else "broken", summary),
        evidence=(table,) if more is None else (table, more[0]),
        seconds=time.monotonic() - began,
    )


def unpack(data: Path, folder: Path) -> Path:
    """Take the network of the table out of the archive.

    Args:
        data: the folder of the research data.
        folder: where to.

    Returns:
        The `.nnet` file.
    """
    name = json.loads((data / _FOLDER / "reluplex_adversarial.json").read_text())["network"]
    with tarfile.open(data / _FOLDER / "acasxu_nnet.tar.gz") as archive:
        archive.extract(name, folder, filter="data")
    return folder / name


def cells(data: Path) -> list[AskedCell]:
    """Read the table.

    Args:
        data: the folder of the research data.
    """
    content = json.loads((data / _FOLDER / "reluplex_adversarial.json").read_text())
    return [
        AskedCell(
            point["point"],
            box["delta"],
            tuple(point["input_normalised"]),
            box["paper_result"],
            box["paper_seconds"],
        )
        for point in content["points"]
        for box in point["boxes"]
    ]


def property_of(cell: AskedCell, file: NnetFile) -> Property:
    """Pose a cell's question: can another output be at most the least one at the point?

    The box is the distance around the point, cut to the network's own range; its ends are exact.

    Args:
        cell: of the table.
        file: the network with its range.
    """
    outputs = file.network(np.array(cell.x))
    least = int(outputs.argmin())
    low, high = [], []
    for i, value in enumerate(cell.x):
        ends = [(_exact(e[i]) - _exact(file.mean[i])) / _exact(file.span[i])
                for e in (file.low, file.high)]  # fmt: skip
        low.append(max(_exact(value) - _exact(cell.delta), ends[0]))
        high.append(min(_exact(value) + _exact(cell.delta), ends[1]))
    one = Fraction(1)
    others = (j for j in range(len(outputs)) if j != least)
    rows = tuple((Constraint((), ((j, one), (least, -one)), Fraction(0)),) for j in others)
    region = Region(tuple(low), tuple(high), rows)
    return Property(len(low), len(outputs), (region,), name=f"P{cell.point} {cell.delta}")


def _exact(value: float) -> Fraction:
    return Fraction(repr(value))  # the decimal number that was written


def _table(network: NnetFile, asked: list[AskedCell]) -> tuple[Table, int, float]:
    verify(network.network, property_of(asked[0], network))  # loads what the first call loads
    rows: list[tuple[Cell, ...]] = []
    n_right, total = 0, 0.0
    for cell in asked:
        prop = property_of(cell, network)
        began = time.process_time()
        verdict = verify(network.network, prop)
        seconds = time.process_time() - began
        total += seconds
        expected = "UNSAT" if (cell.point, cell.delta) == _WRONG else cell.paper
        right = verdict.outcome.upper() == expected
        n_right += right
        outcome = verdict.outcome.upper()
        rows.append(
            (cell.point, cell.delta, outcome, cell.paper, seconds, cell.paper_seconds,
             verdict.n_boxes, "yes" if right else "no")
        )  # fmt: skip
    rows.append(("total", None, None, None, total, _PAPER_SECONDS, None, None))
    columns = ("point", "distance", "verdict", "paper", "CPU s", "paper s", "sub-problems", "right")
    return Table("Reluplex, Table 3", columns, tuple(rows)), n_right, total


def _prove(network: NnetFile, asked: list[AskedCell], folder: Path) -> ProofCheck | None:
    cell = next(c for c in asked if (c.point, c.delta) == _WRONG)
    prop, path = property_of(cell, network), folder / "proof.json"
    made = verify(network.network, prop, timeout=_PROVING, proof=path)
    if made.outcome != "unsat" or not path.exists():
        return None
    try:
        return check_proof(path, network.network, prop, exact=True)
    except ProofError:
        return None


def _instances(data: Path, folder: Path) -> tuple[Table, int, str]:
    """Decide the competition's instances: a table by property, how many are not decided, words."""
    with tarfile.open(data / _FOLDER / "acasxu_vnncomp2021.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    listed = read_instances(next(folder.rglob("acasxu_instances.csv")))
    began = time.monotonic()
    made: dict[int, Verdict] = dict(verify_instances(listed, workers=2))
    wall = time.monotonic() - began
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys(one.prop.stem for one in listed):
        found = [made[i] for i, one in enumerate(listed) if one.prop.stem == name]
        counts = [sum(v.outcome == w for v in found) for w in ("unsat", "sat")]
        seconds = [v.seconds for v in found]
        rows.append((name, len(found), *counts, sum(seconds), max(seconds)))
    lacking = sum(v.outcome not in ("sat", "unsat") for v in made.values())
    columns = ("property", "networks", "unsat", "sat", "s, all", "s, longest")
    words = f"{len(listed) - lacking} of {len(listed)} instances are decided, in {wall:.0f} s."
    return Table("The competition's instances, 2 workers", columns, tuple(rows)), lacking, words
