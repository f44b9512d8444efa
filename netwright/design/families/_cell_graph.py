"""Cells: small directed graphs that are stacked, some of which halve what they read.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3 (normal and reduction cells; nodes of
          two inputs and two operations).
          Liu, Simonyan, Yang. DARTS: Differentiable Architecture Search. ICLR 2019,
          arXiv:1806.09055, section 2.1 (a cell's output joins all its nodes).
Departs:  a node adds; all nodes are joined, not only those that no other node reads, so that a
          cell's width does not depend on its wiring. Cells of steps or words set what lies behind
          the end of each example to 0, so that it does not matter how far it is padded.
Notation: a node (a, f, b, g) = f(state a) + g(state b); states 0 and 1 are the outputs of the cell
          before the last and of the last, state i + 2 is node i.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.design.families._steps import at_steps
from netwright.design.spaces._operations import Kind, halving, operation, resize

__all__ = ["Cell", "CellStack", "adapt", "build_cell", "plan_cells", "stack_cells"]

Node = Sequence[Any]  # (state, operation, state, operation)


class Cell(nn.Module):
    """A directed graph of nodes; each adds two operations on two earlier states.

    Attributes:
        adapt: brings the outputs of the two cells before to this cell's width and size; one that no
            node reads is left out.
        nodes: the two operations of each node.
        inputs: the two states that each node reads.
    """

    def __init__(
        self,
        inputs: Sequence[tuple[int, int]],
        nodes: Sequence[tuple[nn.Module, nn.Module]],
        adapt: Mapping[str, nn.Module],
    ) -> None:
        """Keep the operations.

        Args:
            inputs: the two states that each node reads.
            nodes: the two operations of each node.
            adapt: what changes the outputs of the cell before the last, "0", and of the last, "1".
        """
        super().__init__()
        self.inputs = [tuple(pair) for pair in inputs]
        self.adapt = nn.ModuleDict(dict(adapt))
        self.nodes = nn.ModuleList(nn.ModuleList(pair) for pair in nodes)

    def forward(
        self,
        before: Float[Tensor, "batch channels *size"],
        last: Float[Tensor, "batch last_channels *last_size"],
        mask: Float[Tensor, "batch 1 steps"] | None = None,
    ) -> Float[Tensor, "batch out_channels *out_size"]:
        """Return all nodes, joined along the channels; `mask` is 0 behind the end of an example."""
        states = []
        for name, x in (("0", before), ("1", last)):
            states.append(at_steps(self.adapt[name](x), mask) if name in self.adapt else x)
        for (first, second), pair in zip(self.inputs, self.nodes, strict=True):
            node = pair[0](states[first]) + pair[1](states[second])  # type: ignore[index]
            states.append(at_steps(node, mask))
        return torch.cat(states[2:], dim=1)

    def extra_repr(self) -> str:
        """Show the wiring."""
        return f"inputs={self.inputs}"


class CellStack(nn.Module):
    """Cells that each read the outputs of the two before.

    Attributes:
        cells: in order.
    """

    def __init__(self, cells: Sequence[nn.Module]) -> None:
        """Keep the cells.

        Args:
            cells: in order.
        """
        super().__init__()
        self.cells = nn.ModuleList(cells)

    def forward(
        self,
        x: Float[Tensor, "batch channels *size"],
        mask: Float[Tensor, "batch 1 steps"] | None = None,
    ) -> Float[Tensor, "batch out_channels *out_size"]:
        """Return the last cell's output; the first reads `x` twice."""
        before, last = x, x
        for cell in self.cells:
            before, last = last, cell(before, last, mask)
        return last


def build_cell(
    nodes: Sequence[Node],
    channels: tuple[int, int],
    width: int,
    *,
    kind: Kind = "image",
    halves: bool,
    shrinks_first: bool,
) -> Cell:
    """Build a cell from its description.

    Args:
        nodes: two states and two names of operations each.
        channels: of the outputs of the cell before the last, and of the last.
        width: channels of each node.
        kind: of what the cell works on.
        halves: whether operations on the cell's inputs halve what they read.
        shrinks_first: whether the cell before the last still has the size before a halving.
    """
    inputs = [(first, second) for first, _, second, _ in nodes]
    read = {state for pair in inputs for state in pair}
    adapted = {
        str(state): adapt(kind, channels[state], width, shrinks=state == 0 and shrinks_first)
        for state in (0, 1)
        if state in read
    }

    def build(state: int, name: str) -> nn.Module:
        return operation(name, kind).build(width, width, 2 if halves and state < 2 else 1)

    pairs = [(build(first, one), build(second, other)) for first, one, second, other in nodes]
    return Cell(inputs, pairs, adapted)


def adapt(kind: Kind, n_in: int, width: int, *, shrinks: bool) -> nn.Module:
    """Make what brings a state to a cell's width, and to half its size.

    Args:
        kind: of what the cell works on.
        n_in: channels that come in.
        width: channels that go out.
        shrinks: whether the size is halved.
    """
    resized = resize(kind, n_in, width)
    return nn.Sequential(halving(kind), resized) if shrinks else resized


def plan_cells(n_normal: int, n_reductions: int) -> tuple[bool, ...]:
    """Say of each cell whether it halves: normal cells, with reductions evenly between.

    Args:
        n_normal: normal cells in a row.
        n_reductions: reduction cells; each follows such a row, and one more row ends the stack.
    """
    row = (False,) * n_normal
    return (row + (True,)) * n_reductions + row


def stack_cells(
    kind: Kind,
    normal: Sequence[Node],
    reduction: Sequence[Node],
    *,
    width: int,
    n_normal: int,
    n_reductions: int,
) -> tuple[CellStack, int]:
    """Build the cells of a network; the first reads a stem of `width` channels twice.

    Args:
        kind: of what the cells work on.
        normal: nodes of the cells that keep the size.
        reduction: nodes of the cells that halve it.
        width: channels of each node before the first reduction; each reduction doubles it.
        n_normal: normal cells in a row.
        n_reductions: reduction cells.

    Returns:
        The stack, and the channels that leave it.

    Raises:
        ValueError: if there is no cell, or a node is not two states, each followed by an operation.
    """
    for name, nodes in (("normal", normal), ("reduction", reduction)):
        _check(name, nodes)
    plan = plan_cells(n_normal, n_reductions)
    if not plan:
        raise ValueError("`n_normal` and `n_reductions` make no cell: both are 0.")
    channels, halved_last, stack = (width, width), False, []
    for halves in plan:
        nodes = reduction if halves else normal
        width *= 2 if halves else 1
        cell = build_cell(
            nodes, channels, width, kind=kind, halves=halves, shrinks_first=halved_last
        )
        stack.append(cell)
        channels, halved_last = (channels[1], len(nodes) * width), halves
    return CellStack(stack), channels[1]


def _check(name: str, nodes: Sequence[Node]) -> None:
    if not nodes:
        raise ValueError(f"`{name}` must have at least one node; got none.")
    for number, node in enumerate(nodes):
        states = node[::2] if len(node) == 4 else ()
        if len(states) != 2 or not all(0 <= state < number + 2 for state in states):
            raise ValueError(
                f"Node {number} of `{name}` must be two states below {number + 2}, each followed "
                f"by an operation; got {list(node)}."
            )
