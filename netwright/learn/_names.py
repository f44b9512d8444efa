"""Find a function by the name that a recipe gives it."""

import difflib
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["resolve"]


def resolve(name: str, module: ModuleType, kind: str) -> Callable[..., Any]:
    """Return the public function of `module` that is called `name`.

    Args:
        name: as in a `Recipe`.
        module: its `__all__` lists the names that may be asked for.
        kind: what the names stand for, for the message, for example "schedule".

    Raises:
        ValueError: if `module` has no such name; the message gives the nearest and the list.
    """
    known = module.__all__
    if name in known:
        return getattr(module, name)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise ValueError(f"No {kind} is called `{name}`.{hint} Known: {', '.join(sorted(known))}.")
