"""What is known of a network's channels while it is run: nodes, ties between them, what must stay.

Every index of every axis of every parameter is a node. Beside a tensor stands another of the same
shape, its labels, that says of each element to which node it belongs, or -1. Labels differ along
one axis at most: what would make them differ along two is not followed.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Nodes", "Slot", "along", "spread", "varying"]

Slot = tuple[str, int]  # a parameter and one of its axes


class Nodes:
    """Nodes of parameters, and labels of the tensors that have been seen.

    Attributes:
        tensors: parameters and buffers by name.
        count: how many nodes there are.
        ties: pairs of nodes that go together, (2, pairs) each.
        fixed: nodes that have to stay, and why.
        made: axes of weights that make channels.
        used: axes of weights that read channels.
    """

    def __init__(self, network: nn.Module) -> None:
        """Number the nodes of a network.

        Args:
            network: any module.
        """
        self.tensors = dict((*network.named_parameters(), *network.named_buffers()))
        self.count = 0
        self.ties: list[Tensor] = []
        self.fixed: list[tuple[Tensor, str]] = []
        self.made: set[Slot] = set()
        self.used: set[Slot] = set()
        self._names = {id(tensor): name for name, tensor in self.tensors.items()}
        self._starts: dict[Slot, int] = {}
        self._labels: dict[int, tuple[Tensor, Tensor]] = {}  # a tensor kept alive keeps its id
        self._turned: dict[int, tuple[Tensor, str]] = {}
        for name, tensor in self.tensors.items():
            for axis, length in enumerate(tensor.shape):
                self._starts[name, axis] = self.count
                self.count += length
            long = [axis for axis, length in enumerate(tensor.shape) if length > 1]
            if len(long) == 1:
                self.set(tensor, self.of(name, long[0]).reshape(tensor.shape))

    def of(self, name: str, axis: int) -> Tensor:
        """Return the nodes of one axis of a parameter.

        Args:
            name: of the parameter.
            axis: of it.
        """
        start = self._starts[name, axis]
        return torch.arange(start, start + self.tensors[name].shape[axis])

    def labels(self, tensor: Tensor) -> Tensor | None:
        """Return the labels of a tensor; None if it has none.

        Args:
            tensor: one that has been seen.
        """
        held = self._labels.get(id(tensor))
        return None if held is None else held[1]

    def set(self, tensor: Tensor, labels: Tensor) -> bool:
        """Note the labels of a tensor, unless they differ along two axes.

        Args:
            tensor: any.
            labels: of its shape.

        Returns:
            Whether they can be followed.
        """
        if len(varying(labels, labels.ndim)) > 1:
            return False
        if bool((labels >= 0).any()):
            self._labels[id(tensor)] = (tensor, labels)
        return True

    def turn(self, turned: Tensor, tensor: Tensor) -> bool:
        """Note that a tensor is the transpose of a weight.

        Args:
            turned: the transpose.
            tensor: what was transposed.

        Returns:
            Whether that is a weight.
        """
        name = self._names.get(id(tensor))
        if name is None or tensor.ndim != 2:
            return False
        self._turned[id(turned)] = (turned, name)
        return True

    def weight(self, tensor: Tensor) -> tuple[str, bool] | None:
        """Return a parameter's name, and whether the tensor is its transpose; None for others.

        Args:
            tensor: any.
        """
        if id(tensor) in self._turned:
            return self._turned[id(tensor)][1], True
        name = self._names.get(id(tensor))
        return None if name is None else (name, False)

    def knows(self, tensor: Tensor) -> bool:
        """Say whether a tensor is a parameter, or has labels.

        Args:
            tensor: any.
        """
        return id(tensor) in self._labels or self.weight(tensor) is not None

    def tie(self, first: Tensor | None, second: Tensor, reason: str = "") -> None:
        """Let pairs of nodes go together; one whose partner is no node has to stay.

        Args:
            first: nodes, or -1; None for no node at all.
            second: as many.
            reason: why a node without a partner has to stay.
        """
        first = torch.full_like(second, -1) if first is None else first
        both = (first >= 0) & (second >= 0)
        self.ties.append(torch.stack([first[both], second[both]]).unique(dim=1))
        lonely = torch.where(both, -1, torch.maximum(first, second))
        self.fix(lonely, reason or "they meet numbers that are no channels")

    def fix(self, labels: Tensor | None, reason: str) -> None:
        """Let nodes stay.

        Args:
            labels: the nodes, or -1.
            reason: why.
        """
        if labels is not None and bool((labels >= 0).any()):
            self.fixed.append((labels[labels >= 0].unique(), reason))

    def fix_all(self, tensors: Iterable[Tensor], reason: str) -> None:
        """Let all nodes of tensors stay.

        Args:
            tensors: parameters, and others.
            reason: why.
        """
        for tensor in tensors:
            self.fix(self.labels(tensor), reason)
            found = self.weight(tensor)
            if found is not None:
                for axis in range(self.tensors[found[0]].ndim):
                    self.fix(self.of(found[0], axis), reason)


def along(labels: Tensor | None, axis: int) -> Tensor | None:
    """Return the nodes along one axis; None if they differ along another.

    Args:
        labels: of a tensor.
        axis: of it.
    """
    if labels is None or varying(labels, labels.ndim) - {axis}:
        return None
    return labels.movedim(axis, 0).flatten(1)[:, 0]


def spread(nodes: Tensor, axis: int, shape: torch.Size) -> Tensor:
    """Lay nodes along one axis of a shape.

    Args:
        nodes: as many as the axis is long.
        axis: of the shape.
        shape: of the labels that result.
    """
    sizes = [1] * len(shape)
    sizes[axis] = len(nodes)
    return nodes.reshape(sizes).expand(shape)


def varying(labels: Tensor, n_axes: int) -> set[int]:
    """Name the axes along which labels differ, counted as in a tensor of so many axes.

    Args:
        labels: of a tensor.
        n_axes: at least those of the labels, which are taken to be the last.
    """
    lead = n_axes - labels.ndim
    return {
        axis + lead
        for axis in range(labels.ndim)
        if not torch.equal(labels, labels.narrow(axis, 0, 1).expand_as(labels))
    }
