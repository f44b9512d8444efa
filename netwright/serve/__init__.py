"""Let others use a run: over HTTP, as files for other runtimes, as a card that says what it is.

Which one? `serve` is `netwright serve`: a run behind HTTP until the process ends. `create_app`
gives the ASGI application, for a server of your own; its `Engine` takes an `open_model`, a `Log`
and, for examples and drift, the training rows (`read_reference`).

`export` is `netwright export`: `to_python` and `to_c` write a small network as source that needs
nothing of this, `model_card` and `bill_of_materials` say what a model is and what it is made of.
"""

from netwright.serve._app import create_app
from netwright.serve._card import model_card
from netwright.serve._engine import Engine
from netwright.serve._export import export
from netwright.serve._log import Log, LogError
from netwright.serve._model import ServedModel, open_model
from netwright.serve._problems import Problem, RequestError
from netwright.serve._reference import Reference, read_reference
from netwright.serve._sbom import bill_of_materials
from netwright.serve._server import serve
from netwright.serve._to_c import to_c
from netwright.serve._to_python import ExportError, to_python

__all__ = [
    "Engine",
    "ExportError",
    "Log",
    "LogError",
    "Problem",
    "Reference",
    "RequestError",
    "ServedModel",
    "bill_of_materials",
    "create_app",
    "export",
    "model_card",
    "open_model",
    "read_reference",
    "serve",
    "to_c",
    "to_python",
]
