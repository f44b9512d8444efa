"""Read an ONNX file as a torch module that can be differentiated."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Num
from torch import Tensor, nn

from netwright.artefact._errors import ArtefactError
from netwright.artefact._file import load_model
from netwright.artefact._graph import Graph, Node, from_seam, parse_graph
from netwright.artefact._operators import OPERATORS, limitation

if TYPE_CHECKING:
    import onnx

__all__ = ["OnnxNetwork", "UnsupportedOperator", "read_onnx"]


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

    Cost: one pass runs about as fast as the original network in torch.
    """
    if isinstance(model, str | Path):
        proto = load_model(model)
    else:
        proto = model
    return OnnxNetwork(from_seam(parse_graph(proto)))


class OnnxNetwork(nn.Module):
    """A graph, executed node by node in torch.

    Floating-point initializers are parameters (without gradients until they are asked for), whole
    numbers and statistics of batch normalisation are buffers; both under the names of the file.

    Attributes:
        graph: from the tensor a network receives to the one it returns.
    """

    def __init__(self, graph: Graph) -> None:
        """Check that every operation can be executed.

        Args:
            graph: with one input and one output.

        Raises:
            UnsupportedOperator: if it cannot; names all of them.
        """
        super().__init__()
        _refuse_unsupported(graph)
        self.graph = graph
        self.weights = nn.Module()
        statistics = {n for node in graph.nodes if "Norm" in node.op for n in node.inputs[3:5]}
        self._places: dict[str, tuple[nn.Module, str]] = {}
        for name, tensor in graph.initializers.items():
            self._places[name] = _store(self.weights, name, tensor, name in statistics)
        self._last_use = _last_uses(graph)
        shape = graph.inputs[0].shape
        self._rows = shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None
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
        for place, node in enumerate(self.graph.nodes):
            made = _execute(node, [values[name] for name in node.inputs])
            values.update(zip(node.outputs, made, strict=False))
            yield node, made
            for name in self._last_use[place]:
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


def _execute(node: Node, inputs: list[Tensor | None]) -> tuple[Tensor, ...]:
    while inputs and inputs[-1] is None:
        inputs.pop()
    try:
        made = OPERATORS[node.op](node, *inputs)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        shapes = ", ".join("-" if x is None else str(tuple(x.shape)) for x in inputs)
        raise ArtefactError(
            f"{node.label} cannot take inputs of shapes {shapes}: {error}"
        ) from error
    return made if isinstance(made, tuple) else (cast(Tensor, made),)


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


def _store(root: nn.Module, name: str, tensor: Tensor, statistic: bool) -> tuple[nn.Module, str]:
    """Keep a tensor under its own dotted name, so that `state_dict` reads like the file."""
    *path, key = [part or "_" for part in name.split(".")]
    holder = root
    for part in path:
        while not isinstance(getattr(holder, part, None), nn.Module):
            if hasattr(holder, part):
                part += "_"
            else:
                holder.add_module(part, nn.Module())
        holder = getattr(holder, part)
    while hasattr(holder, key):
        key += "_"
    if tensor.is_floating_point() and not statistic:
        holder.register_parameter(key, nn.Parameter(tensor.clone(), requires_grad=False))
    else:
        holder.register_buffer(key, tensor.clone())
    return holder, key


def _last_uses(graph: Graph) -> list[list[str]]:
    """For each node, the values that no later node reads: they can be let go."""
    seen = {value.name for value in graph.outputs} | set(graph.initializers) | {""}
    spent: list[list[str]] = []
    for node in reversed(graph.nodes):
        fresh = {name for name in (*node.inputs, *node.outputs) if name not in seen}
        seen |= fresh
        spent.append(sorted(fresh))
    return spent[::-1]
