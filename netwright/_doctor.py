"""Look at the installation: versions, devices, data, and what to do about gaps."""

import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Check", "examine"]

_CORE = ("torch", "numpy", "onnx", "onnxscript", "onnxruntime", "lightning-fabric", "optuna")
_EXTRAS = {
    "datasets": "data",
    "psycopg": "database",
    "ray": "cluster",
    "fastapi": "serve",
    "tensorboard": "dev",
    "lightgbm": "bench",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's list.

    Attributes:
        part: what was looked at.
        state: "ok"; "missing" (an optional part is not there); "wrong" (Netwright cannot work).
        found: version, device or path.
        advice: what to do; empty when nothing is to be done.
    """

    part: str
    state: Literal["ok", "missing", "wrong"]
    found: str
    advice: str = ""


def examine() -> tuple[Check, ...]:
    """Look at Python, the core parts, devices, extras and the data folder."""
    return (_python(), *map(_core, _CORE), _device(), *_extras(), _data())


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", found)
    return Check("Python", "wrong", found, "Use Python 3.11, 3.12 or 3.13.")


def _core(name: str) -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "wrong", "not installed", "pip install -c constraints.txt -e .")


def _device() -> Check:
    import torch

    threads = f"{torch.get_num_threads()} CPU threads"
    if torch.cuda.is_available():
        return Check("device", "ok", f"{torch.cuda.get_device_name(0)}, {threads}")
    if torch.backends.mps.is_available():
        return Check("device", "ok", f"Apple GPU (mps), {threads}")
    return Check("device", "ok", f"{threads}, no GPU")


def _extras():
    for name, extra in _EXTRAS.items():
        if importlib.util.find_spec(name) is None:
            advice = f"Optional: pip install -c constraints.txt -e '.[{extra}]'"
            yield Check(name, "missing", "not installed", advice)
        else:
            yield Check(name, "ok", importlib.metadata.version(name))


def _data() -> Check:
    folder = os.environ.get("NETWRIGHT_DATA")
    if folder and Path(folder).is_dir():
        return Check("NETWRIGHT_DATA", "ok", folder)
    if folder:
        return Check("NETWRIGHT_DATA", "wrong", f"{folder} is no folder", "Correct or unset it.")
    advice = (
        "Optional: a folder of named data sets (docs/data.md). digits, iris, wine, ... need none."
    )
    return Check("NETWRIGHT_DATA", "missing", "not set", advice)
