"""Gather the rows of many requests into batches; a bounded queue waits.

While a batch runs, later requests gather; that alone makes batches grow with the load. A wait on
top of it only helps a model whose pass costs much more than its rows. A thread runs the batches, or
the event loop itself where that is quicker than waking a thread, twice a batch, on a busy machine:
then a batch is what has come since the loop last looked.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from netwright.serve._problems import RequestError

__all__ = ["Batcher"]


@dataclass(eq=False)
class _Job:
    content: Any
    rows: int
    done: asyncio.Future = field(repr=False)


class Batcher:
    """A queue in front of one worker.

    Attributes:
        waiting: rows in the queue.
        largest: most rows of any batch so far.
        batches: how many were run.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        most_rows: int,
        wait: float,
        most_waiting: int,
        time_limit: float,
        inline: bool = False,
        name: str = "batches",
    ) -> None:
        """Plan the queue; `start` begins.

        Args:
            work: gets the contents of several jobs, and returns an answer (or an exception) for
                each.
            most_rows: of a batch; a larger job runs alone.
            wait: seconds for which a batch that is not full waits for more.
            most_waiting: rows in the queue, beyond which requests are turned away.
            time_limit: seconds after which a request is given up.
            inline: run `work` in the event loop, which answers nobody meanwhile; for milliseconds.
            name: of the thread.
        """
        self._work = work
        self._most_rows = most_rows
        self._wait = wait
        self._most_waiting = most_waiting
        self._time_limit = time_limit
        self._inline = inline
        self._at_once = inline and wait == 0
        self._is_due = self._is_open = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._task: asyncio.Task | None = None
        self._held: _Job | None = None
        self.waiting = 0
        self.largest = 0
        self.batches = 0

    def start(self) -> None:
        """Begin; call it inside the running event loop."""
        if self._at_once:
            self._is_open = True
            return
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def stop(self) -> None:
        """Finish the batch that runs, and let go of the thread."""
        self._is_open = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    @property
    def is_running(self) -> bool:
        """Whether batches are taken from the queue."""
        return self._is_open or (self._task is not None and not self._task.done())

    async def submit(self, content: Any, rows: int) -> Any:
        """Wait for the answer to a job.

        Args:
            content: handed to `work`.
            rows: that it holds.

        Raises:
            RequestError: 429 if the queue is full, 503 if the time is up, or what `work` returned.
        """
        if self.waiting and self.waiting + rows > self._most_waiting:
            raise RequestError(
                429,
                f"The queue is full: {self.waiting:,} rows wait. Try again later.",
                retry_after=1,
            )
        loop = asyncio.get_running_loop()
        job = _Job(content, rows, loop.create_future())
        self.waiting += rows
        self._queue.put_nowait(job)
        if self._is_open and not self._is_due:
            self._is_due = True
            loop.call_soon(self._run_due)  # after those whose requests have come as well
        try:
            async with asyncio.timeout(self._time_limit):
                answer = await job.done
        except TimeoutError:  # the future is cancelled now, so a job that still waits is skipped
            raise RequestError(
                503, f"No answer within {self._time_limit:g} s. Try again later.", retry_after=1
            ) from None
        if isinstance(answer, RequestError):
            raise answer
        return answer

    async def _serve(self) -> None:
        while True:
            jobs = await self._gather()
            if not jobs:
                continue
            contents = self._begin(jobs)
            if self._inline:
                running = asyncio.ensure_future(self._run_here(contents))
            else:
                loop = asyncio.get_running_loop()
                running = loop.run_in_executor(self._thread, self._work, contents)
            await asyncio.wait([running])
            error = running.exception()  # whoever waits is told; the queue lives on
            _tell(jobs, [error] * len(jobs) if error else running.result())

    async def _run_here(self, contents: Sequence[Any]) -> Sequence[Any]:
        return self._work(contents)

    def _run_due(self) -> None:
        """Run one batch in the event loop; what is left waits until others have had their turn."""
        jobs = self._take(self._held or self._queue.get_nowait())
        self._is_due = self._held is not None or not self._queue.empty()
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._run_due)
        if jobs:
            with _Told(jobs):
                _tell(jobs, self._work(self._begin(jobs)))

    def _begin(self, jobs: list[_Job]) -> list[Any]:
        self.batches += 1
        self.largest = max(self.largest, sum(job.rows for job in jobs))
        return [job.content for job in jobs]

    def _take(self, first: _Job) -> list[_Job]:
        """Take what is in the queue, as much as fits."""
        self._held = None
        jobs, rows = [first], first.rows
        while rows < self._most_rows and not self._queue.empty():
            job = self._queue.get_nowait()
            if rows + job.rows > self._most_rows:
                self._held = job
                break
            jobs.append(job)
            rows += job.rows
        self.waiting -= rows
        return [job for job in jobs if not job.done.done()]

    async def _gather(self) -> list[_Job]:
        first = self._held or await self._queue.get()
        self._held = None
        jobs, rows = [first], first.rows
        until = asyncio.get_running_loop().time() + self._wait
        while rows < self._most_rows:
            try:
                job = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                left = until - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                try:
                    job = await asyncio.wait_for(self._queue.get(), left)
                except TimeoutError:
                    break
            if rows + job.rows > self._most_rows:
                self._held = job
                break
            jobs.append(job)
            rows += job.rows
        self.waiting -= rows
        return [job for job in jobs if not job.done.done()]


class _Told:
    """Whoever waits for a batch is told what went wrong with it; the event loop lives on."""

    def __init__(self, jobs: list[_Job]) -> None:
        self._jobs = jobs

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Exception):
            _tell(self._jobs, [error] * len(self._jobs))
            return True
        return False


def _tell(jobs: Sequence[_Job], answers: Sequence[Any]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        if job.done.done():
            continue
        if isinstance(answer, BaseException) and not isinstance(answer, RequestError):
            job.done.set_exception(answer)
        else:
            job.done.set_result(answer)
