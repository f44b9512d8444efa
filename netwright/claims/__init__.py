"""The claims of `systems.md`, one file a row: run by `netwright reproduce ID`.

A file is named after its row (`a2.py`), or after what it shows where it is one half of a row
(`optimizer_search.py`, run by `netwright reproduce optimizer-search`). It defines `ID`, `TITLE`,
`BAR` (what it must show) and `run(*, full: bool, seed: int) -> Finding`, whose judgement says
whether the bar was reached.
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
        id: the row, for example "C3", or a name such as "optimizer-search".
        title: what is shown.
        bar: the figure to reach, in words.
        run: `run(full=..., seed=...) -> Finding`.
    """

    id: str
    title: str
    bar: str
    run: Callable[..., Finding]


def claims() -> tuple[Claim, ...]:
    """List every claim, by its identifier; those with names come last."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in _files())
    found = (Claim(m.ID, m.TITLE, m.BAR, m.run) for m in modules)
    return tuple(sorted(found, key=_place))


def claim(identifier: str) -> Claim:
    """Find one claim.

    Args:
        identifier: the row, for example "C3", or a name; case does not matter.

    Raises:
        ValueError: if no file stands for that row.
    """
    known = {c.id.lower(): c for c in claims()}
    if identifier.lower() in known:
        return known[identifier.lower()]
    near = difflib.get_close_matches(identifier.lower(), known, n=1)
    hint = f" Did you mean `{known[near[0]].id}`?" if near else ""
    listed = ", ".join(c.id for c in known.values())
    raise ValueError(f"No claim is called `{identifier}`.{hint} Known: {listed}.")


def _place(claim: Claim) -> tuple[str, int]:
    is_row = claim.id[1:].isdigit()
    return (claim.id[0], int(claim.id[1:])) if is_row else (f"~{claim.id}", 0)


def _files():
    return (m for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
