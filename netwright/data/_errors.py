"""The error that means: the data cannot be used as they are."""

import difflib
from collections.abc import Iterable

from netwright.finding import Table

__all__ = ["DataError", "nearest"]


class DataError(ValueError):
    """The data cannot be used as they are; the message says where, why, and what to do.

    Attributes:
        quarantine: the rows that were left out before the error, when bad rows are its cause.
    """

    def __init__(self, message: str, quarantine: Table | None = None) -> None:
        super().__init__(message)
        self.quarantine = quarantine


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, and list them all.

    Args:
        name: what was asked for.
        known: what there is.

    Returns:
        A sentence or two for the end of a message, starting with a blank.

    Example:
        >>> nearest("incone", ["age", "income"])
        ' Did you mean `income`? There are: age, income.'
    """
    names = [str(each) for each in known]
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"{hint} There are: {shown or 'none'}."
