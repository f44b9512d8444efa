"""Tests. While they run, functions of the package check types and shapes that they are given."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_CONF = BeartypeConf(is_pep484_tower=True)
_MOST = 8  # times that a function which another one makes anew at each call gets its checks
_made: Counter[tuple[str, str]] = Counter()


def checked(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Let beartype check a function's arguments and result.

    A function inside a function would be given its checks anew whenever the outer one is called,
    which took more than half the time of some tests; it gets them the first few times.

    Args:
        function: of the package, or a class.
        args: not looked at.
        kwargs: not looked at.
    """
    name = getattr(function, "__qualname__", "")
    if "<locals>" in name:
        _made[function.__module__, name] += 1
        if _made[function.__module__, name] > _MOST:
            return function
    return beartype(conf=_CONF)(function)
