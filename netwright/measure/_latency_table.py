"""Predict how long a call of a network takes, from a table of its operations on this machine.

Paper:    Cai, Zhu, Han. ProxylessNAS: Direct Neural Architecture Search on Target Task and
          Hardware. ICLR 2019, arXiv:1812.00332, section 3.3 and appendix B (latency as the sum of
          entries of a lookup table).
Departs:  entries are measured when they are first needed, in ONNX Runtime, in such company as in a
          network (`_operation_models`); what every network does is measured as one.
Notation: seconds of an operation = F(o), sum over operations = E[latency].
"""

import functools
import hashlib
import json
import math
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from netwright._files import append_line
from netwright.finding import Measurement
from netwright.measure._operation_models import alone, null_model, null_network
from netwright.measure._operations import Operation, Shape, operations
from netwright.measure._unresolved import unresolved

__all__ = ["LatencyTable", "fingerprint"]

_TRUST = 0.15  # share by which predictions were off at most, in nine of ten networks
_EDITION = 3  # of how entries are measured; those of another are not read
_BUSY = 1.1  # of a known network's least time: while it takes longer, others are at work
_ROUNDS, _FEWEST_ROUNDS, _MOST_ROUNDS = 6, 2, 40
_MOST_SECONDS = 1.0  # of one entry's rounds


def fingerprint() -> str:
    """Name this machine and the runtime: a table of another one is of no use here."""
    import onnxruntime

    model = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        names = [line for line in path.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    text = f"{model}|{platform.system()}|onnxruntime {onnxruntime.__version__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class LatencyTable:
    """Seconds of operations in ONNX Runtime: one row, one thread.

    Entries are kept in a file of this machine's own, each with the pace of the machine when it was
    measured: what a known network took. One that was measured while others were at work is measured
    once more by the next process that needs it.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is known of this machine.

        Args:
            folder: the user's cache; made when missing.
        """
        self.path = folder / "latency" / f"{fingerprint()}-{_EDITION}.jsonl"
        self.entries: dict[str, float] = {}
        self._paces: dict[str, float] = {}
        self._least = math.inf  # pace
        self._last = 0.0  # pace of the last measurement
        self._own: set[str] = set()  # measured by this process
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            ((key, (seconds, pace)),) = json.loads(line).items()
            self.entries[key], self._paces[key] = float(seconds), float(pace)
        except (AttributeError, TypeError, ValueError):  # the line that a kill tore
            return
        self._least = min(self._least, self._paces[key])

    def predict(self, network: nn.Module, x: Float[Tensor, "one channels *size"]) -> Measurement:
        """Predict the time of a call of the shipped file that nothing disturbs, on one row.

        The time of a network that does nothing, and what this one runs besides. The median of calls
        is above it, on a busy machine by far.

        Args:
            network: of images or sequences.
            x: one image or sequence, as the network receives it.

        Returns:
            Seconds, with the reach of the table's error; unresolved if the network runs something
            that the table does not know, as a recurrence, and nothing is measured then.

        Raises:
            ValueError: if `x` is neither.

        Cost: two forward passes, and about 0.15 s for each operation that is met for the first
        time, up to a second while others are at work; more if twenty calls of it take longer.
        """
        shape = tuple(x.shape)
        if len(shape) not in (3, 4):
            raise ValueError(
                f"`x` must be one image or sequence, of 4 or 3 axes; got shape {list(shape)}."
            )
        more = Counter(operations(network, x))
        less = Counter(operations(null_network(shape), x))
        more, less = more - less, less - more
        unknown = sorted({o.kind.removeprefix("other ") for o in (*more, *less) if not o.known})
        if unknown:
            return unresolved(0, f"The table cannot account for {', '.join(unknown)}.", unit="s")
        total = self._entry(f"base {shape}", lambda: self._base(shape))
        for sign, found in ((1, more), (-1, less)):
            for operation, times in found.items():
                seconds = self._entry(operation.key, lambda o=operation: self._difference(o))
                total += sign * times * seconds
        return Measurement(
            value=total,
            low=total * (1 - _TRUST),
            high=total * (1 + _TRUST),
            n=more.total() + 1,
            unit="s",
            method="table",
            note="predicted from a table of operations, one row, one thread",
        )

    def _entry(self, key: str, measure: Callable[[], float]) -> float:
        calm = self._paces.get(key, math.inf) <= _BUSY * self._least
        if key not in self.entries or not (calm or key in self._own):
            self.entries[key], self._paces[key] = measure(), self._last
            self._own.add(key)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append_line(self.path, json.dumps({key: [self.entries[key], self._last]}))
        return self.entries[key]

    def _base(self, shape: Shape) -> float:
        model, x = null_model(shape)
        return self._times([_caller(model, x)])[0]

    def _difference(self, operation: Operation) -> float:
        x = np.zeros(operation.inputs[0], np.float32)
        more, less = self._times([_caller(model, x) for model in alone(operation)])
        return max(0.0, more - less)

    def _times(self, runs: Sequence[Callable[[], object]]) -> list[float]:
        """Time calls in turns; of each, the least of the rounds in which the machine was at rest.

        That it is, a known network's own time tells. Where it never is, the quietest rounds count.
        """
        for run in (_reference(), *runs):
            _tenth(run)  # warms up
        rounds: list[tuple[float, list[float]]] = []
        calm, end = 0, time.perf_counter() + _MOST_SECONDS
        while calm < _ROUNDS and len(rounds) < _MOST_ROUNDS:
            if len(rounds) >= _FEWEST_ROUNDS and time.perf_counter() > end:
                break
            pace, *seconds = (_tenth(run) for run in (_reference(), *runs))
            rounds.append((pace, seconds))
            self._least = min(self._least, pace)
            calm = sum(pace <= _BUSY * self._least for pace, _ in rounds)
        quietest = sorted(rounds)[:_ROUNDS]
        self._last = quietest[-1][0]
        return [min(each) for each in zip(*(seconds for _, seconds in quietest), strict=True)]


def _caller(model: bytes, x: np.ndarray) -> Callable[[], Any]:
    """Return what runs a model on an input, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


@functools.cache
def _reference() -> Callable[[], Any]:
    return _caller(*null_model((1, 3, 128)))


def _tenth(run: Callable[[], object], *, seconds: float = 0.006) -> float:
    """Time calls; a tenth of them end within what is returned: others' work only adds."""
    times: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    while len(times) < 5 or (clock() < end and len(times) < 500):
        began = clock()
        run()
        times.append(clock() - began)
    return sorted(times)[len(times) // 10]
