"""`netwright serve` as a process of its own: started, asked, killed."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Server", "ask_until_it_dies", "refusal", "started"]

_PATIENCE = 120.0  # seconds for a server to start, on a busy machine


class Server:
    """A server on this machine.

    Attributes:
        port: where it listens.
        process: that serves.
    """

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        """Keep hold of a process.

        Args:
            process: that serves.
            port: where it listens.
        """
        self.process = process
        self.port = port

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask it something.

        Args:
            method: of HTTP.
            path: the address.
            body: sent as JSON, unless it is None.

        Returns:
            The status, and the answer's JSON.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextlib.contextmanager
def started(place: Path, database: Path, *, data: str) -> Iterator[Server]:
    """Start a server on a free port, and end it at the end.

    Args:
        place: a run's folder, or an ONNX file.
        database: of the log.
        data: the training data, or "none".

    Raises:
        RuntimeError: if it does not start.
    """
    process = _start(place, str(database), data)
    try:
        yield _wait(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def refusal(place: Path) -> str:
    """Start a server that may well refuse to, and end it.

    Args:
        place: a run's folder, or an ONNX file, damaged.

    Returns:
        "refused" if it ended with exit code 2 and one message, "serves", or what went wrong.
    """
    process = _start(place, "none", "none", errors=subprocess.STDOUT)
    assert process.stdout is not None
    killer = threading.Timer(_PATIENCE, process.kill)
    killer.start()
    said = ""
    for line in process.stdout:
        said += line
        if " at http://127.0.0.1:" in line:
            process.kill()
    code = process.wait()
    killer.cancel()
    process.stdout.close()
    if " at http://127.0.0.1:" in said:
        return "serves"
    is_clear = code == 2 and said.startswith("Error: ") and "Traceback" not in said
    return "refused" if is_clear else f"exit code {code}: {said[-200:]}"


def _start(
    place: Path, database: str, data: str, errors: int = subprocess.DEVNULL
) -> subprocess.Popen:
    command = [sys.executable, "-m", "netwright", "serve", str(place), "--port", "0"]
    return subprocess.Popen(
        [*command, "--log", database, "--data", data],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )


def _wait(process: subprocess.Popen) -> Server:
    assert process.stdout is not None
    port = None
    for line in process.stdout:
        if " at http://127.0.0.1:" in line:
            port = int(line.strip().rpartition(":")[2])
            break
    until = time.monotonic() + _PATIENCE
    while port is not None and time.monotonic() < until and process.poll() is None:
        server = Server(process, port)
        try:
            if server.ask("GET", "/ready")[0] == 200:
                return server
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    raise RuntimeError("The server did not start. Is the extra `serve` installed?")


def ask_until_it_dies(port: int, body: str, told: set[str], lock: threading.Lock) -> None:
    """Ask for predictions as fast as they come, and keep the names of those that came.

    Args:
        port: where the server listens.
        body: of the request, JSON.
        told: gets the identifiers of the answers.
        lock: of `told`.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        while True:
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
            if answer.status == 200:
                with lock:
                    told.update(row["id"] for row in content["predictions"])
    except (OSError, http.client.HTTPException, ValueError):
        return
    finally:
        connection.close()
