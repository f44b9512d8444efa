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

__all__ = ["Server", "ask_until_it_dies", "started"]

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
    command = [sys.executable, "-m", "netwright", "serve", str(place), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--log", str(database), "--data", data],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield _wait(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


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
