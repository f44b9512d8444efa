"""Read an ONNX file as a torch module that can be differentiated."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Num
from torch import Tensor, nn

from netwright.artefact._errors import ArtefactError
from netwright.artefact._file import load_model
from netwright.artefact._graph import CONSTANT, Graph, Node, from_seam, parse_graph
from netwright.artefact._operators import OPERATORS, limitation

if TYPE_CHECKING:
    import onnx

__all__ = ["OnnxNetwork", "Operation", "UnsupportedOperator", "read_onnx"]


class UnsupportedOperator(ArtefactError):
    """The graph holds operations that cannot be executed in torch; all of them are named."""


def read_onnx(model: "Path | str | onnx.ModelProto") -> "OnnxNetwork":
    """Read the network inside an ONNX file: from `features`, or from its only input, to its output.

    Args:
        model: a file, or a model in memory.

    Returns:
        A module in eval mode. Its gradients with respect to the input are those of the file's
        computation; a quantised network's pass straight through the rounding.

    Raises:
        UnsupportedOperator: if the graph holds operations that cannot be executed; names all.
        ArtefactError: if the file is damaged or has several inputs.
        FileNotFoundError: if there is none.
    """
    if isinstance(model, str | Path):
        proto = load_model(model)
    else:
        proto = model
    return OnnxNetwork(from_seam(parse_graph(proto)))


class Operation(nn.Module):
    """One node as a layer, so that whatever looks at layers sees it: hooks, counters, drawings.

    Attributes:
        node: what is executed.
    """

    def __init__(self, node: Node) -> None:
        """Wrap a node; the network gives it the weights that it is the first to use.

        Args:
            node: of a known operator.
        """
        super().__init__()
        self.node = node

    def forward(self, *inputs: Tensor | None) -> Tensor | tuple[Tensor, ...]:
        """Execute the node.

        Args:
            inputs: as the node lists them; None for an omitted one.

        Raises:
            ArtefactError: if the node cannot take them; names the node.
        """
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        try:
            return cast(Tensor, OPERATORS[self.node.op](self.node, *given))
        except torch.OutOfMemoryError:
            raise  # who calls may try again with fewer rows
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            shapes = ", ".join("-" if x is None else str(tuple(x.shape)) for x in given)
            raise ArtefactError(
                f"{self.node.label} cannot take inputs of shapes {shapes}: {error}"
            ) from error


class OnnxNetwork(nn.Module):
    """A graph, executed node by node in torch; each node is a layer of its own.

    Floating-point initializers are parameters (without gradients until they are asked for). Whole
    numbers, single numbers without a dotted name, statistics of batch normalisation, and what
    Netwright's files mark as constant are buffers. A node whose weights are called
    `stem.0.weight` is the layer `stem.0`, as in the network that was exported; others are called
    after what they make.

    Attributes:
        graph: from the tensor a network receives to the one it returns.
    """

    def __init__(self, graph: Graph) -> None:
        """Check that every operation can be executed.

        Args:
            graph: to be executed as far as its first output.

        Raises:
            UnsupportedOperator: if it cannot; names all of them.
        """
        super().__init__()
        _refuse_unsupported(graph)
        self.graph = graph
        self._operations: tuple[Operation, ...] = ()
        self._places: dict[str, tuple[nn.Module, str]] = {}
        self._last_use = _last_uses(graph)
        shape = graph.inputs[0].shape if graph.inputs else None
        self._rows = shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None
        self._operations = tuple(self._add_layer(node) for node in graph.nodes)
        for name in sorted(set(graph.initializers) - set(self._places)):  # an output of its own
            self._keep(self, name)
        self.eval()

    def extra_repr(self) -> str:
        """Say what goes in and out."""
        fed = ", ".join(f"{value.name} {value.shape}" for value in self.graph.inputs)
        return f"{fed} -> {self.graph.outputs[0].name}, {len(self.graph.nodes)} nodes"

    def forward(self, x: Num[Tensor, "batch *features"]) -> Num[Tensor, "batch *outputs"]:
        """Run the graph. A graph that fixes its batch size runs as often as it takes.

        Args:
            x: as the graph's input, with any number of rows.

        Raises:
            ArtefactError: if a node cannot take what it is given; names the node.
        """
        if self._rows is None or len(x) == self._rows:
            return self._run(x)
        if self._rows == 1:
            return torch.vmap(lambda row: self._run(row.unsqueeze(0)).squeeze(0))(x)
        missing = -len(x) % self._rows
        full = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
        return torch.cat([self._run(part) for part in full.split(self._rows)])[: len(x)]

    def initializers(self) -> dict[str, Tensor]:
        """Return the tensors that the file holds, by its names, as the network computes with them.

        Parameters of this module are among them; what has changed since reading is changed here.
        """
        held = {name: getattr(holder, key) for name, (holder, key) in self._places.items()}
        return {name: tensor.detach() for name, tensor in held.items()}

    def trace(self, feed: Mapping[str, Tensor]) -> Iterator[tuple[Node, tuple[Tensor, ...]]]:
        """Run the graph, and yield each node with what it makes.

        Args:
            feed: a tensor for each input of the graph; as many rows as it fixes, if it does.

        Raises:
            ArtefactError: if a node cannot take what it is given; names the node.
        """
        values: dict[str, Tensor | None] = {"": None, **feed}
        for name, (holder, key) in self._places.items():
            values[name] = getattr(holder, key)
        for operation, spent in zip(self._operations, self._last_use, strict=True):
            node = operation.node
            made = operation(*(values[name] for name in node.inputs))
            made = made if isinstance(made, tuple) else (made,)
            values.update(zip(node.outputs, made, strict=False))
            yield node, made
            for name in spent:
                values[name] = None

    def _run(self, x: Tensor) -> Tensor:
        name = self.graph.outputs[0].name
        found = x if name == self.graph.inputs[0].name else None
        for node, made in self.trace({self.graph.inputs[0].name: x}):
            if name in node.outputs:
                found = made[node.outputs.index(name)]
        if found is None:  # an output that is a constant
            holder, key = self._places[name]
            found = getattr(holder, key)
        return found

    def _add_layer(self, node: Node) -> Operation:
        """Add a node's layer, with the initializers that no earlier node uses."""
        own = [n for n in dict.fromkeys(node.inputs) if n in self.graph.initializers]
        own = [n for n in own if n not in self._places]
        made = next((name for name in node.outputs if name), node.op)
        path = _shared_path(own) or [made.replace(".", "_")]
        operation = _kind_of(node.op)(node)
        _attach(self, path, operation)
        for name in own:
            statistic = node.op == "BatchNormalization" and name in node.inputs[3:5]
            self._keep(operation, name, below=path, fixed=statistic)
        return operation

    def _keep(
        self, holder: nn.Module, name: str, *, below: Sequence[str] = (), fixed: bool = False
    ) -> None:
        parts = name.removeprefix(CONSTANT).split(".")
        parts = parts[len(below) :] if parts[: len(below)] == list(below) else parts
        key = "_".join(parts) or "_"
        while hasattr(holder, key):
            key += "_"
        tensor = self.graph.initializers[name]
        fixed |= name.startswith(CONSTANT) or (tensor.dim() == 0 and "." not in name)
        if tensor.is_floating_point() and not fixed:
            holder.register_parameter(key, nn.Parameter(tensor, requires_grad=False))
        else:
            holder.register_buffer(key, tensor)
        self._places[name] = holder, key


