"""The log, and the promise that whoever was told of an answer finds it there."""

import concurrent.futures
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from netwright.serve import Log, LogError
from netwright.serve._log import Entry, database_address
from tests.postgres import postgres  # noqa: F401


def entry(name, answer="3", model="m"):
    return Entry(name, time.time(), model, answer, 0.9, {"brightness": 0.5})


def test_rows_come_back(tmp_path):
    log = Log(f"sqlite:///{tmp_path / 'a.db'}")
    log.write([entry("a"), entry("b", model="other")])
    log.write([entry("c", answer="4")])
    assert log.count() == 3
    assert log.identifiers() == {"a", "b", "c"}
    assert log.latest("m", 5) == [{"brightness": 0.5}] * 2
    assert log.accuracy("m") is None
    assert log.tell("a", "3") and log.tell("c", "5") and not log.tell("z", "5")
    assert log.accuracy("m").successes == 1
    assert sorted(log.pairs("m")) == [("3", "3"), ("4", "5")]
    log.close()
    assert Log(f"sqlite:///{tmp_path / 'a.db'}").count() == 3


def test_all_or_none(tmp_path):
    log = Log(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(LogError, match="cannot be written"):
        log.write([entry("a"), entry("a")])  # an identifier twice
    assert log.count() == 0
    log.close()


def test_log_that_another_program_holds_is_told_and_written_later(tmp_path):
    log = Log(f"sqlite:///{tmp_path / 'a.db'}")
    log.write([entry("1" * 32)])
    log._writer.cursor().execute("PRAGMA busy_timeout=10")
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogError, match=r"a\.db cannot be written: .*locked"):
        log.write([entry("2" * 32)])
    other.rollback()
    other.close()
    log.write([entry("3" * 32)])
    assert log.identifiers() == {"1" * 32, "3" * 32}
    log.close()


def test_threads_share_a_log(tmp_path):
    log = Log(f"sqlite:///{tmp_path / 'a.db'}")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: log.write([entry(f"{i:032d}"), entry(f"{i:031d}x")]), range(40)))
    assert log.count() == 80
    log.close()


def test_address(tmp_path):
    assert database_address(None, tmp_path) == f"sqlite:///{tmp_path / 'serve.db'}"
    assert database_address("x.db", tmp_path).startswith("sqlite:////")
    assert database_address("postgresql://a@b/c", tmp_path) == "postgresql://a@b/c"
    with pytest.raises(LogError, match="none that SQLAlchemy reads"):
        Log("no address")
    with pytest.raises(LogError, match="cannot be opened") as caught:
        Log("postgresql://me:hidden@127.0.0.1:1/none")
    assert "hidden" not in str(caught.value)


def test_server_database(postgres):  # noqa: F811
    log = Log(postgres)
    log.write([entry("a"), entry("b", answer="4")])
    assert not log.is_local
    assert log.tell("a", "3") and log.tell("b", "3") and log.tell("b", "4")
    assert log.accuracy("m").successes == 2
    assert log.latest("m", 1) == [{"brightness": 0.5}]
    log.tidy()
    log.close()
    again = Log(postgres)
    assert again.identifiers() == {"a", "b"}
    again.close()


def start(file, database):
    command = [sys.executable, "-m", "netwright", "serve", file, "--port", "0", "--data", "none"]
    server = subprocess.Popen(
        [*command, "--log", database], stdout=subprocess.PIPE, text=True, bufsize=1,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    for line in server.stdout:
        if " at http://127.0.0.1:" in line:
            port = int(line.strip().rpartition(":")[2])
            break
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return server, port
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("the server did not start")


def ask_until_it_dies(port, body, told):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    try:
        while True:
            connection.request("POST", "/predict", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 200:
                told.extend(row["id"] for row in json.loads(content)["predictions"])
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()


@pytest.mark.slow
def test_kill_under_load_loses_no_row_that_anybody_was_told_of(digits_file, digit, tmp_path):
    database = tmp_path / "log.db"
    body = json.dumps({"images": [digit.tolist()] * 3})
    told = []
    for _ in range(2):
        server, port = start(digits_file, database)
        before = len(told)
        try:
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                clients = [pool.submit(ask_until_it_dies, port, body, told) for _ in range(6)]
                while len(told) < before + 150:  # in the midst of it
                    time.sleep(0.005)
                os.kill(server.pid, signal.SIGKILL)
                for client in clients:
                    client.result(60)
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
        log = Log(f"sqlite:///{database}")
        kept = log.identifiers()
        log.close()
        assert len(told) >= before + 150
        assert set(told) <= kept
    assert len(set(told)) == len(told)
