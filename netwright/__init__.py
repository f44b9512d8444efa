"""Build a neural network for your data against requirements, with the evidence.

>>> import netwright as nw
>>> task = nw.load("digits")
>>> len(task.train), task.schema.target.kind
(1078, 'class')

`nw.load` turns data into a `Task`, `nw.build` turns a task and requirements into a `Run`,
`nw.audit` questions a network, `nw.Run.open` reads a run's folder again.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netwright._audit import audit
    from netwright._build import build
    from netwright.data import Task, load
    from netwright.finding import Finding
    from netwright.requirement import Requirement
    from netwright.run import Run

__version__ = "0.1.0"
__all__ = ["Finding", "Requirement", "Run", "Task", "audit", "build", "load"]

# Names are resolved on first use: `import netwright` costs milliseconds, and no torch.
_HOMES = {
    "Finding": "netwright.finding",
    "Requirement": "netwright.requirement",
    "Run": "netwright.run",
    "Task": "netwright.data",
    "audit": "netwright._audit",
    "build": "netwright._build",
    "load": "netwright.data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netwright' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