@functools.cache
def _kind_of(op: str) -> type[Operation]:
    """Make a class called like the operator: tools show a layer by the name of its class."""
    return cast(type[Operation], type(op, (Operation,), {"__doc__": Operation.__doc__}))


def _shared_path(names: Sequence[str]) -> list[str]:
    """Find the dotted path that all weights of a node share; empty if they share none."""
    parents = [name.removeprefix(CONSTANT).split(".")[:-1] for name in names if "." in name]
    return list(os.path.commonprefix(parents)) if parents and all(map(all, parents)) else []


def _attach(root: nn.Module, path: Sequence[str], layer: nn.Module) -> None:
    """Put a layer at a dotted path; a name that is taken gets a number appended."""
    *inner, last = path
    holder = root
    for part in inner:
        while not isinstance(getattr(holder, part, None), nn.Module):
            if hasattr(holder, part):
                part += "_"
            else:
                holder.add_module(part, nn.Module())
        holder = getattr(holder, part)
    free, count = last, 1
    while hasattr(holder, free):
        count += 1
        free = f"{last}_{count}"
    holder.add_module(free, layer)


def _refuse_unsupported(graph: Graph) -> None:
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        limit = "" if node.op not in OPERATORS else limitation(node, graph)
        if node.op not in OPERATORS or limit:
            what = f"{node.op} with {limit}" if limit else node.op
            found.setdefault(what, []).append(next((o for o in node.outputs if o), node.name))
    if not found:
        return
    listed = "; ".join(
        f"{what} (making {', '.join(f'`{name}`' for name in places[:5])}"
        f"{f' and {len(places) - 5} more' if len(places) > 5 else ''})"
        for what, places in sorted(found.items())
    )
    raise UnsupportedOperator(
        f"This graph cannot be executed in torch, and so gradients through it cannot be had, for: "
        f"{listed}. Export the network with other operators, or hand over the nn.Module itself."
    )


def _last_uses(graph: Graph) -> list[list[str]]:
    """For each node, the values that no later node reads: they can be let go."""
    seen = {value.name for value in graph.outputs} | set(graph.initializers) | {""}
    spent: list[list[str]] = []
    for node in reversed(graph.nodes):
        fresh = {name for name in (*node.inputs, *node.outputs) if name not in seen}
        seen |= fresh
        spent.append(sorted(fresh))
    return spent[::-1]
