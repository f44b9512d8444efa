"""The ledger on a database server: the promises of `test_ledger`, and runs that share a server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netwright.design import Ledger
from tests.postgres import postgres  # noqa: F401

from .search_and_die import N_CANDIDATES, candidate, record

pytestmark = pytest.mark.slow  # initdb, where the disk is slow


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_what_was_told_comes_back_equal(postgres, folder):  # noqa: F811
    ledger = Ledger(folder, postgres)
    for number in (2, 0, 1):
        ledger.ask(candidate(number))
        ledger.tell(record(number))
    ledger.ask(candidate(3))
    again = Ledger(folder, postgres)
    assert again.records() == tuple(record(number) for number in range(3))
    assert again.unfinished() == (candidate(3),)
    assert again.completed(3) is None
    assert not (folder / "ledger.db").exists()


def test_runs_share_a_server_and_not_their_candidates(postgres, tmp_path):  # noqa: F811
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Ledger(tmp_path / name, postgres).ask(candidate(0))
    Ledger(tmp_path / "one", postgres).tell(record(0))
    assert Ledger(tmp_path / "one", postgres).records() == (record(0),)
    assert Ledger(tmp_path / "two", postgres).records() == ()


def test_a_folder_made_again_begins_a_new_search(postgres, folder):  # noqa: F811
    ledger = Ledger(folder, postgres)
    ledger.ask(candidate(0))
    ledger.tell(record(0))
    (folder / "study.json").unlink()
    assert Ledger(folder, postgres).records() == ()


def test_a_copy_is_kept_for_the_report(postgres, folder):  # noqa: F811
    ledger = Ledger(folder, postgres)
    for number in range(2):
        ledger.ask(candidate(number))
    ledger.tell(record(0))
    with pytest.raises(ValueError, match=r"lies in postgresql.*127\.0\.0\.1.*`--ledger`"):
        Ledger(folder)
    ledger.keep(folder)
    assert Ledger(folder).records() == (record(0),)
    ledger.tell(record(1))
    ledger.keep(folder)
    assert Ledger(folder).records() == (record(0), record(1))


def test_killed_while_it_searches_it_loses_nothing(postgres, folder):  # noqa: F811
    code = (
        "import sys; from pathlib import Path; import netwright.design as d\n"
        "from tests.design import search_and_die as s\n"
        "s.Ledger = lambda folder: d.Ledger(folder, sys.argv[2])\n"
        "s.search(Path(sys.argv[1]), pause=0.3)\n"
    )
    for told_by_then in (0, 2):  # kill it once at the start, and once further on
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder), postgres], cwd=Path(__file__).parents[2]
        )
        log = folder / "told.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if log.exists() and len(log.read_text().split()) >= told_by_then:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = {r.candidate.number: r for r in Ledger(folder, postgres).records()}
        told = [int(line) for line in log.read_text().split()]
        assert set(told) <= set(found)
        assert all(found[number] == record(number) for number in found)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), postgres], cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0
    records = Ledger(folder, postgres).records()
    assert records == tuple(record(number) for number in range(N_CANDIDATES))


def test_a_server_that_is_not_there_is_an_error_without_the_password(folder):
    with pytest.raises(ValueError, match="Check that the server runs") as caught:
        Ledger(folder, "postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    assert "me:***@127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize(
    "url, message",
    [("ledger.db", "`url` must be the SQLAlchemy address"), ("oracle://x/y", "pip install")],
)
def test_an_address_that_cannot_be_used(folder, url, message):
    with pytest.raises(ValueError, match=message):
        Ledger(folder, url)
