"""The search's memory: an Optuna study, in SQLite or on a server, that outlives any kill."""

import contextlib
import json
import math
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright._files import write_atomically
from netwright.design._design import Candidate
from netwright.design._json import design_from_json, design_to_json
from netwright.design._record import Record
from netwright.finding import Measurement

if TYPE_CHECKING:
    import optuna

__all__ = ["Ledger"]

_STUDY = "netwright"
_TOLD = ("COMPLETE", "PRUNED")


class Ledger:
    """Writes down what was asked for and what came of it, in a folder's file or on a server.

    Every call is one transaction or a few of which only the last makes a record visible, so a
    process that is killed leaves a candidate either told or unfinished. An unfinished one is asked
    for again; its older entry is then marked as failed.

    On a server each run has a study of its own; `study.json` in the folder says which. One process
    at a time may write to it.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        """Open the ledger, or make it.

        Args:
            folder: of the run; must exist.
            url: SQLAlchemy address of a database, for example
                "postgresql://user@server/searches"; None is `ledger.db` in `folder`.

        Raises:
            ValueError: if the folder's `ledger.db` is no ledger, the database cannot be used, or
                the run's ledger lies on a server and `url` does not say where.
        """
        import optuna  # 0.6 s
        from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError

        path = folder / "ledger.db"
        if url is None:
            _require_local(folder)
            name, address, self.where = _STUDY, f"sqlite:///{path}", str(path)
            way_out = "Delete it to search again from the start."
        else:
            address, self.where = _address(url)
            name = _study_name(folder, self.where)
            way_out = "Check that the server runs, and the address, user and database."
        try:
            with _silent():
                self._storage = _storage(address)
                self._study = optuna.create_study(
                    study_name=name, storage=self._storage, load_if_exists=True
                )
        except (DatabaseError, InterfaceError, ArgumentError, RuntimeError) as error:
            raise ValueError(
                f"{self.where} cannot be read as a search ledger ({error}). {way_out}"
            ) from error
        except ImportError as error:
            raise ValueError(
                f"{self.where} needs a database driver that is not installed ({error}). For "
                f"PostgreSQL: pip install 'netwright[database]'."
            ) from error

    def ask(self, candidate: Candidate) -> None:
        """Write down that a candidate is being tried.

        Args:
            candidate: as the strategy asked for it.

        Raises:
            ValueError: if the ledger holds the candidate's result already.
        """
        import optuna

        if self.completed(candidate.number) is not None:
            raise ValueError(
                f"Candidate {candidate.number} is complete in {self.where}; `completed` returns it."
            )
        with _silent():
            for trial in self._trials(candidate.number):
                if trial.state == optuna.trial.TrialState.RUNNING:  # a killed try
                    self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            trial = optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                user_attrs={"number": candidate.number, "candidate": _candidate_to_json(candidate)},
            )
            self._study.add_trial(trial)

    def tell(self, record: Record) -> None:
        """Write down what a candidate turned out to be.

        Args:
            record: of a candidate that was asked for and not told yet.

        Raises:
            ValueError: if the candidate is not being tried.
        """
        import optuna

        number = record.candidate.number
        running = [
            trial
            for trial in self._trials(number)
            if trial.state == optuna.trial.TrialState.RUNNING
        ]
        if not running:
            raise ValueError(
                f"Candidate {number} is not being tried; `ask` writes that down first."
            )
        values = [m.value for m in record.measurements.values()][:1]
        usable = bool(values) and math.isfinite(values[0])
        with _silent():
            # Attributes of a running trial can be set by its id alone.
            self._storage.set_trial_user_attr(
                running[-1]._trial_id, "record", _record_to_json(record)
            )
            self._study.tell(
                running[-1].number,
                values=values if usable else None,
                state=None if usable else optuna.trial.TrialState.PRUNED,
            )

    def completed(self, number: int) -> Record | None:
        """Return a candidate's record; None if it was never told.

        Args:
            number: of the candidate.
        """
        told = (t for t in self._trials(number) if t.state.name in _TOLD)
        return next(map(_record_of, told), None)

    def records(self) -> tuple[Record, ...]:
        """Return all records, by number of the candidate."""
        found = [_record_of(trial) for trial in self._trials() if trial.state.name in _TOLD]
        return tuple(sorted(found, key=lambda record: record.candidate.number))

    def unfinished(self) -> tuple[Candidate, ...]:
        """Return the candidates that were asked for but never told, as a kill leaves them."""
        import optuna

        running = optuna.trial.TrialState.RUNNING
        found = [_candidate_of(trial) for trial in self._trials() if trial.state == running]
        return tuple(sorted(found, key=lambda candidate: candidate.number))

    def keep(self, folder: Path) -> None:
        """Copy the ledger into `ledger.db` of a folder, where the run's report finds it.

        Args:
            folder: of the run; an older copy is replaced.
        """
        import optuna

        path = folder / "ledger.db"
        if self.where == str(path):
            return
        torn = folder / f".{path.name}.tmp"
        torn.unlink(missing_ok=True)
        with _silent():
            optuna.copy_study(
                from_study_name=self._study.study_name,
                from_storage=self._storage,
                to_storage=_storage(f"sqlite:///{torn}"),
                to_study_name=_STUDY,
            )
        torn.replace(path)

    def __repr__(self) -> str:
        return f"Ledger({self.where!r})"

    def _trials(self, number: int | None = None) -> list["optuna.trial.FrozenTrial"]:
        with _silent():
            trials = self._study.get_trials(deepcopy=False)
        return [t for t in trials if number is None or t.user_attrs["number"] == number]


def _storage(address: str) -> "optuna.storages.RDBStorage":
    import optuna
    from sqlalchemy.pool import NullPool

    # Without a pool no connection outlives a call.
    return optuna.storages.RDBStorage(address, engine_kwargs={"poolclass": NullPool})


def _address(url: str) -> tuple[str, str]:
    """Return the address with its driver named, and the address as it may be shown."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(
            f"`url` must be the SQLAlchemy address of a database, for example "
            f"postgresql://user@server/searches; got {url!r}."
        ) from error
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False), parsed.render_as_string()


