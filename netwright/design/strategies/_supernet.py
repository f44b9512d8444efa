"""One network that holds every network of a cell space: each edge has every operation, once.

Paper:    Pham, Guan, Zoph, Le, Dean. Efficient Neural Architecture Search via Parameter Sharing.
          ICML 2018, arXiv:1802.03268, section 2 (all children are parts of one graph).
          Liu, Simonyan, Yang. DARTS: Differentiable Architecture Search. ICLR 2019,
          arXiv:1806.09055, section 2.2 and equation 2 (`mixed`).
Departs:  an operation's weights belong to its edge, not to its node; batch normalisation keeps its
          scale; beside images, cells may work on rows, steps and words. `mixed` gives each node all
          edges, `along` the two of one code.
Notation: weights of an edge = softmax of its alpha; the last column is the operation "none".
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright import _rng
from netwright.data._schema import Schema
from netwright.design.families._cell_graph import adapt, plan_cells
from netwright.design.families._ends import last_layers
from netwright.design.families._fronts import read_images, read_rows, read_series, read_words
from netwright.design.families._steps import (
    MeanOverSteps,
    OverWords,
    StepsWithin,
    WordsWithin,
    at_steps,
)
from netwright.design.spaces._cell import CellSpace
from netwright.design.spaces._operations import Kind, operation

__all__ = ["SharedCell", "Supernet", "edges_of"]

# For each kind of input: what reads it, where its examples end, and how states are summed up.
_READ: dict[str, Callable[..., nn.Module]] = {
    "image": read_images, "table": read_rows, "text": read_words, "sequence": read_series,
}  # fmt: skip
_WITHIN: dict[str, Callable[[Tensor], Tensor]] = {
    "text": WordsWithin(), "sequence": StepsWithin(),
}  # fmt: skip
_SUM_UP: dict[str, Callable[..., Tensor]] = {
    "image": lambda states, mask: states.mean(dim=(2, 3)),
    "table": lambda states, mask: states,
    "text": OverWords(),
    "sequence": MeanOverSteps(),
}

Path = Sequence[tuple[int, int, int, int]]  # (state, operation, state, operation) of each node


def edges_of(n_nodes: int) -> tuple[tuple[int, int], ...]:
    """List the edges of a cell: (state, node), each node reading all states before it.

    Args:
        n_nodes: nodes of the cell.
    """
    return tuple((state, node) for node in range(n_nodes) for state in range(node + 2))


class SharedCell(nn.Module):
    """A cell with every operation on every edge.

    Attributes:
        edges: the operations of each edge, in the order of `edges_of`.
    """

    def __init__(
        self,
        n_nodes: int,
        operations: Sequence[str],
        channels: tuple[int, int],
        width: int,
        *,
        kind: Kind = "image",
        halves: bool,
        shrinks_first: bool,
    ) -> None:
        """Build all operations.

        Args:
            n_nodes: nodes of the cell.
            operations: names of the operations on each edge.
            channels: of the outputs of the cell before the last, and of the last.
            width: channels of each node.
            kind: of what the cell works on.
            halves: whether operations on the cell's inputs halve what they read.
            shrinks_first: whether the cell before the last still has the size before a halving.
        """
        super().__init__()
        self.n_nodes = n_nodes
        self.places = {edge: place for place, edge in enumerate(edges_of(n_nodes))}
        self.adapt = nn.ModuleList(
            adapt(kind, channels[state], width, shrinks=state == 0 and shrinks_first)
            for state in (0, 1)
        )
        self.edges = nn.ModuleList(
            nn.ModuleList(
                operation(name, kind).build(width, width, 2 if halves and state < 2 else 1)
                for name in operations
            )
            for state, _ in self.places
        )

    def mixed(
        self,
        before: Tensor,
        last: Tensor,
        weights: Float[Tensor, "edges operations"],
        dropped: Callable[[Tensor, nn.Module], Tensor],
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return all nodes, joined; each adds all operations on all its edges, weighted.

        Args:
            before: output of the cell before the last.
            last: output of the last cell.
            weights: of each operation on each edge; a last column, for no operation, is passed
                over.
            dropped: is put behind each operation.
            mask: 0 behind the end of an example; None where examples do not end.
        """
        states = self._read(before, last, mask)
        for node in range(self.n_nodes):
            arriving = []
            for state in range(node + 2):
                place = self.places[state, node]
                layers: Sequence[nn.Module] = self.edges[place]  # type: ignore[assignment]
                for weight, layer in zip(weights[place], layers, strict=False):
                    arriving.append(weight * dropped(layer(states[state]), layer))
            states.append(at_steps(torch.stack(arriving).sum(dim=0), mask))
        return torch.cat(states[2:], dim=1)

    def along(self, before: Tensor, last: Tensor, path: Path, mask: Tensor | None = None) -> Tensor:
        """Return all nodes, joined, with the two operations that a code gives to each.

        Args:
            before: output of the cell before the last.
            last: output of the last cell.
            path: two states and two operations, by their places, for each node.
            mask: as for `mixed`.
        """
        states = self._read(before, last, mask)
        for node, (first, one, second, other) in enumerate(path):
            layers = [self.edges[self.places[state, node]] for state in (first, second)]
            pair = (layers[0][one], layers[1][other])  # type: ignore[index]
            states.append(at_steps(pair[0](states[first]) + pair[1](states[second]), mask))
        return torch.cat(states[2:], dim=1)

    def _read(self, before: Tensor, last: Tensor, mask: Tensor | None) -> list[Tensor]:
        both = zip(self.adapt, (before, last), strict=True)
        return [at_steps(adapted(x), mask) for adapted, x in both]


