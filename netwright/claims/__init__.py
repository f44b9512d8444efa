"""The claims of `systems.md`, one file a row: run by `netwright reproduce ID`.

A file is named after its row (`a2.py`) and defines `ID`, `TITLE`, `BAR` (what it must show) and
`run(*, full: bool, seed: int) -> Finding`, whose judgement says whether the bar was reached.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from netwright.finding import Finding

__all__ = ["Claim", "claim", "claims"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the systems table.

    Attributes:
        id: the row, for example "C3".
        title: what is shown.
        bar: the figure to reach, in words.
        run: `run(full=..., seed=...) -> Finding`.
    """

    id: str
    title: str
    bar: str
    run: Callable[..., Finding]


def claims() -> tuple[Claim, ...]:
    """List every claim, by its identifier."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in _files())
    found = (Claim(m.ID, m.TITLE, m.BAR, m.run) for m in modules)
    return tuple(sorted(found, key=lambda c: (c.id[0], int(c.id[1:]))))


def claim(identifier: str) -> Claim:
    """Find one claim.

    Args:
        identifier: the row, for example "C3"; case does not matter.

    Raises:
        ValueError: if no file stands for that row.
    """
    known = {c.id: c for c in claims()}
    if identifier.upper() in known:
        return known[identifier.upper()]
    near = difflib.get_close_matches(identifier.upper(), known, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise ValueError(f"No claim is called `{identifier}`.{hint} Known: {', '.join(known)}.")


def _files():
    return (m for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
