"""Spaces: which designs a search strategy may propose.

Which one? `macro_space` has whole networks for every kind of input and is the one to begin with.
`cell_space` has small graphs that are stacked, of convolutions over pixels, steps or words, or of
layers on rows: fewer decisions, deeper networks, and what is found for few cells can be stacked
higher. `joined` adds the training's own decisions to either. `tiny_cell_space`, for images, is
small enough to be trained one and all: strategies are compared on it.
The table of operations says what each can be used for; spaces propose those that can be trained,
exported, verified and compressed.
"""

from netwright.design.spaces._cell import CellSpace, cell_space, codes_of_cells, fold_cell
from netwright.design.spaces._macro import (
    ImageMacroSpace,
    RowMacroSpace,
    SequenceMacroSpace,
    TextMacroSpace,
    macro_space,
)
from netwright.design.spaces._operations import (
    IMAGE_OPERATIONS,
    NONE,
    ROW_OPERATIONS,
    SEQUENCE_OPERATIONS,
    Operation,
    operation,
    usable,
)
from netwright.design.spaces._recipe_space import JoinedSpace, joined, recipe_decisions
from netwright.design.spaces._space import Code, Decision, Space, count, require_code
from netwright.design.spaces._tiny_cell import TinyCellSpace, tiny_cell_space

__all__ = [
    "IMAGE_OPERATIONS",
    "NONE",
    "ROW_OPERATIONS",
    "CellSpace",
    "Code",
    "Decision",
    "ImageMacroSpace",
    "JoinedSpace",
    "Operation",
    "RowMacroSpace",
    "SEQUENCE_OPERATIONS",
    "SequenceMacroSpace",
    "Space",
    "TextMacroSpace",
    "TinyCellSpace",
    "cell_space",
    "codes_of_cells",
    "count",
    "fold_cell",
    "joined",
    "macro_space",
    "operation",
    "recipe_decisions",
    "require_code",
    "tiny_cell_space",
    "usable",
]
