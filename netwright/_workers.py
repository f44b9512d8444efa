"""Who evaluates candidates: this process, or workers of a Ray cluster.

A worker is a process that holds the task and does one order after the other. One that dies loses
the order it was at, and nothing else; another takes its place.
"""

import contextlib
import dataclasses
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from netwright import __version__
from netwright._evaluate import Order, Outcome, evaluate
from netwright.data import SealedSplit, Task, TensorSplit
from netwright.learn import Epoch

__all__ = ["Lost", "OneProcess", "RayWorkers", "Workers", "hire"]

_PATIENCE = 180.0  # seconds for workers to start: loading torch on a busy machine is slow
_STORE = 1 << 28  # bytes of shared memory, beside what the task takes


@dataclass(frozen=True, slots=True)
class Lost:
    """An order whose worker died.

    Attributes:
        reason: what is known of it.
    """

    reason: str


@runtime_checkable
class Workers(Protocol):
    """Takes orders, and gives back outcomes in the order in which they are ready."""

    @property
    def free(self) -> int:  # honest: a protocol
        """How many orders can be taken now."""
        ...

    @property
    def size(self) -> int:  # honest: a protocol
        """How many orders can be under way at once."""
        ...

    def submit(self, order: Order, inherited: bytes | None) -> None:  # honest: a protocol
        """Begin an order."""
        ...

    def wait(  # honest: a protocol
        self, seconds: float
    ) -> tuple[tuple[Order, Outcome | Lost], ...]:
        """Return what has ended; wait for the first for some time at most."""
        ...


class OneProcess:
    """Evaluates in this process, one order at a time, while one waits for it."""

    size = 1

    def __init__(self, task: Task, on_epoch: Callable[[Order, Epoch], None]) -> None:
        """Begin without work.

        Args:
            task: what candidates learn.
            on_epoch: called after each epoch.
        """
        self._task = task
        self._on_epoch = on_epoch
        self._next: tuple[Order, bytes | None] | None = None

    @property
    def free(self) -> int:
        """1 unless an order is waiting."""
        return int(self._next is None)

    def submit(self, order: Order, inherited: bytes | None) -> None:
        """Keep an order until `wait`.

        Args:
            order: what to do.
            inherited: weights of the parent.
        """
        assert self._next is None
        self._next = (order, inherited)

    def wait(self, seconds: float) -> tuple[tuple[Order, Outcome | Lost], ...]:
        """Do the order that is waiting.

        Args:
            seconds: not looked at.
        """
        if self._next is None:
            return ()
        (order, inherited), self._next = self._next, None
        outcome = evaluate(
            order, self._task, inherited=inherited, on_epoch=lambda e: self._on_epoch(order, e)
        )
        return ((order, outcome),)


class _Worker:
    # Lives in a worker's process; `ray.remote` makes an actor of it.

    def __init__(self, task: Task, threads: int, version: str) -> None:
        if version != __version__:
            raise ValueError(f"This worker has Netwright {__version__}, the search {version}.")
        torch.set_num_threads(threads)
        self._task = task

    def process(self) -> int:
        return os.getpid()

    def evaluate(self, order: Order, inherited: bytes | None) -> Outcome:
        return evaluate(order, self._task, inherited=inherited)


