"""Serve a model over HTTP until the process is told to stop."""

import gc
import socket
from collections.abc import Callable
from pathlib import Path

from netwright.data import DataError
from netwright.serve._app import create_app
from netwright.serve._engine import Engine
from netwright.serve._guard import LOOPBACK
from netwright.serve._log import Log, database_address
from netwright.serve._model import ServedModel, open_model
from netwright.serve._reference import Reference, read_reference

__all__ = ["serve"]


def serve(
    place: Path | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    data: str | None = None,
    log: str | None = None,
    keep_inputs: bool = False,
    batch_rows: int = 64,
    batch_wait: float = 0.0,
    queue_rows: int = 1024,
    most_bytes: int = 8_000_000,
    time_limit: float = 10.0,
    tell: Callable[[str], None],
) -> None:
    """Serve a run, or an ONNX file that Netwright wrote; returns when the process is told to stop.

    Args:
        place: a run's folder, or the file.
        host: address to listen on; others than 127.0.0.1 let other machines ask.
        port: to listen on; 0 takes a free one.
        token: that requests must bear; None lets everybody who reaches the address ask.
        data: what the run was built on, for examples and drift; None takes what the run names,
            "none" goes without.
        log: SQLAlchemy address, or path of an SQLite file; None for `serve.db` in the run's folder,
            "none" for no log.
        keep_inputs: write rows and texts to the log too.
        batch_rows: most rows of a batch.
        batch_wait: seconds for which a batch waits for more rows.
        queue_rows: rows that may wait before requests are turned away.
        most_bytes: of a request's body.
        time_limit: seconds after which a request is given up.
        tell: is told, in a line each, what a person at the terminal must know.

    Raises:
        ArtefactError: if the file cannot be served.
        DataError: if `data` is named and cannot be read.
        LogError: if the log cannot be opened.
        ValueError: if an argument cannot be used, or `place` holds no run.
    """
    import uvicorn

    if token is not None and not token:
        raise ValueError("`token` must not be empty; leave it out to let everybody ask.")
    model = open_model(place)
    reference, note, why = _reference(model, data)
    if note:
        tell(f"{note} {why}".strip())
    kept = None if log == "none" else Log(database_address(log, model.path.parent))
    engine = Engine(
        model, log=kept, reference=reference, batch_rows=batch_rows, batch_wait=batch_wait,
        queue_rows=queue_rows, time_limit=time_limit, keep_inputs=keep_inputs,
    )  # fmt: skip
    is_local = host in LOOPBACK
    app = create_app(
        engine, token=token, hosts=LOOPBACK if is_local else None, most_bytes=most_bytes,
        notes=(note,) if note else (),
    )  # fmt: skip
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    tell(f"Serving {model.name} ({model.version}) at http://{shown}:{listening.getsockname()[1]}")
    if kept is not None:
        tell(f"Answers are logged in {kept.shown}")
    if not is_local and token is None:
        tell("Anyone who reaches this address may ask. `--token` lets only those in who know it.")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=10,
        timeout_graceful_shutdown=10, lifespan="on", ws="none",
    )  # fmt: skip
    # What the libraries have made stays: looking through it for garbage takes a third of a second.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends what it has at once (TCP_NODELAY).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(
            f"Port {port} of {host} cannot be had: {error.strerror}. Choose another with `--port`."
        ) from error
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening


def _reference(model: ServedModel, data: str | None) -> tuple[Reference | None, str, str]:
    """Read the training rows; else say so, to those who ask, and why, to those who serve."""
    if data == "none":
        return None, "No examples are shown and no drift is measured: no training data.", ""
    if data is not None:
        return read_reference(model, data), "", ""
    missing = "No examples are shown and no drift is measured: the training data are not at hand."
    if model.run is None:
        return None, missing, "Name them with `--data`."
    try:
        return read_reference(model, model.run.job["source"]), "", ""
    except (DataError, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        return None, missing, f"{error} Name them with `--data`."
