"""What was answered, and what turned out to be true: a table each, in any SQL database.

A row is committed before its answer is sent, so a process that is killed loses none that anybody
was told of. SQLite keeps a write-ahead log and does not wait for the disk: a power cut may lose the
last rows, a kill cannot.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.finding import Measurement
from netwright.measure import proportion

__all__ = ["Entry", "Log", "LogError", "database_address"]


class LogError(RuntimeError):
    """The database cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered row.

    Attributes:
        id: of the answer, as the client was told it.
        made: seconds since 1970.
        model: version of the model.
        answer: the predicted class; for labels and values, JSON.
        confidence: probability of the predicted class; None for labels and values.
        summary: what drift is measured on, by name.
        sent: the row as JSON holds it; None unless inputs are kept.
    """

    id: str
    made: float
    model: str
    answer: str
    confidence: float | None
    summary: Mapping[str, Any]
    sent: Any = None


def database_address(given: str | None, folder: Path) -> str:
    """Return the SQLAlchemy address of the log.

    Args:
        given: an address, or the path of an SQLite file; None for `serve.db` in `folder`.
        folder: of the run.
    """
    if given is None:
        return f"sqlite:///{(folder / 'serve.db').resolve()}"
    return given if "://" in given else f"sqlite:///{Path(given).resolve()}"


class Log:
    """The log of one server. Its methods may be called from several threads."""

    def __init__(self, address: str) -> None:
        """Open the database, and make the tables that are missing.

        Args:
            address: as SQLAlchemy writes it, for example "postgresql+psycopg://user@host/name".

        Raises:
            LogError: if it cannot be opened; names the database, without its password.
        """
        import sqlalchemy as sa
        from sqlalchemy import event, exc

        try:
            url = sa.make_url(address)
        except exc.ArgumentError as error:
            raise LogError(
                f"The log's address is none that SQLAlchemy reads: {error}. For example "
                f"sqlite:///serve.db or postgresql+psycopg://user@host/name."
            ) from error
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        self.shown = url.render_as_string(hide_password=True)
        meta = sa.MetaData()
        self._predictions = sa.Table(
            "predictions",
            meta,
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("id", sa.String(32), unique=True, nullable=False),
            sa.Column("made", sa.Float, nullable=False),
            sa.Column("model", sa.String(64), nullable=False, index=True),
            sa.Column("answer", sa.Text, nullable=False),
            sa.Column("confidence", sa.Float),
            sa.Column("summary", sa.Text, nullable=False),
            sa.Column("sent", sa.Text),
        )
        self._feedback = sa.Table(
            "feedback",
            meta,
            sa.Column("id", sa.String(32), primary_key=True),
            sa.Column("made", sa.Float, nullable=False),
            sa.Column("truth", sa.Text, nullable=False),
        )
        self._errors = (exc.SQLAlchemyError, sqlite3.Error)
        self._lock = threading.Lock()
        self._writer: Any = None
        is_kept = url.database not in (None, "", ":memory:")
        self._is_file = is_kept and url.get_backend_name() == "sqlite"
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
            if url.get_backend_name() == "sqlite":
                event.listen(self._engine, "connect", _tune_sqlite)
            meta.create_all(self._engine)
        except (*self._errors, ImportError) as error:
            raise LogError(f"The log {self.shown} cannot be opened: {error}") from error

    @property
    def is_local(self) -> bool:
        """Whether writing takes no network: an SQLite file."""
        return self._engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self._engine.dispose()

    def tidy(self) -> None:
        """Move what SQLite's write-ahead log holds into the database, beside the writers.

        Raises:
            LogError: if it cannot be written.
        """
        if not self.is_local:
            return
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
        except self._errors as error:
            raise LogError(f"The log {self.shown} cannot be written: {error}") from error

    def write(self, entries: Sequence[Entry]) -> None:
        """Commit rows, all or none.

        Args:
            entries: answered rows.

        Raises:
            LogError: if they cannot be written.
        """
        rows = [
            {
                "id": e.id,
                "made": e.made,
                "model": e.model,
                "answer": e.answer,
                "confidence": e.confidence,
                "summary": _compact(e.summary),
                "sent": None if e.sent is None else _compact(e.sent),
            }
            for e in entries
        ]
        if rows and self._is_file:
            self._write_file(rows)
        elif rows:
            self._execute(self._predictions.insert(), rows)

    def tell(self, identifier: str, truth: str) -> bool:
        """Write down what was true of an answered row; a second telling replaces the first.

        Args:
            identifier: of the answer.
            truth: as `Entry.answer`.

        Returns:
            False if no answer has that identifier.

        Raises:
            LogError: if it cannot be written.
        """
        import sqlalchemy as sa

        table, known = self._feedback, self._predictions.c.id == identifier
        try:
            with self._engine.begin() as connection:
                if connection.execute(sa.select(self._predictions.c.id).where(known)).first():
                    connection.execute(table.delete().where(table.c.id == identifier))
                    row = {"id": identifier, "made": time.time(), "truth": truth}
                    connection.execute(table.insert(), row)
                    return True
        except self._errors as error:
            raise LogError(f"The log {self.shown} cannot be written: {error}") from error
        return False

    def count(self) -> int:
        """Return how many answered rows the log holds, of all models.

        Raises:
            LogError: if it cannot be read.
        """
        import sqlalchemy as sa

        return self._read(sa.select(sa.func.count()).select_from(self._predictions))[0][0]

    def identifiers(self) -> set[str]:
        """Return the identifiers of all answers.

        Raises:
            LogError: if it cannot be read.
        """
        import sqlalchemy as sa

        return {row[0] for row in self._read(sa.select(self._predictions.c.id))}

    def latest(self, model: str, most: int) -> list[dict[str, Any]]:
        """Return the summaries of the last rows, oldest first.

        Args:
            model: its version.
            most: rows.

        Raises:
            LogError: if it cannot be read.
        """
        import sqlalchemy as sa

        p = self._predictions.c
        query = sa.select(p.summary).where(p.model == model).order_by(p.number.desc()).limit(most)
        return [json.loads(row[0]) for row in reversed(self._read(query))]

    def accuracy(self, model: str) -> Measurement | None:
        """Return the share of answers that came true, with its interval; None before any truth.

        Args:
            model: its version.

        Raises:
            LogError: if it cannot be read.
        """
        import sqlalchemy as sa

        p, f = self._predictions.c, self._feedback.c
        right = sa.func.sum(sa.case((p.answer == f.truth, 1), else_=0))
        query = sa.select(sa.func.count(), right).select_from(
            self._predictions.join(self._feedback, p.id == f.id)
        )
        n, successes = self._read(query.where(p.model == model))[0]
        return proportion(int(successes), n) if n else None

    def pairs(self, model: str) -> list[tuple[str, str]]:
        """Return (answer, truth) of every row of which the truth was told.

        Args:
            model: its version.

        Raises:
            LogError: if it cannot be read.
        """
        import sqlalchemy as sa

        p, f = self._predictions.c, self._feedback.c
        joined = self._predictions.join(self._feedback, p.id == f.id)
        query = sa.select(p.answer, f.truth).select_from(joined).where(p.model == model)
        return [(row[0], row[1]) for row in self._read(query)]

    def _write_file(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write to an SQLite file, past SQLAlchemy, which takes longer than the writing."""
        with self._lock:
            try:
                if self._writer is None:
                    self._writer = self._engine.raw_connection()
                try:
                    self._writer.cursor().executemany(_INSERT, rows)
                    self._writer.commit()
                except sqlite3.Error:
                    self._writer.rollback()
                    raise
            except self._errors as error:
                raise LogError(f"The log {self.shown} cannot be written: {error}") from error

    def _execute(self, statement: Any, rows: Iterable[Mapping[str, Any]]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(statement, list(rows))
        except self._errors as error:
            raise LogError(f"The log {self.shown} cannot be written: {error}") from error

    def _read(self, query: Any) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query))
        except self._errors as error:
            raise LogError(f"The log {self.shown} cannot be read: {error}") from error


_NAMES = ("id", "made", "model", "answer", "confidence", "summary", "sent")
_INSERT = (
    f"INSERT INTO predictions ({', '.join(_NAMES)}) "
    f"VALUES ({', '.join(f':{name}' for name in _NAMES)})"
)
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def _compact(value: Any) -> str:
    return _ENCODER.encode(value)


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA wal_autocheckpoint=20000")  # `tidy` does it earlier, beside the writers
    cursor.close()
