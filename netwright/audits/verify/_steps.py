"""Read a graph as steps that can be bounded, or name what cannot be."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.artefact._graph import Graph, Node
from netwright.artefact._operators import OPERATORS, limitation
from netwright.artefact._read_onnx import OnnxNetwork
from netwright.audits.verify._composite_steps import steps_of
from netwright.audits.verify._network import NetworkError
from netwright.audits.verify._program import Program, Step
from netwright.audits.verify._single_steps import Reading

__all__ = ["Embedded", "read_embedded", "read_program"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What a network of tokens does with the embedding of one text.

    Attributes:
        program: from the embedding to the output.
        x: the text's own embedding, float64 (1, time, features).
        table: of all tokens, float64 (tokens, features).
        tokens: the rows of `table` that `x` is made of, (1, time).
    """

    program: Program
    x: Float[Tensor, "1 time features"]
    table: Float[Tensor, "tokens features"]
    tokens: Int[Tensor, "1 time"]

    def hull(
        self, choices: Sequence[Collection[int]]
    ) -> tuple[Float[Tensor, "1 time features"], Float[Tensor, "1 time features"]]:
        """Return the box of the embeddings that words may take.

        What depends on the tokens otherwise stays as the text has it: it says nothing about words
        that padding replaces, or the reverse.

        Jia, Raghunathan, Goeksel, Liang. Certified Robustness to Adversarial Word Substitutions.
        EMNLP 2019, arXiv:1909.00986.

        Args:
            choices: for each place, the tokens that may stand there beside the text's own.

        Returns:
            Least and largest embeddings, to be given to `certify_box`.

        Raises:
            ValueError: if there is not one set for each place, or the network looks up other things
                than the text's tokens, such as pairs of them.
        """
        if len(choices) != self.tokens.shape[1]:
            raise ValueError(
                f"`choices` must have a set for each of the {self.tokens.shape[1]} rows that the "
                f"network looks up; got {len(choices)}."
            )
        rows = [
            self.table[[int(own), *others]]
            for own, others in zip(self.tokens[0], choices, strict=True)
        ]
        low, high = ([f(r, 0) for r in rows] for f in (torch.amin, torch.amax))
        return torch.stack(low)[None], torch.stack(high)[None]


def read_program(graph: Graph) -> Program:
    """Turn a graph into steps; the weights keep their values and, if they have any, gradients.

    A graph that moves its batch axis about is read for rows that are executed one at a time.

    Args:
        graph: from one input to one output.

    Raises:
        NetworkError: if it holds operations that cannot be bounded; names all of them.
    """
    source, target = graph.inputs[0].name, graph.outputs[0].name
    reading = Reading(dict(graph.initializers), unit=_unit(graph))
    reading.rows = any(n.op == "Transpose" and n.get("perm", (1,))[0] for n in graph.nodes)
    ops = {n.op for n in graph.nodes}
    if reading.rows or ops & {"Shape", "IsNaN"}:
        probe = _probe(graph)
        reading.rows |= "Shape" in ops and probe is not None
        if probe is not None and (reading.rows or "Shape" in ops):
            _refuse_mixed(graph, probe)
            _note_shapes(graph, probe[:1], reading)
        if probe is not None and "IsNaN" in ops and ops <= set(OPERATORS):
            _note_present(graph, probe[:1], reading)
    return _program(list(graph.nodes), graph, source, target, reading)


def read_embedded(graph: Graph, tokens: Int[Tensor, "1 time"]) -> Embedded:
    """Turn a graph into steps from the embedding on, for one text.

    What depends on the tokens otherwise, such as the mask of padding, is fixed by the text. The
    embedding may then be moved in a ball, or within the hull of other tokens' embeddings.

    Args:
        graph: from tokens to one output.
        tokens: of one text.

    Raises:
        NetworkError: if it holds operations that cannot be bounded, or not one embedding.
    """
    reading = Reading({**graph.initializers, graph.inputs[0].name: tokens}, rows=True)
    reading.unit = _unit(graph)
    if any(n.op == "Shape" for n in graph.nodes) and all(n.op in OPERATORS for n in graph.nodes):
        _note_shapes(graph, tokens, reading)
    places = {graph.inputs[0].name}
    rest: list[Node] = []
    found: list[Node] = []
    for node in graph.nodes:
        known = all(n in reading.constants for n in node.inputs if n)
        table = graph.initializers.get(node.inputs[0]) if node.inputs else None
        if node.op == "Gather" and table is not None and table.is_floating_point() and known:
            if node.inputs[1] in places:
                found.append(node)
                continue
        if known and node.op in OPERATORS and not limitation(node, graph):
            _fold(node, reading)
            if places.intersection(node.inputs):
                places.update(node.outputs)
        else:
            rest.append(node)
    if len(found) != 1:
        raise NetworkError(
            f"The network must look its tokens up in one embedding; it has {len(found)}."
        )
    (first,) = found
    program = _program(rest, graph, first.outputs[0], graph.outputs[0].name, reading)
    table, at = graph.initializers[first.inputs[0]].double(), reading.constants[first.inputs[1]]
    return Embedded(program, table[at], table, at)


