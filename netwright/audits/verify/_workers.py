"""Call a function on many arguments in other processes, so that none can take the others down.

A process that dies (killed for memory, say) loses the one call it was busy with, and is replaced;
one that overstays a call's time limit is ended. Leaving the loop over the results ends them all.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ["Lost", "call_all"]

_CARRIED = (ValueError, OSError, RuntimeError, MemoryError)


@dataclass(frozen=True, slots=True)
class Lost:
    """A call without a result.

    Attributes:
        reason: what became of its process.
        late: whether it was ended because its time was up.
    """

    reason: str
    late: bool


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    place: int = -1
    ends: float = float("inf")

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def call_all(
    function: Callable[[Any], Any],
    arguments: Sequence[Any],
    *,
    workers: int,
    limits: Sequence[float] | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """Call a function once for each argument.

    Args:
        function: importable by name, as are its arguments and results.
        arguments: one a call.
        workers: processes at a time.
        limits: seconds after which a call is ended, from its own start; None for no limit.

    Yields:
        The place of an argument with what the function returned for it, or a `Lost`; as they come.

    Raises:
        Exception: what the function raises is raised here.
    """
    waiting = deque(range(len(arguments)))
    busy: list[_Worker] = []
    try:
        for _ in range(min(workers, len(waiting))):
            busy.append(_start(function))
        for worker in list(busy):
            _hand(worker, waiting, busy, arguments, limits)
        while busy:
            nearest = min(worker.ends for worker in busy)
            pause = None if nearest == float("inf") else max(0.0, nearest - time.monotonic())
            ready = wait([worker.pipe for worker in busy], timeout=pause)
            for worker in list(busy):
                made: Any = None
                if worker.pipe in ready:
                    made = _receive(worker)
                elif time.monotonic() >= worker.ends:
                    made = Lost("The process was ended when its time was up.", late=True)
                else:
                    continue
                place = worker.place
                if isinstance(made, Lost):
                    busy.remove(worker)
                    worker.stop()
                    if waiting:
                        worker = _start(function)
                        busy.append(worker)
                        _hand(worker, waiting, busy, arguments, limits)
                else:
                    _hand(worker, waiting, busy, arguments, limits)
                    if isinstance(made[0], BaseException):
                        raise made[0]
                    made = made[1]
                yield place, made
    finally:
        for worker in busy:
            worker.stop()


def _start(function: Callable[[Any], Any]) -> _Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(function, there), daemon=True)
    # A child inherits what is blocked: Ctrl-C must not meet it while it still imports.
    blocks = getattr(signal, "pthread_sigmask", None)  # not on Windows
    before = blocks(signal.SIG_BLOCK, {signal.SIGINT}) if blocks else None
    try:
        process.start()
    finally:
        if blocks:
            blocks(signal.SIG_SETMASK, before)
    there.close()
    return _Worker(process, here)


def _hand(
    worker: _Worker,
    waiting: deque[int],
    busy: list[_Worker],
    arguments: Sequence[Any],
    limits: Sequence[float] | None,
) -> None:
    """Give a worker the next call, or let it go."""
    if not waiting:
        busy.remove(worker)
        worker.stop()
        return
    worker.place = waiting.popleft()
    worker.ends = float("inf") if limits is None else time.monotonic() + limits[worker.place]
    try:
        worker.pipe.send(arguments[worker.place])
    except BrokenPipeError:
        pass  # it died before; `_receive` will say so


def _receive(worker: _Worker) -> Any:
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join(timeout=5)
        code = worker.process.exitcode
        return Lost(f"The process ended with code {code}; is there enough memory?", late=False)


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    while True:
        try:
            argument = pipe.recv()
        except EOFError:
            return
        try:
            made = None, function(argument)
        except _CARRIED as error:
            made = error, None
        pipe.send(made)
