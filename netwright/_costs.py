"""What a design costs before it is trained: measured once, kept in the run's folder."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn

from netwright._files import append_line
from netwright.artefact import to_onnx
from netwright.data import Task
from netwright.data._named import user_cache
from netwright.design import Design, build_network, design_to_json
from netwright.design._ranking import COSTS
from netwright.finding import Measurement
from netwright.measure import LatencyTable, Subject
from netwright.nn import Calibrated
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["Costs"]

_LATENCIES = ("latency_p50", "latency_p95")  # at least the median each
_GUESSES = ("table", "lower bound")  # methods; enough to pass a design over, not to report
_CAUTION = 0.75  # the table is off by less (benchmarks/latency_table.py)


class Costs:
    """Measures designs on untrained networks: parameters, operations, bytes, time of a call.

    Training changes none of these, so a design that breaks a bound on one need not be trained. What
    was measured stands in `costs.jsonl`: a search that goes on after a kill decides as before.

    Writing a network to ONNX takes a second, so of a large space what is clearly beyond a bound is
    told without: bytes by the weights that any file must hold, latency by a table of operations.
    """

    def __init__(self, task: Task, requirements: Sequence[Requirement], folder: Path) -> None:
        """Read what an earlier try of the same run has measured.

        Args:
            task: of the run.
            requirements: of the run; those on costs are measured.
            folder: of the run; must exist.
        """
        self._task = task
        self._wanted = [r for r in requirements if _costs(r)]
        self._folder = folder
        self._path = folder / "costs.jsonl"
        self._table: LatencyTable | None = None
        self._known: dict[str, dict[str, Measurement]] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                self._read(line)

    def of(self, design: Design, *, until_broken: bool = False) -> Mapping[str, Measurement]:
        """Measure a design, or look up what was measured.

        Args:
            design: what to build.
            until_broken: measure what is quickest first, and stop at the first requirement that is
                broken: all that is needed to pass over a design of a large space.

        Returns:
            Measurements by requirement text, and "params", "macs" and, where it was needed, "size".
        """
        key = _key(design)
        known = self._known.get(key, {})
        if until_broken and self._first_broken(known) is not None:
            return known
        exact = {name for name, m in known.items() if m.method not in _GUESSES}
        if any(r.text not in exact for r in self._wanted) or "params" not in known:
            known = self._known[key] = self._measure(design, until_broken)
            self._write(key, known)
        return known

    def broken(self, design: Design, *, until_broken: bool = False) -> Requirement | None:
        """Return a requirement on costs that a design surely breaks; None if it breaks none.

        Args:
            design: what to build.
            until_broken: as in `of`.
        """
        return self._first_broken(self.of(design, until_broken=until_broken))

    def _first_broken(self, found: Mapping[str, Measurement]) -> Requirement | None:
        for requirement in self._wanted:
            measured = found.get(requirement.text)
            if measured is not None and requirement.judge(measured).verdict == "broken":
                return requirement
        return None

    def _measure(self, design: Design, until_broken: bool) -> dict[str, Measurement]:
        network = build_network(design, self._task.schema, seed=0).eval()
        subject = Subject(schema=self._task.schema, split=self._task.validation, network=network)
        found = {name: CATALOGUE[name].measure(subject) for name in ("params", "macs")}
        for requirement in self._wanted:
            if CATALOGUE[requirement.quantity].needs == "network":
                found[requirement.text] = _measured(requirement, subject)
        shipped = [r for r in self._wanted if CATALOGUE[r.quantity].needs == "artefact"]
        if until_broken:
            found |= self._guessed(network, shipped)
        if not shipped or (until_broken and self._first_broken(found) is not None):
            return found
        scratch = self._folder / f".untrained.{os.getpid()}.onnx"
        try:
            scratch.write_bytes(self._exported(network))
            subject = Subject(self._task.schema, self._task.validation, network, artefact=scratch)
            found["size"] = CATALOGUE["size"].measure(subject)
            # Bytes are counted at once; what is timed or traced takes longer.
            for requirement in sorted(shipped, key=lambda r: r.quantity != "size"):
                found[requirement.text] = _measured(requirement, subject)
                if until_broken and self._first_broken(found) is not None:
                    break
        finally:
            scratch.unlink(missing_ok=True)
        return found

    def _guessed(
        self, network: nn.Module, shipped: Sequence[Requirement]
    ) -> dict[str, Measurement]:
        """Return what surely breaks a bound, found without writing a file."""
        guesses = {}
        for requirement in shipped:
            guess = None
            if requirement.quantity == "size":
                guess = _least_bytes(network)
            elif requirement.quantity in _LATENCIES and _is_single(requirement):
                guess = self._predicted(network)
            if guess is not None and requirement.judge(guess).verdict == "broken":
                guesses[requirement.text] = guess
        return guesses

    def _predicted(self, network: nn.Module) -> Measurement | None:
        """Predict the median latency; None for what the table does not know."""
        if self._task.schema.input.kind not in ("image", "sequence"):
            return None
        self._table = self._table or LatencyTable(user_cache())
        found = self._table.predict(network, self._task.validation.take([0]))
        return (
            None
            if found.unresolved
            else replace(found, low=found.value * _CAUTION, high=found.value / _CAUTION)
        )

    def _exported(self, network: nn.Module) -> bytes:
        task = self._task
        if task.schema.target.kind in ("class", "labels"):
            network = Calibrated(network, 1.5).eval()  # as it is shipped
        sample = task.validation.take(range(min(2, len(task.validation))))
        return to_onnx(network, task.schema, sample=sample)

    def _write(self, key: str, found: Mapping[str, Measurement]) -> None:
        line = {"design": key, "costs": {name: asdict(m) for name, m in found.items()}}
        append_line(self._path, json.dumps(line))

    def _read(self, line: str) -> None:
        try:
            content = json.loads(line)
        except json.JSONDecodeError:  # the line that a kill tore
            return
        found = {name: Measurement(**fields) for name, fields in content["costs"].items()}
        self._known[content["design"]] = found


def _is_single(requirement: Requirement) -> bool:
    """Whether calls have one row and one thread, as the table's."""
    return all(requirement.keywords.get(name, 1) == 1 for name in ("batch", "threads"))


def _least_bytes(network: nn.Module) -> Measurement:
    """Bytes of matrices and kernels, which no export leaves out: less than any file takes."""
    least = float(sum(4 * p.numel() for p in network.parameters() if p.ndim > 1))
    return Measurement(least, least, least, 1, "bytes", "lower bound", note="of weights alone")


def _costs(requirement: Requirement) -> bool:
    return CATALOGUE[requirement.quantity].needs in COSTS


def _measured(requirement: Requirement, subject: Subject) -> Measurement:
    return CATALOGUE[requirement.quantity].measure(subject, **requirement.keywords)


def _key(design: Design) -> str:
    return hashlib.sha256(design_to_json(design).encode()).hexdigest()[:16]
