"""Decide a list of problems, as the verification competition poses them, side by side."""

import csv
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from netwright.audits.verify._verify import Verdict, verify
from netwright.audits.verify._workers import Lost, call_all

__all__ = ["Instance", "read_instances", "verify_instances", "with_timeout"]

_GRACE = 60.0  # seconds beyond its own limit after which a process is ended


@dataclass(frozen=True, slots=True)
class Instance:
    """A row of `instances.csv`.

    Attributes:
        network: path of the network.
        prop: path of the property.
        timeout: seconds.
    """

    network: Path
    prop: Path
    timeout: float


def read_instances(source: Path | str) -> list[Instance]:
    """Read a list of problems: network, property and seconds a line, paths relative to the file.

    Args:
        source: a csv file without a header.

    Raises:
        ValueError: if a line has another form, or there is none.
        FileNotFoundError: if there is no such file.
    """
    path = Path(source)
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if not row:
                continue
            try:
                network, prop, seconds = (cell.strip() for cell in row)
                limit = float(seconds)
            except ValueError as error:
                raise ValueError(
                    f"{path.name}, line {number}: a line holds a network, a property and seconds; "
                    f"got {','.join(row)!r}."
                ) from error
            if not 0 < limit < float("inf"):
                raise ValueError(
                    f"{path.name}, line {number}: the limit must be positive and finite, in "
                    f"seconds; got {seconds}."
                )
            found.append(Instance(_find(path, network), _find(path, prop), limit))
    if not found:
        raise ValueError(f"{path.name} lists no problem.")
    return found


def verify_instances(
    listed: list[Instance], *, workers: int = 1
) -> Generator[tuple[int, Verdict], None, None]:
    """Decide every problem of a list.

    Args:
        listed: as `read_instances` returns it.
        workers: processes; with several, problems are decided side by side.

    Yields:
        The place of a problem in the list with its verdict, as they come; "unknown", with a note,
        where a file could not be read or a process was lost.

    Raises:
        UnsoundError: if an attack breaks what was proved; a fault of this library.
    """
    if workers == 1:
        for i, one in enumerate(listed):
            yield i, _verify_one(one)
        return
    limits = [one.timeout + _GRACE for one in listed]
    with closing(call_all(_verify_one, listed, workers=workers, limits=limits)) as calls:
        for i, made in calls:
            if isinstance(made, Lost):
                outcome = "timeout" if made.late else "unknown"
                made = Verdict(outcome, None, limits[i] if made.late else 0.0, 0, made.reason)
            yield i, made


def with_timeout(listed: list[Instance], seconds: float) -> list[Instance]:
    """Give every problem of a list the same limit.

    Args:
        listed: problems.
        seconds: for each.
    """
    return [replace(one, timeout=seconds) for one in listed]


def _verify_one(one: Instance) -> Verdict:
    try:
        return verify(one.network, one.prop, timeout=one.timeout)
    except (ValueError, FileNotFoundError) as error:
        return Verdict("unknown", None, 0.0, 0, note=str(error))


def _find(listing: Path, name: str) -> Path:
    """Take a path as given relative to the list, or the file of that name beside it."""
    given = listing.parent / name
    beside = listing.parent / Path(name).name
    return beside if not given.exists() and beside.exists() else given
