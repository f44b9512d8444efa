"""Candidates of a compression: measured on the target, and kept so that no kill loses one."""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from netwright import _rng
from netwright._compress_passes import Made
from netwright._compress_shape import write_shaped
from netwright._files import write_atomically
from netwright.artefact import Session, read_onnx
from netwright.compress import pack
from netwright.data import Task
from netwright.finding import Judgement, Measurement
from netwright.measure import Subject, memory, percentile, speed_up
from netwright.quantities import CATALOGUE
from netwright.quantities._shipped import raw_feeds, start
from netwright.requirement import Requirement

__all__ = ["COSTS", "Bench", "Tried", "of_file", "read_tried"]

COSTS = ("size", "macs", "params", "latency_p50", "latency_p95", "memory")
_KEPT = "candidate.json"
_MOST_PAIRS, _FEWEST_PAIRS, _SECONDS = 200, 40, 1.5  # of calls by turns, and all of them


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate, and how it fared on the validation rows.

    Attributes:
        folder: holds `model.nwz`, `design.json` and `model.safetensors`.
        passes: what was done, in order, in words.
        untouched: for each weight that was left alone, why.
        layers: for each weight, how many elements are not zero, how many there are, and how many
            different values they have.
        measurements: by requirement; those on attacks and proofs are left to the audit.
        score: the task's metric.
        size: bytes of `model.nwz`.
        p50: median seconds of a single row, by turns with the file before.
        p95: their 95th percentile.
        speed: how many times as fast it is as the file before.
        memory: growth of a process that loads and runs it, bytes.
        spent: of the budget, up to here.
    """

    folder: Path
    passes: str
    untouched: Mapping[str, str]
    layers: Mapping[str, tuple[int, int, int]]
    measurements: Mapping[str, Measurement]
    score: float
    size: int
    p50: float
    p95: float
    speed: Measurement
    memory: float
    spent: float

    def judge(self, requirements: Sequence[Requirement]) -> dict[str, Judgement]:
        """Judge what was measured.

        Args:
            requirements: all of them; those that were left to the audit have no judgement.
        """
        return {
            r.text: r.judge(self.measurements[r.text])
            for r in requirements
            if r.text in self.measurements
        }


class Bench:
    """Measures candidates beside the network before, on validation rows."""

    def __init__(
        self,
        artefact: Path,
        before: Tensor,
        task: Task,
        requirements: Sequence[Requirement],
        seed: int,
    ) -> None:
        """Load the file before.

        Args:
            artefact: the file before.
            before: its outputs for the validation rows.
            task: supplies the rows.
            requirements: what is measured beside costs and score.
            seed: of the measurements.
        """
        self._task, self._before, self._requirements = task, before, requirements
        self._seed = _rng.child_seed(seed, "validation")
        self._call, _ = self._runner(artefact)

    def measure(
        self, made: Made, folder: Path, *, passes: str, untouched: Mapping[str, str], spent: float
    ) -> Tried:
        """Write a candidate and measure what is written.

        Args:
            made: the candidate.
            folder: made when missing; the candidate's own.
            passes: what was done, in words.
            untouched: for each weight that was left alone, why.
            spent: of the budget, up to here.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file, path, packed = pack(made.model), folder / ".candidate.onnx", folder / "model.nwz"
        write_atomically(path, made.model.SerializeToString())
        write_atomically(packed, file)
        write_shaped(made.shaped, self._task.schema, folder, made.network)
        subject = Subject(
            schema=self._task.schema,
            split=self._task.validation,
            network=read_onnx(made.model).eval(),
            seed=self._seed,
            artefact=path,
            predict=Session(path).predict,
            before=self._before,
        )
        measurements = {
            r.text: CATALOGUE[r.quantity].measure(of_file(subject, packed, r), **r.keywords)
            for r in self._requirements
            if CATALOGUE[r.quantity].needs != "attack"
        }
        call, feed = self._runner(path)
        once = time.perf_counter()
        call(0)
        once = time.perf_counter() - once
        pairs = int(min(_MOST_PAIRS, max(_FEWEST_PAIRS, _SECONDS / (2 * max(once, 1e-6)))))
        times = speed_up(self._call, call, n_pairs=pairs)
        tried = Tried(
            folder=folder,
            passes=passes,
            untouched=dict(untouched),
            layers=dict(made.layers),
            measurements=measurements,
            score=CATALOGUE[self._task.schema.target.metric].measure(subject).value,
            size=len(file),
            p50=times.second,
            p95=percentile(times.seconds[1], 0.95).value,
            speed=times.ratio,
            memory=memory(path, feed, processes=1).value,
            spent=spent,
        )
        path.unlink()
        write_atomically(folder / _KEPT, _to_json(tried))
        return tried

    def _runner(self, artefact: Path) -> tuple[Callable[[int], object], Any]:
        subject = Subject(
            self._task.schema, self._task.validation, read_onnx(artefact), artefact=artefact
        )
        session = start(subject, "latency", 1)
        feeds = raw_feeds(session, subject, batch=1, most=100)
        return lambda k: session.run(None, feeds[k % len(feeds)]), feeds[0]


def read_tried(folder: Path) -> Tried | None:
    """Read a candidate that was measured; None if it is not there, or not finished.

    Args:
        folder: the candidate's own.
    """
    from pydantic import TypeAdapter

    path = folder / _KEPT
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return TypeAdapter(Tried).validate_python(content | {"folder": folder})


def of_file(subject: Subject, packed: Path, requirement: Requirement) -> Subject:
    """Return what a requirement is put to: the `.nwz` file is what `size` means.

    All else is measured on what it decodes to.

    Args:
        subject: the decoded file.
        packed: `model.nwz`.
        requirement: what is demanded.
    """
    if requirement.quantity != "size":
        return subject
    return dataclasses.replace(subject, artefact=packed)


def _to_json(tried: Tried) -> str:
    content = {name: value for name, value in dataclasses.asdict(tried).items() if name != "folder"}
    return json.dumps(content, indent=1)
