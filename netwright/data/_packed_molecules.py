"""Readers of the named sets of molecules: chains of characters (SMILES), and what was measured."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv as pa_csv

from netwright.data._gathered import Gathered, plain

__all__ = ["bbbp", "clintox", "esol"]

_TEXT = "smiles"


def _csv(path: Path, columns: tuple[str, ...]) -> pa.Table:
    return pa_csv.read_csv(path).select([_TEXT, *columns])


def bbbp(path: Path) -> Gathered:
    """Read molecules, and whether they pass the barrier between blood and brain.

    Args:
        path: the packed file.
    """
    target = "BBBP"
    classes = {target: ("stays out", "passes")}
    given = {"target": (target,), "target_kind": "class", "text": (_TEXT,), "classes": classes}
    return plain("", _csv(path, (target,)), path.name, **given)


def esol(path: Path) -> Gathered:
    """Read molecules, and the decimal logarithm of how many moles dissolve in a litre of water.

    Args:
        path: the packed file.
    """
    target = "logS_measured"
    given = {"target": (target,), "target_kind": "value", "text": (_TEXT,)}
    return plain("", _csv(path, (target,)), path.name, **given)


def clintox(path: Path) -> Gathered:
    """Read drugs: approved, and failed in clinical trials for being toxic.

    Args:
        path: the packed file.
    """
    target = ("FDA_APPROVED", "CT_TOX")
    given = {"target": target, "target_kind": "labels", "text": (_TEXT,)}
    return plain("", _csv(path, target), path.name, **given)
