"""Draw the inside of a cell as a directed graph."""

from dataclasses import dataclass
from html import escape
from typing import Any

from torch import nn

from netwright import nn as layers
from netwright.design.families._cell_graph import Cell
from netwright.design.families._tiny_cells import TinyCell
from netwright.design.spaces._operations import ResidualRow

__all__ = ["Graph", "draw_graph", "graph_of", "height_of"]

_ROW, _RADIUS = 80, 11
_FIRST = 26  # height of the row of inputs
_BESIDE, _ABOVE = 88, 34  # of the operations before a node
_INK = "var(--ink,#1f2328)"


@dataclass(frozen=True, slots=True)
class Graph:
    """What a cell computes.

    Attributes:
        states: names of inputs, nodes and, last, the output.
        edges: from a state to a later one, with the operation between, in words; "" for none.
        n_inputs: how many of the states are inputs.
    """

    states: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]
    n_inputs: int


def graph_of(module: nn.Module) -> Graph | None:
    """Read the graph of a cell; None for other modules.

    Args:
        module: any.
    """
    if isinstance(module, TinyCell):
        edges = [(int(name[0]), int(name[2]), _name(edge)) for name, edge in module.edges.items()]
        return Graph(("input", "1", "2", "output"), tuple(edges), 1)
    if not isinstance(module, Cell):
        return None
    n = len(module.inputs)
    edges = []
    for node, (pair, states) in enumerate(zip(module.nodes, module.inputs, strict=True)):
        for state, layer in zip(states, pair, strict=True):  # type: ignore[call-overload]
            edges.append((state, node + 2, _name(layer)))
    edges += [(node + 2, n + 2, "") for node in range(n)]
    names = ("cell before", "last cell", *(str(node) for node in range(n)), "joined")
    return Graph(names, tuple(edges), 2)


def height_of(graph: Graph) -> int:
    """Return the height of a drawing, in the picture's units.

    Args:
        graph: what is drawn.
    """
    return (len(graph.states) - graph.n_inputs) * _ROW + _FIRST + 8


def draw_graph(
    graph: Graph, left: float, top: float, width: float, *, marker: str = "network-arrow"
) -> str:
    """Draw a graph from above to below, as the inside of an SVG picture.

    Each node stands below the operations whose results it adds or joins.

    Args:
        graph: what is drawn.
        left: of the drawing.
        top: of the drawing.
        width: of the drawing.
        marker: id of the arrow heads, which the picture defines.

    Returns:
        SVG elements.
    """
    places = _places(graph, left, top, width)
    lines, boxes = [], []
    for target, (x, y) in enumerate(places):
        arriving = [(source, name) for source, to, name in graph.edges if to == target and name]
        lines += [
            _line(places[source], (x, y - _RADIUS), marker, faint=True)
            for source, to, name in graph.edges
            if to == target and not name
        ]
        for place, (source, name) in enumerate(arriving):
            at = x + (place - (len(arriving) - 1) / 2) * _BESIDE, y - _ABOVE
            lines.append(_line(places[source], (at[0], at[1] - 8), marker))
            lines.append(_line((at[0], at[1] + 8 - _RADIUS), (x, y - _RADIUS), marker))
            boxes.append(_box(at, name, 8, 10, 3 + 2.8 * len(name), "var(--accent,#0b6bcb)"))
    for state, place in zip(graph.states, places, strict=True):
        half = _RADIUS if state.isdigit() else 4 + 3.6 * len(state)
        boxes.append(_box(place, state, _RADIUS, 11, half, _INK))
    return "".join([*lines, *boxes])


def _places(graph: Graph, left: float, top: float, width: float) -> list[tuple[float, float]]:
    """Inputs side by side, nodes below them in turn to the left and right, the output last."""
    n, middle = len(graph.states), left + width / 2
    found = []
    for state in range(n):
        if state < graph.n_inputs:
            x = left + width * (state + 1) / (graph.n_inputs + 1)
            found.append((x, top + _FIRST / 2))
            continue
        row = state - graph.n_inputs + 1
        side = 0.0 if state == n - 1 else (-1) ** row * width * 0.24
        found.append((middle + side, top + _FIRST + _ROW * row - _RADIUS))
    return found


def _line(
    start: tuple[float, float], end: tuple[float, float], marker: str, *, faint: bool = False
) -> str:
    (x, y), (to_x, to_y) = (start[0], start[1] + _RADIUS), (end[0], end[1] - 1)
    reach = max(10.0, 0.45 * (to_y - y))
    return (
        f'<path d="M{x:.0f} {y:.0f} C{x:.0f} {y + reach:.0f} {to_x:.0f} {to_y - reach:.0f} '
        f'{to_x:.0f} {to_y:.0f}" marker-end="url(#{marker})" style="fill:none;stroke:{_INK};'
        f'stroke-opacity:{".3" if faint else ".75"};stroke-width:1.2"/>'
    )


def _box(
    place: tuple[float, float], text: str, tall: float, size: int, half: float, line: str
) -> str:
    x, y = place
    return (
        f'<rect x="{x - half:.0f}" y="{y - tall:.0f}" width="{2 * half:.0f}" '
        f'height="{2 * tall:.0f}" rx="{tall:.0f}" style="fill:var(--surface,#ffffff);'
        f'stroke:{line};stroke-opacity:.6"/><text x="{x:.0f}" y="{y + 3.5:.0f}" '
        f'font-size="{size}" text-anchor="middle" style="fill:{_INK}">{escape(text)}</text>'
    )


def _name(layer: nn.Module) -> str:
    """Name an operation in a few letters."""
    if isinstance(layer, nn.Identity):
        return "as it is"
    if isinstance(layer, nn.AvgPool1d | nn.AvgPool2d):
        return f"mean {_size(layer)}"
    if isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
        return f"max {_size(layer)}"
    if isinstance(layer, layers.Separable):
        return "separable 3×3"
    if isinstance(layer, layers.ConvNorm | layers.ConvNorm1d):
        return f"conv {_size(layer[0])}"
    if isinstance(layer, ResidualRow):
        return "residual"
    if isinstance(layer, nn.Sequential):
        return _chain(list(layer))
    return type(layer).__name__


def _chain(inside: list[nn.Module]) -> str:
    first, last = inside[0], inside[-1]
    if isinstance(first, layers.ConvNorm | layers.ConvNorm1d) and len(inside) == 2:
        return f"separable {_size(first[0])}"
    if isinstance(first, nn.Linear):
        between = [type(each) for each in inside[1:] if each is not last]
        return {(): "linear", (nn.BatchNorm1d,): "linear, normed"}.get(tuple(between), "narrow")
    shown = [each for each in inside if not isinstance(each, nn.ReLU)]
    return " + ".join(map(_name, shown))


def _size(layer: Any) -> str:
    """The size of a window: 3×3 pixels, 3 steps, or 3 steps that are 2 apart."""
    sizes = layer.kernel_size
    if isinstance(layer, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d):
        return "×".join(map(str, (sizes, sizes) if isinstance(sizes, int) else sizes))
    size = sizes if isinstance(sizes, int) else sizes[0]
    apart = layer.dilation[0] if isinstance(layer, nn.Conv1d) else 1
    return f"{size} by {apart}" if apart > 1 else str(size)