def _program(
    nodes: list[Node], graph: Graph, source: str, target: str, reading: Reading
) -> Program:
    steps: list[Step] = []
    moving, refused = {source}, []
    for node in nodes:
        reading.makers.update(dict.fromkeys(node.outputs, node))
        if node.outputs[0] in reading.constants:  # noted before
            continue
        if node.op == "CastLike" and node.inputs[0] in reading.constants:
            reading.constants[node.outputs[0]] = reading.constants[node.inputs[0]]
            continue
        sources = list(dict.fromkeys(n for n in node.inputs if n in moving))
        if node.op not in OPERATORS or limitation(node, graph):
            made = None
        elif sources:
            made = steps_of(node, sources, reading)
        else:
            _fold(node, reading)
            continue
        moving.update(node.outputs)
        if made is None:
            refused.append(node.label)
        steps += made or []
    if refused:
        listed = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if refused[8:] else "")
        raise NetworkError(f"Bounds cannot be had, for the graph has operations without: {listed}.")
    if reading.rows:
        steps = _by_row(steps, source, target)
    return Program(source, target, tuple(steps), reading.unit)


def _by_row(steps: list[Step], source: str, target: str) -> list[Step]:
    """Put a batch of one behind the batch axis, and take it away at the end."""
    inner = {name: f"{name}/rows" for name in (source, target)}
    renamed = [
        replace(
            step,
            sources=tuple(inner.get(s, s) for s in step.sources),
            target=inner.get(step.target, step.target),
        )
        for step in steps
    ]
    first = _copy(source, inner[source], lambda x: x.unsqueeze(1))
    return [first, *renamed, _copy(inner[target], target, _only_row)]


def _copy(source: str, target: str, run: Callable[[Tensor], Tensor]) -> Step:
    return Step(f"rows of `{source}`", "copy", "Identity", (source,), target, run)


def _probe(graph: Graph) -> Tensor | None:
    """Return three rows that the graph takes; None if its shapes are not known."""
    value = graph.inputs[0]
    sizes = [d for d in (value.shape or ())[1:] if isinstance(d, int)]
    floating = value.dtype in (torch.float32, torch.float64)
    if not value.shape or len(sizes) + 1 != len(value.shape) or not floating:
        return None
    places = torch.arange(3 * math.prod(sizes), dtype=value.dtype)
    return torch.frac(0.618 * places).reshape(3, *sizes)


def _refuse_mixed(graph: Graph, x: Tensor) -> None:
    """Refuse a graph whose rows, executed together, are not what they are alone."""
    together, *parts = (_traced(graph, rows)[-1][1][0] for rows in (x, *x.split(1)))
    alone = torch.cat(parts)
    if together.shape != alone.shape or not torch.allclose(
        together, alone, rtol=1e-3, atol=1e-3, equal_nan=True
    ):
        raise NetworkError("The graph does not keep the rows of a batch apart.")


def _note_shapes(graph: Graph, row: Tensor, reading: Reading) -> None:
    """Take the shapes that the graph asks for from a run on one row."""
    for node, made in _traced(graph, row):
        if node.op == "Shape":
            reading.constants[node.outputs[0]] = made[0]


def _note_present(graph: Graph, row: Tensor, reading: Reading) -> None:
    """Take what depends on nothing but which numbers are missing from a run without missing ones.

    Of a box, whose every number is finite, it is the same for all inputs. What is missing itself,
    and what chooses by it, is read as `Reading.never` says.
    """
    fixed, missing, settled = set(reading.constants), set(), set()
    for node, made in _traced(graph, row):
        inputs = {name for name in node.inputs if name}
        if node.op == "IsNaN" or (node.op == "Cast" and inputs <= missing):
            missing.update(node.outputs)
        elif inputs <= fixed:
            fixed.update(node.outputs)
        elif inputs <= fixed | missing | settled:
            settled.update(node.outputs)
            reading.constants.update(zip(node.outputs, made, strict=False))


def _traced(graph: Graph, x: Tensor) -> list[tuple[Node, tuple[Tensor, ...]]]:
    with torch.no_grad():
        return list(OnnxNetwork(graph).trace({graph.inputs[0].name: x}))


def _only_row(x: Tensor) -> Tensor:
    if x.shape[1] != 1:
        raise NetworkError(
            f"The graph does not keep the rows of a batch apart; of one it makes "
            f"{tuple(x.shape[1:])}."
        )
    return x.squeeze(1)


def _fold(node: Node, reading: Reading) -> None:
    """Compute a node of constants."""
    made = OPERATORS[node.op](node, *(reading.constants.get(n) for n in node.inputs))
    outputs = made if isinstance(made, tuple) else (made,)
    reading.constants.update(zip(node.outputs, outputs, strict=False))  # type: ignore[arg-type]


def _unit(graph: Graph) -> float:
    floats = [t.dtype for t in graph.initializers.values() if t.is_floating_point()]
    return max((torch.finfo(d).eps / 2 for d in floats), default=2.0**-24)