def _study_name(folder: Path, where: str) -> str:
    """Name the study of this folder: a name that no other folder draws, kept in `study.json`."""
    path = folder / "study.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))["study"]
    name = f"{_STUDY}/{folder.resolve().name}/{secrets.token_hex(6)}"
    write_atomically(path, json.dumps({"study": name, "where": where}))
    return name


def _require_local(folder: Path) -> None:
    path = folder / "study.json"
    if path.exists() and not (folder / "ledger.db").exists():
        where = json.loads(path.read_text(encoding="utf-8"))["where"]
        raise ValueError(
            f"The ledger of {folder} lies in {where}; give that address to go on (`--ledger`, or "
            f"`ledger=` in Python)."
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _candidate_to_json(candidate: Candidate) -> str:
    content = {
        "number": candidate.number,
        "design": json.loads(design_to_json(candidate.design)),
        "fidelity": candidate.fidelity,
        "parent": candidate.parent,
        "axis": candidate.axis,
    }
    return json.dumps(content)


def _candidate_of(trial: "optuna.trial.FrozenTrial") -> Candidate:
    content = json.loads(trial.user_attrs["candidate"])
    design = design_from_json(json.dumps(content["design"]))
    axis = content.get("axis", "epochs")  # ledgers of before there were others have none
    return Candidate(content["number"], design, content["fidelity"], content["parent"], axis)


def _record_to_json(record: Record) -> str:
    # A measurement may be infinite or not a number: JSON as Python reads and writes it.
    content: dict[str, Any] = {
        "measurements": [[name, asdict(m)] for name, m in record.measurements.items()],
        "seconds": record.seconds,
        "status": record.status,
    }
    return json.dumps(content)


def _record_of(trial: "optuna.trial.FrozenTrial") -> Record:
    content = json.loads(trial.user_attrs["record"])
    measurements = {name: Measurement(**fields) for name, fields in content["measurements"]}
    return Record(_candidate_of(trial), measurements, content["seconds"], content["status"])