class Supernet(nn.Module):
    """All networks of a cell space in one; called with a code it is one of them.

    Attributes:
        space: what it holds.
        plan: of each cell, whether it halves.
    """

    def __init__(self, space: CellSpace, schema: Schema, *, seed: int) -> None:
        """Build stem, cells and head.

        Args:
            space: what it holds; of several widths the smallest.
            schema: of the task.
            seed: of the initial weights.
        """
        super().__init__()
        self.space, self.plan = space, plan_cells(space.n_normal, space.n_reductions)
        width = int(space.design((0,) * len(space.decisions)).parameters["width"])
        with _rng.seeded(seed):
            self.stem = _READ[schema.input.kind](schema, width)
            channels, halved_last = (width, width), False
            self.cells = nn.ModuleList()
            for halves in self.plan:
                width *= 2 if halves else 1
                cell = SharedCell(
                    space.n_nodes,
                    space.operations,
                    channels,
                    width,
                    kind=space.kind,
                    halves=halves,
                    shrinks_first=halved_last,
                )
                self.cells.append(cell)
                channels, halved_last = (channels[1], space.n_nodes * width), halves
            summed = 2 if schema.input.kind == "text" else 1  # means and maxima
            head = [layer for _, layer in last_layers(schema, summed * channels[1])]
            self.head = nn.Sequential(*head)
        self._kind = schema.input.kind

    def mixed(
        self,
        x: Tensor,
        weights: Mapping[str, Tensor],
        dropped: Callable[[Tensor, nn.Module], Tensor] = lambda y, layer: y,
    ) -> Tensor:
        """Run all networks at once, each operation by its weight.

        Args:
            x: inputs, as the network of a code takes them.
            weights: for "normal" and "reduction" cells a row for each edge.
            dropped: is put behind each operation.
        """
        return self._run(
            x,
            lambda cell, kind, *states, mask: cell.mixed(*states, weights[kind], dropped, mask),
        )

    def forward(self, x: Tensor, code: Sequence[int]) -> Tensor:
        """Run the network of a code, with the weights that all share."""
        length = 4 * self.space.n_nodes
        paths = {}
        for place, kind in enumerate(self.space.kinds):
            numbers = tuple(code[place * length : (place + 1) * length])
            paths[kind] = [numbers[i : i + 4] for i in range(0, length, 4)]
        return self._run(
            x, lambda cell, kind, *states, mask: cell.along(*states, paths[kind], mask)
        )

    def _run(self, x: Tensor, step: Callable[..., Tensor]) -> Tensor:
        mask = _WITHIN[self._kind](x) if self._kind in _WITHIN else None
        x = at_steps(self.stem(x), mask)
        before, last = x, x
        for cell, halves in zip(self.cells, self.plan, strict=True):
            kind = "reduction" if halves else "normal"
            before, last = last, step(cell, kind, before, last, mask=mask)
        return self.head(_SUM_UP[self._kind](last, mask))
