"""Spaces: which designs a search strategy may propose.

Which one? `tiny_cell_space` is small enough to be trained one and all, and is what strategies are
compared on.
"""

from netwright.design.spaces._operations import (
    IMAGE_OPERATIONS,
    NONE,
    ROW_OPERATIONS,
    Operation,
    operation,
    usable,
)
from netwright.design.spaces._space import Code, Decision, Space, count, require_code
from netwright.design.spaces._tiny_cell import TinyCellSpace, tiny_cell_space

__all__ = [
    "IMAGE_OPERATIONS",
    "NONE",
    "ROW_OPERATIONS",
    "Code",
    "Decision",
    "Operation",
    "Space",
    "TinyCellSpace",
    "count",
    "operation",
    "require_code",
    "tiny_cell_space",
    "usable",
]