class RayWorkers:
    """Workers of a Ray cluster; `hire` starts and stops them."""

    def __init__(self, task: Task, size: int, *, threads: int, cpus: int, gpus: float) -> None:
        """Start the workers of a cluster that this process is connected to.

        Args:
            task: what candidates learn; it is sent once to each machine, without its test rows.
            size: how many workers.
            threads: of torch, in each.
            cpus: of the cluster, for each.
            gpus: share of a GPU for each.

        Raises:
            ValueError: if they do not start.
        """
        import ray
        import ray.exceptions

        self._ray, self._errors = ray, ray.exceptions
        self.size = size
        self._task = ray.put(_without_test(task))
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": 0}
        self._threads = threads
        self._idle = [self._start() for _ in range(size)]
        self._busy: dict[Any, tuple[Any, Order]] = {}
        try:
            ray.get(self.processes(), timeout=_PATIENCE)
        except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError) as error:
            raise ValueError(
                f"{size} workers of {cpus} CPUs did not start within {_PATIENCE:.0f} s ({error})"
                f". Ask for fewer (`workers`), or see that each machine of the cluster has this "
                f"version of Netwright."
            ) from error

    def processes(self) -> list[Any]:
        """Return promises of the idle workers' process numbers."""
        return [worker.process.remote() for worker in self._idle]

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        return len(self._idle)

    def submit(self, order: Order, inherited: bytes | None) -> None:
        """Give an order to a worker that is free.

        Args:
            order: what to do.
            inherited: weights of the parent.
        """
        worker = self._idle.pop()
        self._busy[worker.evaluate.remote(order, inherited)] = (worker, order)

    def wait(self, seconds: float) -> tuple[tuple[Order, Outcome | Lost], ...]:
        """Return what has ended; wait for the first for some time at most.

        Args:
            seconds: to wait at most.

        Raises:
            Exception: whatever an evaluation raised.
        """
        ray = self._ray
        if not self._busy:
            return ()
        ready, _ = ray.wait(list(self._busy), num_returns=1, timeout=seconds)
        found: list[tuple[Order, Outcome | Lost]] = []
        for promise in ready:
            worker, order = self._busy.pop(promise)
            try:
                found.append((order, ray.get(promise)))
                self._idle.append(worker)
            except self._errors.RayTaskError as error:
                raise error.cause from error
            except self._errors.RayActorError as error:
                self._idle.append(self._start())
                found.append((order, Lost(str(error).splitlines()[0])))
        return tuple(found)

    def _start(self) -> Any:
        actor = self._ray.remote(**self._options)(_Worker)
        return actor.remote(self._task, self._threads, __version__)


@contextlib.contextmanager
def hire(
    task: Task,
    n: int | None,
    address: str | None,
    *,
    device: str,
    on_epoch: Callable[[Order, Epoch], None],
) -> Iterator[Workers]:
    """Have candidates evaluated: in this process, on a local cluster, or on an existing one.

    Args:
        task: what candidates learn.
        n: how many at once; None is one, or as many as an existing cluster has CPUs for.
        address: of an existing Ray cluster, for example "ray-head:6379" or "auto"; None starts a
            local one if `n` is above 1, and stops it in the end.
        device: what trains; unless it is "cpu", the cluster's GPUs are shared out.
        on_epoch: called after each epoch of what this process evaluates itself.

    Raises:
        ValueError: if `n` is not positive, Ray is not installed, or the workers do not start.
    """
    if n is not None and n < 1:
        raise ValueError(f"`workers` must be at least 1; got {n}.")
    if address is None and (n is None or n == 1):
        yield OneProcess(task, on_epoch)
        return
    with _cluster(task, n or 1, address) as ray:
        cpus = int(ray.cluster_resources().get("CPU", 1))
        if address is None:
            size, each = n or 1, 1
            threads = max(1, _cores() // size)
        else:
            size = n or cpus
            threads = each = max(1, cpus // size)
        gpus = 0.0 if device == "cpu" else ray.cluster_resources().get("GPU", 0.0)
        yield RayWorkers(task, size, threads=threads, cpus=each, gpus=min(1.0, gpus / size))


@contextlib.contextmanager
def _cluster(task: Task, n: int, address: str | None) -> Iterator[Any]:
    # No word to anyone: not to Ray's makers, not on a dashboard, not in the terminal.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "`workers` and `cluster` need Ray: pip install 'netwright[cluster]'."
        ) from error
    if ray.is_initialized():  # the caller's own cluster
        yield ray
        return
    scratch = None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        scratch = tempfile.mkdtemp(prefix="nw-ray-")
        local = {"num_cpus": n, "include_dashboard": False, "_temp_dir": scratch}
        quiet |= local | {"object_store_memory": _STORE + 2 * _bytes(task)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, on what later versions will do
            try:
                _knock(address)
                ray.init(address, **quiet)
            except ConnectionError as error:
                raise ValueError(
                    f"No Ray cluster answers at {address!r} ({error}). Start one with "
                    f"`ray start --head`, and give its address."
                ) from error
        yield ray
    finally:
        ray.shutdown()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)  # processes may still be closing logs


def _knock(address: str | None) -> None:
    """Find out in seconds whether anything answers: Ray itself tries for minutes."""
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f'`cluster` must be "auto" or read host:port; got {address!r}.')
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _without_test(task: Task) -> Task:
    none = task.train.y[:0]
    return dataclasses.replace(task, test=SealedSplit(TensorSplit(none, none, none)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _bytes(task: Task) -> int:
    splits = (task.train, task.validation, task.calibration)
    tensors = [getattr(split, "x", None) for split in splits]
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))
