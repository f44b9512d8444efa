"""From checked rows to logged answers: what every way of asking shares."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.artefact import ArtefactError
from netwright.artefact._raw import input_names
from netwright.serve._batching import Batcher
from netwright.serve._drift import ANSWER, ColumnDrift, Window, summarise
from netwright.serve._log import Entry, Log, LogError
from netwright.serve._metrics import Metrics
from netwright.serve._model import ServedModel
from netwright.serve._problems import Problem, RequestError
from netwright.serve._radius import RadiusFinder
from netwright.serve._reference import Reference
from netwright.serve._rows import Rows, join

__all__ = ["Answered", "Engine"]

_WINDOW = 1000  # last rows that drift is measured on
_MOST_SLOW = 8  # attacks, and searches for examples, that may wait
_SHORT = 0.005  # seconds of a full batch, below which the event loop runs it itself
_TIDY = 5.0  # seconds between two tidyings of the log

Answered = list[dict[str, Any]]


class Engine:
    """A model with its queue, its log and what watches over it.

    Attributes:
        model: what answers.
        log: where answers are written down; None if they are not.
        metrics: counts and times.
        window: the last rows.
        reference: the training rows; None if they are not at hand.
        radius: attacks and proves.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        log: Log | None,
        reference: Reference | None,
        batch_rows: int = 64,
        batch_wait: float = 0.0,
        queue_rows: int = 1024,
        time_limit: float = 10.0,
        keep_inputs: bool = False,
    ) -> None:
        """Take the parts together; `start` begins.

        Args:
            model: what answers.
            log: where answers are written down; None for nowhere.
            reference: the training rows, if they are at hand.
            batch_rows: most rows of a batch.
            batch_wait: seconds for which a batch waits for more rows.
            queue_rows: rows that may wait before requests are turned away.
            time_limit: seconds after which a request is given up.
            keep_inputs: write the rows themselves to the log too; not pictures.

        Raises:
            LogError: if the log cannot be read.
        """
        self.model, self.log, self.reference = model, log, reference
        self.metrics, self.window = Metrics(), Window(_WINDOW)
        self.radius = RadiusFinder(model)
        self.time_limit = time_limit
        self._keep_inputs = keep_inputs
        self._tidying: asyncio.Task | None = None
        near = log is None or log.is_local
        self.batches = Batcher(
            self._answer, most_rows=batch_rows, wait=batch_wait, most_waiting=queue_rows,
            time_limit=time_limit, inline=near and self._batch_seconds(batch_rows) < _SHORT,
        )  # fmt: skip
        # Examples do not wait for attacks, nor predictions for either.
        self.slow, self.examples = (
            Batcher(
                lambda jobs: [job() for job in jobs], most_rows=1, wait=0.0,
                most_waiting=_MOST_SLOW, time_limit=2 * time_limit + 5, name=name,
            )
            for name in ("attacks", "examples")
        )  # fmt: skip
        self.metrics.set(
            "netwright_model_info", 1, model=model.name, version=model.version, kind=model.outputs
        )
        if log is not None:
            self.window.add(log.latest(model.version, _WINDOW))

    def start(self) -> None:
        """Begin to answer; call it inside the running event loop."""
        self.batches.start()
        self.slow.start()
        self.examples.start()
        if self.log is not None:
            self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def stop(self) -> None:
        """Finish what runs, and close the log."""
        await self.batches.stop()
        await self.slow.stop()
        await self.examples.stop()
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        if self.log is not None:
            self.log.close()

    @property
    def is_ready(self) -> bool:
        """Whether requests are answered."""
        return self.batches.is_running and self.slow.is_running

    async def predict(self, rows: Rows) -> Answered:
        """Answer rows, and write the answers down.

        Args:
            rows: checked against the schema.

        Raises:
            RequestError: 422 if the model has no answer to a row, 429 if too many wait, 503 if the
                time is up or the log cannot be written.
        """
        try:
            return await self.batches.submit(rows, rows.n)
        except RequestError as error:
            if error.status == 429:
                self.metrics.add("netwright_refused_total")
            raise

    async def attack(self, work: Callable[[], Any]) -> Any:
        """Attack or prove, which takes seconds, one at a time, beside the predictions.

        Args:
            work: what to do.

        Raises:
            RequestError: 429 if too many wait, 503 if the time is up.
        """
        return await self.slow.submit(work, 1)

    async def look_up(self, work: Callable[[], Any]) -> Any:
        """Look among the training rows, one at a time, beside the predictions.

        Args:
            work: what to do.

        Raises:
            RequestError: 429 if too many wait, 503 if the time is up.
        """
        return await self.examples.submit(work, 1)

    def drift(self) -> tuple[ColumnDrift, ...]:
        """Measure how far the last rows have moved from the training rows."""
        if self.reference is None:
            return ()
        return self.reference.profile.compare(self.window.values())

    async def metrics_text(self) -> str:
        """Write down all counts and times."""
        for column in await asyncio.to_thread(self.drift):
            if column.state == "too few rows":
                continue
            self.metrics.set("netwright_drift_psi", column.psi, column=column.name)
        self.metrics.set("netwright_queue_rows", self.batches.waiting)
        return self.metrics.text()

    async def _tidy(self) -> None:
        while self.log is not None:
            await asyncio.sleep(_TIDY)
            with contextlib.suppress(LogError):  # whoever writes next is told
                await asyncio.to_thread(self.log.tidy)

    def _batch_seconds(self, rows: int) -> float:
        """Time a full batch of empty rows, the second time; nothing is logged."""
        inputs = self.model.schema.input
        if inputs.kind == "image":
            feed = {"image": np.zeros((rows, *inputs.shape), np.uint8)}
        elif inputs.kind == "sequence":
            feed = {"sequence": np.zeros((rows, *inputs.shape), np.float32)}
        elif inputs.kind == "text":
            feed = {"text": np.array(["a " * inputs.shape[0]] * rows, object)}
        else:
            kinds = zip(input_names(self.model.schema), inputs.columns, strict=True)
            feed = {
                name: np.array([""] * rows, object)
                if column.kind == "category"
                else np.full(rows, column.mean, np.float32)
                for name, column in kinds
            }
        for _ in range(2):
            began = time.process_time()
            self.model.answer(feed)
            summarise(feed, self.model.schema)
        return time.process_time() - began

    def _answer(self, jobs: Sequence[Rows]) -> list[Answered | RequestError]:
        try:
            outputs = self.model.answer(feed := join(jobs))
        except ArtefactError as error:
            if len(jobs) > 1:  # one of them spoils the batch
                return [self._answer([job])[0] for job in jobs]
            return [RequestError(422, "The model cannot take these rows.", [_shorten(error)])]
        summary = summarise(feed, self.model.schema)
        now = time.time()
        found: list[Answered | RequestError] = []
        entries: list[Entry] = []
        start = 0
        for job in jobs:
            part = outputs[start : start + job.n]
            if not np.isfinite(part).all():
                found.append(_not_finite(part))
            else:
                answered = [self._describe(row) for row in part]
                for i, (answer, notes) in enumerate(zip(answered, job.notes, strict=True)):
                    answer["notes"] = list(notes)
                    row = {name: values[start + i] for name, values in summary.items()}
                    entries.append(self._entry(answer, row, job.shown[i], now))
                found.append(answered)
            start += job.n
        if self.log is not None:
            try:
                self.log.write(entries)
            except LogError as error:
                return [RequestError(503, str(error)[:300], retry_after=5)] * len(jobs)
        self.window.add([entry.summary for entry in entries])
        self._count(entries, start)
        return found

    def _describe(self, row: np.ndarray) -> dict[str, Any]:
        target = self.model.schema.target
        numbers = [round(v, 7) for v in row.tolist()] if target.kind in ("class", "labels") else []
        answer: dict[str, Any] = {"id": uuid.uuid4().hex}
        if target.kind == "class":
            best = int(row.argmax())
            answer |= {"label": target.classes[best], "probability": numbers[best]}
            answer["probabilities"] = numbers
        elif target.kind == "labels":
            chosen = [n for n, v in zip(target.classes, numbers, strict=True) if v >= 0.5]
            answer |= {"labels": chosen, "probabilities": numbers}
        else:
            answer["values"] = row.tolist()
        # Sets and explanations come later; whoever reads answers can count on the fields.
        return answer | {"prediction_set": None, "explanation": None}

    def _entry(self, answer: dict[str, Any], row: dict[str, Any], sent: Any, now: float) -> Entry:
        kind = self.model.schema.target.kind
        if kind == "class":
            said = row[ANSWER] = answer["label"]
        elif kind == "labels":
            said = json.dumps(answer["labels"], ensure_ascii=False)
        else:
            said = json.dumps(answer["values"])
            if kind == "value":
                row[ANSWER] = answer["values"][0]
        return Entry(
            id=answer["id"],
            made=now,
            model=self.model.version,
            answer=said,
            confidence=answer.get("probability"),
            summary=row,
            sent=sent if self._keep_inputs else None,
        )

    def _count(self, entries: Sequence[Entry], rows: int) -> None:
        self.metrics.observe("netwright_batch_rows", rows)
        self.metrics.add("netwright_rows_total", len(entries))
        if self.model.schema.target.kind == "class":
            for entry in entries:
                self.metrics.add("netwright_predictions_total", label=entry.answer)


def _shorten(error: ArtefactError) -> Problem:
    return Problem("rows", str(error).replace(str(Path.cwd()), "")[:200])


def _not_finite(part: np.ndarray) -> RequestError:
    bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
    return RequestError(
        422,
        "The model has no answer to some of the rows.",
        [
            Problem(f"row {i}", "the answer is no finite number; are its values sane?")
            for i in bad[:9]
        ],
    )
