"""Let others use a run: over HTTP, as files for other runtimes, as a card that says what it is.

Which one? `serve` is `netwright serve`: a run behind HTTP until the process ends. `create_app`
gives the ASGI application, for a server of your own; its `Engine` takes an `open_model`, a `Log`
and, for examples and drift, the training rows (`read_reference`).
"""

from netwright.serve._app import create_app
from netwright.serve._engine import Engine
from netwright.serve._log import Log, LogError
from netwright.serve._model import ServedModel, open_model
from netwright.serve._problems import Problem, RequestError
from netwright.serve._reference import Reference, read_reference
from netwright.serve._server import serve

__all__ = [
    "Engine",
    "Log",
    "LogError",
    "Problem",
    "Reference",
    "RequestError",
    "ServedModel",
    "create_app",
    "open_model",
    "read_reference",
    "serve",
]
