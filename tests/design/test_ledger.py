import json
import math
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import create_trial

from netwright.design import Candidate, Design, Ledger, Record
from netwright.design._ledger import _candidate_of, _candidate_to_json
from netwright.finding import Measurement

from .samples import design, exactly
from .search_and_die import N_CANDIDATES, PLACES, candidate, record, search


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder of searches that were killed, and how each try of each search ended."""
    folder = tmp_path_factory.mktemp("killed")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.design.search_and_die", str(folder)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    ends = [line.split(": ") for line in ran.stdout.splitlines()]
    assert all(how in ("killed", "ended 0") for _, how in ends), ran.stderr
    return folder, {place: [how for where, how in ends if where == place] for place in PLACES}


def told(folder):
    log = folder / "told.log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def check_consistent(folder):
    with sqlite3.connect(folder / "ledger.db") as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    connection.close()
    ledger = Ledger(folder)
    found = {r.candidate.number: r for r in ledger.records()}
    assert all(found[number] == record(number) for number in found)
    assert set(told(folder)) <= set(found)
    assert list(found) == list(range(len(found)))  # nothing is skipped, nothing stands twice
    assert [c.number for c in ledger.unfinished()] in ([], [len(found)])


@pytest.mark.parametrize("place", PLACES)
def test_kills_lose_nothing_that_was_told(killed, place):
    folder, ends = killed
    assert ends[place].count("killed") >= (1 if place == "anywhere" else PLACES[place])
    check_consistent(folder / place)
    left = Ledger(folder / place)
    if place != "anywhere":
        told_by_then = PLACES[place] if place == "after telling" else 0
        is_visible = place in ("after asking", "between ask and tell") or "telling," in place
        assert len(left.records()) == told_by_then
        assert len(left.unfinished()) == is_visible
    search(folder / place)
    assert Ledger(folder / place).records() == tuple(record(n) for n in range(N_CANDIDATES))
    assert Ledger(folder / place).unfinished() == ()


def test_what_was_told_comes_back_equal(tmp_path, ledger):
    for number in (2, 0, 1):
        ledger.ask(candidate(number))
        ledger.tell(record(number))
    again = Ledger(tmp_path)
    assert again.records() == tuple(record(number) for number in range(3))
    assert again.completed(1) == record(1)
    assert again.completed(7) is None
    found = again.completed(0).measurements
    assert list(found) == list(record(0).measurements)  # in the order in which they were told
    assert math.isinf(found["accuracy"].value)


def test_numbers_that_are_none_come_back(ledger):
    one = Candidate(0, design("a"))
    nothing = Measurement(math.nan, -math.inf, math.inf, 0, "nats", "none", unresolved="diverged")
    ledger.ask(one)
    ledger.tell(Record(one, {"log_loss": nothing}, 0.5, "diverged"))
    found = ledger.completed(0).measurements["log_loss"]
    assert math.isnan(found.value)
    assert (found.low, found.high, found.unresolved) == (-math.inf, math.inf, "diverged")


def test_a_candidate_without_measurements_is_complete_too(ledger):
    one = Candidate(0, design("a"))
    ledger.ask(one)
    ledger.tell(Record(one, {}, 0.0, "diverged"))
    assert ledger.completed(0) == Record(one, {}, 0.0, "diverged")


def test_names_of_any_kind_come_back(ledger):
    one = Candidate(0, Design("'; drop table trials; --<é日>", "x\ny", {'a"': [None, True, 1.5]}))
    ledger.ask(one)
    ledger.tell(Record(one, {'gap(accuracy, by="a,b") <= 2 %': exactly(0.01)}))
    assert ledger.completed(0).candidate == one
    assert list(ledger.completed(0).measurements) == ['gap(accuracy, by="a,b") <= 2 %']


def test_unfinished_until_told(ledger):
    ledger.ask(candidate(0))
    assert ledger.unfinished() == (candidate(0),)
    assert ledger.completed(0) is None
    assert ledger.records() == ()
    ledger.ask(candidate(0))  # again, as after a kill
    assert ledger.unfinished() == (candidate(0),)
    ledger.tell(record(0))
    assert ledger.unfinished() == ()
    assert ledger.records() == (record(0),)


def test_telling_needs_asking_once(ledger):
    with pytest.raises(ValueError, match="Candidate 3 is not being tried; `ask` writes that down"):
        ledger.tell(record(3))
    ledger.ask(candidate(3))
    ledger.tell(record(3))
    with pytest.raises(ValueError, match="Candidate 3 is not being tried"):
        ledger.tell(record(3))
    with pytest.raises(ValueError, match="Candidate 3 is complete in .*`completed` returns it"):
        ledger.ask(candidate(3))


def test_another_ledger_sees_what_is_told_meanwhile(tmp_path, ledger):
    reader = Ledger(tmp_path)
    ledger.ask(candidate(0))
    assert reader.unfinished() == (candidate(0),)
    ledger.tell(record(0))
    assert reader.records() == (record(0),)


def test_what_is_no_ledger_is_refused_and_kept(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    with pytest.raises(
        ValueError, match=r"(?s)ledger\.db cannot be read as a search ledger .* Delete"
    ):
        Ledger(tmp_path)
    assert (tmp_path / "ledger.db").read_bytes() == b"no database" * 100


def test_nothing_is_printed(tmp_path, capfd):
    ledger = Ledger(tmp_path)
    ledger.ask(candidate(0))
    ledger.tell(record(0))
    ledger.records()
    assert capfd.readouterr() == ("", "")


def test_repr_shows_the_file(tmp_path, ledger):
    assert repr(ledger) == f"Ledger({str(tmp_path / 'ledger.db')!r})"


def test_what_a_fidelity_cuts_comes_back_and_older_ledgers_cut_epochs(ledger):
    shrunk = Candidate(0, design("a"), 0.25, axis="resolution")
    ledger.ask(shrunk)
    assert ledger.unfinished() == (shrunk,)
    old = json.loads(_candidate_to_json(shrunk))
    del old["axis"]
    trial = create_trial(value=0.5, user_attrs={"candidate": json.dumps(old)})
    assert _candidate_of(trial) == Candidate(0, design("a"), 0.25)
