"""Counts and times of a server, as Prometheus reads them (text format 0.0.4)."""

import bisect
import threading
from collections import defaultdict
from collections.abc import Mapping

__all__ = ["Metrics"]

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # s
_HELP = {
    "netwright_requests_total": ("counter", "Requests answered, by path and status."),
    "netwright_rows_total": ("counter", "Rows predicted."),
    "netwright_predictions_total": ("counter", "Rows predicted, by class."),
    "netwright_refused_total": ("counter", "Requests turned away because the queue was full."),
    "netwright_request_seconds": ("histogram", "Time from request to answer."),
    "netwright_batch_rows": ("histogram", "Rows of a batch."),
    "netwright_queue_rows": ("gauge", "Rows that wait."),
    "netwright_drift_psi": ("gauge", "Population stability index of the last rows, by column."),
    "netwright_model_info": ("gauge", "The model that is served."),
}
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_BOUNDS_OF = {"netwright_request_seconds": _BOUNDS, "netwright_batch_rows": _ROWS}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Numbers that only grow, and numbers that stand for now. Threads may share one."""

    def __init__(self) -> None:
        """Begin at nought."""
        self._lock = threading.Lock()
        self._values: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._buckets: dict[str, dict[Labels, list[float]]] = defaultdict(dict)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Let a counter grow.

        Args:
            name: of the metric.
            amount: by how much.
            **labels: that tell its series apart.
        """
        with self._lock:
            self._values[name][_key(labels)] += amount

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge.

        Args:
            name: of the metric.
            value: now.
            **labels: that tell its series apart.
        """
        with self._lock:
            self._values[name][_key(labels)] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Count a value in a histogram.

        Args:
            name: of the metric.
            value: in the metric's unit.
            **labels: that tell its series apart.
        """
        bounds = _BOUNDS_OF[name]
        with self._lock:
            counts = self._buckets[name].setdefault(_key(labels), [0.0] * (len(bounds) + 2))
            counts[bisect.bisect_left(bounds, value)] += 1
            counts[-1] += value

    def text(self) -> str:
        """Write everything down."""
        lines: list[str] = []
        with self._lock:
            for name, (kind, about) in _HELP.items():
                if name not in self._values and name not in self._buckets:
                    continue
                lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
                for key, value in self._values.get(name, {}).items():
                    lines.append(f"{name}{_shown(key)} {_number(value)}")
                for key, counts in self._buckets.get(name, {}).items():
                    lines += _histogram(name, key, counts)
        return "\n".join(lines) + "\n"


def _histogram(name: str, key: Labels, counts: list[float]) -> list[str]:
    lines, total = [], 0.0
    bounds = [_number(b) for b in _BOUNDS_OF[name]]
    for bound, count in zip([*bounds, "+Inf"], counts[:-1], strict=True):
        total += count
        lines.append(f"{name}_bucket{_shown((*key, ('le', bound)))} {_number(total)}")
    lines.append(f"{name}_sum{_shown(key)} {_number(counts[-1])}")
    lines.append(f"{name}_count{_shown(key)} {_number(total)}")
    return lines


def _key(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _shown(key: Labels) -> str:
    if not key:
        return ""
    escape = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return "{" + ",".join(f'{name}="{value.translate(escape)}"' for name, value in key) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
