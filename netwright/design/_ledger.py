"""The search's memory on disk: an Optuna study in SQLite that survives a kill at any moment."""

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.design._design import Candidate
from netwright.design._json import design_from_json, design_to_json
from netwright.design._record import Record
from netwright.finding import Measurement

if TYPE_CHECKING:
    import optuna

__all__ = ["Ledger"]

_STUDY = "netwright"


class Ledger:
    """Writes down what was asked for and what came of it, in `ledger.db` of a folder.

    Every call is one transaction or a few of which only the last makes a record visible, so a
    process that is killed leaves a candidate either told or unfinished. An unfinished one is asked
    for again; its older entry is then marked as failed.
    """

    def __init__(self, folder: Path) -> None:
        """Open the ledger, or make it.

        Args:
            folder: of the run; must exist.

        Raises:
            ValueError: if the folder's `ledger.db` is no ledger.
        """
        import optuna  # 0.6 s
        from sqlalchemy.exc import DatabaseError
        from sqlalchemy.pool import NullPool

        self.path = folder / "ledger.db"
        try:
            with _silent():
                # Without a pool no connection outlives a call.
                self._storage = optuna.storages.RDBStorage(
                    f"sqlite:///{self.path}", engine_kwargs={"poolclass": NullPool}
                )
                self._study = optuna.create_study(
                    study_name=_STUDY, storage=self._storage, load_if_exists=True
                )
        except (DatabaseError, RuntimeError) as error:
            raise ValueError(
                f"{self.path} cannot be read as a search ledger ({error}). Delete it to search "
                f"again from the start."
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
                f"Candidate {candidate.number} is complete in {self.path}; `completed` returns it."
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
        found = [r for r in self.records() if r.candidate.number == number]
        return found[0] if found else None

    def records(self) -> tuple[Record, ...]:
        """Return all records, by number of the candidate."""
        import optuna

        told = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        found = [_record_of(trial) for trial in self._trials() if trial.state in told]
        return tuple(sorted(found, key=lambda record: record.candidate.number))

    def unfinished(self) -> tuple[Candidate, ...]:
        """Return the candidates that were asked for but never told, as a kill leaves them."""
        import optuna

        running = optuna.trial.TrialState.RUNNING
        found = [_candidate_of(trial) for trial in self._trials() if trial.state == running]
        return tuple(sorted(found, key=lambda candidate: candidate.number))

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def _trials(self, number: int | None = None) -> list["optuna.trial.FrozenTrial"]:
        with _silent():
            trials = self._study.get_trials(deepcopy=False)
        return [t for t in trials if number is None or t.user_attrs["number"] == number]


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
    }
    return json.dumps(content)


def _candidate_of(trial: "optuna.trial.FrozenTrial") -> Candidate:
    content = json.loads(trial.user_attrs["candidate"])
    design = design_from_json(json.dumps(content["design"]))
    return Candidate(content["number"], design, content["fidelity"], content["parent"])


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
