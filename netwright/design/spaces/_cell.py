"""The space of cells: two small graphs, stacked to a network.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3.1 (a normal and a reduction cell, both
          decided node by node).
          Liu et al. Progressive Neural Architecture Search. ECCV 2018, arXiv:1712.00559, section
          3.1 (nodes that add; the encoding of a node).
Departs:  see `families.cells`; two inputs or nodes that change places make no other cell; beside
          images, cells may work on rows of tables, on the steps of sequences and on words.
Notation: node b = (I1, O1, I2, O2) in the order (I1, O1), (I2, O2); `n_nodes` = B.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.design.spaces._operations import Kind, operation, usable
from netwright.design.spaces._space import Code, Decision, require_code
from netwright.learn._recipe import Recipe

__all__ = ["CellSpace", "cell_space", "codes_of_cells", "fold_cell"]

_STATES = ("cell before the last", "last cell")


@dataclass(frozen=True, slots=True)
class _Stack:
    """How cells of one kind are stacked and trained unless it is said otherwise."""

    family: str
    kind: Kind
    width: int
    n_normal: int
    n_reductions: int
    recipe: Recipe


_CONVOLVED = Recipe(learning_rate=1e-2, weight_decay=0.05, batch_size=64)
_LINEAR = Recipe(learning_rate=2.5e-3, weight_decay=0.05, batch_size=64)
_STACKS = {
    "image": _Stack("cells", "image", 8, 1, 1, _CONVOLVED),
    "table": _Stack("table_cells", "row", 32, 2, 0, _LINEAR),
    "text": _Stack("text_cells", "sequence", 32, 1, 0, _CONVOLVED),
    "sequence": _Stack("sequence_cells", "sequence", 16, 1, 1, _CONVOLVED),
}


class CellSpace:
    """Normal and reduction cells of a few nodes; see `cell_space`.

    Attributes:
        decisions: for each cell and node an input, an operation, and both again; then the width.
        family: of its designs.
        kind: of what the cells work on.
        kinds: of the cells that there are: "normal", "reduction".
        n_nodes: nodes of each cell.
        operations: names to choose from.
        widths: channels of each node to choose from.
        n_normal: normal cells in a row.
        n_reductions: reduction cells.
        recipe: how every design is trained.
    """

    def __init__(
        self,
        *,
        n_nodes: int,
        operations: Sequence[str],
        widths: Sequence[int],
        n_normal: int,
        n_reductions: int,
        recipe: Recipe,
        family: str = "cells",
        kind: Kind = "image",
    ) -> None:
        """List the decisions; arguments are those of `cell_space`.

        Args:
            n_nodes: nodes of each cell.
            operations: names to choose from.
            widths: channels of each node to choose from.
            n_normal: normal cells in a row.
            n_reductions: reduction cells.
            recipe: how every design is trained.
            family: of its designs.
            kind: of what the cells work on.
        """
        self.family = family
        self.kind: Kind = kind
        self.n_nodes, self.operations = n_nodes, tuple(operations)
        self.n_normal, self.n_reductions, self.recipe = n_normal, n_reductions, recipe
        cells = (("normal", n_normal), ("reduction", n_reductions))
        self.kinds: tuple[str, ...] = tuple(kind for kind, n in cells if n)
        found = []
        for cell, node in itertools.product(self.kinds, range(n_nodes)):
            states = (*_STATES, *(f"node {earlier}" for earlier in range(node)))
            for ordinal in ("first", "second"):
                found.append(Decision(f"{cell} cell, node {node}, {ordinal} input", states))
                name = f"{cell} cell, node {node}, {ordinal} operation"
                found.append(Decision(name, self.operations))
        if len(widths) > 1:
            found.append(Decision("width", tuple(widths), ordered=True))
        self.widths: tuple[int, ...] = tuple(widths)
        self.decisions: tuple[Decision, ...] = tuple(found)

    def design(self, code: Code) -> Design:
        """Describe the network of a code; equal networks have equal designs.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        graphs = {kind: self.nodes(code, kind) for kind in self.kinds}
        width = self.widths[code[-1] if len(self.widths) > 1 else 0]
        parameters: dict[str, Any] = {
            **graphs,
            "width": width,
            "n_normal": self.n_normal,
        }
        if self.kind != "row":  # which cannot be halved
            parameters["n_reductions"] = self.n_reductions
        shown = ", ".join(f"{kind} {_text(nodes)}" for kind, nodes in graphs.items())
        return Design(f"cells of width {width}: {shown}", self.family, parameters, self.recipe)

    def canonical(self, code: Code) -> Code:
        """Order the inputs of each node, and the nodes, in the one way that stands for all.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        length = 4 * self.n_nodes
        folded: list[int] = []
        for start in range(0, len(self.kinds) * length, length):
            folded += fold_cell(tuple(code[start : start + length]))
        return (*folded, *code[len(folded) :])

    def nodes(self, code: Code, kind: str) -> list[list[Any]]:
        """Describe one cell of a code as `families.cells` reads it.

        Args:
            code: an option of each decision.
            kind: "normal" or "reduction".
        """
        start = 4 * self.n_nodes * self.kinds.index(kind)
        numbers = code[start : start + 4 * self.n_nodes]
        return [
            [a, self.operations[one], b, self.operations[other]]
            for a, one, b, other in (numbers[i : i + 4] for i in range(0, len(numbers), 4))
        ]


def cell_space(
    schema: Schema,
    *,
    n_nodes: int = 3,
    operations: Sequence[str] | None = None,
    widths: Sequence[int] | None = None,
    n_normal: int | None = None,
    n_reductions: int | None = None,
    recipe: Recipe | None = None,
) -> CellSpace:
    """Make the space of networks of stacked cells.

    What is not given is chosen for the kind of input: cells for tables and texts are not halved.

    Args:
        schema: of the task.
        n_nodes: nodes of each cell.
        operations: names from the table of operations; by default all that can be trained,
            exported, verified and compressed.
        widths: channels of each node before the first reduction; more than one make a decision.
        n_normal: normal cells in a row.
        n_reductions: reduction cells, each after such a row; one more row ends the network.
        recipe: how every design is trained.

    Raises:
        ValueError: if an operation is unknown, there is no node, width or cell, or rows of a table
            should be halved.
    """
    usual = _STACKS[schema.input.kind]
    names = usable(usual.kind) if operations is None else tuple(operations)
    for name in names:
        operation(name, usual.kind)
    widths = (usual.width,) if widths is None else widths
    n_normal = usual.n_normal if n_normal is None else n_normal
    n_reductions = usual.n_reductions if n_reductions is None else n_reductions
    if n_nodes < 1 or not names or not widths or n_normal < 0 or n_normal + n_reductions < 1:
        raise ValueError(
            f"`n_nodes`, `operations`, `widths` and the cells must not be empty; got {n_nodes} "
            f"nodes, {len(names)} operations, {len(widths)} widths, {n_normal} normal cells and "
            f"{n_reductions} reductions."
        )
    if usual.kind == "row" and n_reductions:
        raise ValueError(
            f"`n_reductions` must be 0 for rows, which cannot be halved; got {n_reductions}."
        )
    return CellSpace(
        n_nodes=n_nodes,
        operations=names,
        widths=widths,
        n_normal=n_normal,
        n_reductions=n_reductions,
        recipe=recipe or usual.recipe,
        family=usual.family,
        kind=usual.kind,
    )


@functools.lru_cache(maxsize=1 << 14)
def fold_cell(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return the smallest numbering of a cell's nodes, with each node's inputs in order.

    Args:
        numbers: (input, operation, input, operation) of each node, joined.

    Cost: as many renumberings as there are orders of the nodes: 120 for five.
    """
    nodes = [numbers[i : i + 4] for i in range(0, len(numbers), 4)]
    best: tuple[int, ...] | None = None
    for order in itertools.permutations(range(len(nodes))):
        renamed = {0: 0, 1: 1} | {node + 2: place + 2 for place, node in enumerate(order)}
        cell: list[int] = []
        for place, node in enumerate(order):
            a, one, b, other = nodes[node]
            pairs = sorted([(renamed[a], one), (renamed[b], other)])
            if pairs[1][0] >= place + 2:  # it would read a later node
                break
            cell += [*pairs[0], *pairs[1]]
        else:
            if best is None or tuple(cell) < best:
                best = tuple(cell)
    assert best is not None
    return best


def codes_of_cells(space: CellSpace, cells: dict[str, Sequence[Sequence[Any]]]) -> Code:
    """Encode cells that are described as `families.cells` reads them.

    Args:
        space: in which the code shall lie.
        cells: nodes by kind, "normal" and "reduction".

    Raises:
        ValueError: if they do not lie in the space.
    """
    code: list[int] = []
    for kind in space.kinds:
        for a, one, b, other in cells[kind]:
            for name in (one, other):
                if name not in space.operations:
                    raise ValueError(
                        f"`cells` must have operations of the space, {', '.join(space.operations)};"
                        f" got {name!r}."
                    )
            code += [a, space.operations.index(one), b, space.operations.index(other)]
    code += [0] * (len(space.decisions) - len(code))
    require_code(space, code)
    return tuple(code)


def _text(nodes: Sequence[Sequence[Any]]) -> str:
    return " ".join(f"[{a} {one} + {b} {other}]" for a, one, b, other in nodes)
