"""Draw the cells that a network is stacked from, each kind once, side by side."""

from netwright.data._schema import Schema
from netwright.design._build_network import build_network
from netwright.design._design import Design
from netwright.design._draw_graph import Graph, draw_graph, graph_of, height_of

__all__ = ["draw_cells"]

_WIDTH, _GAP, _HEAD = 380, 40, 34


def draw_cells(design: Design, schema: Schema) -> str:
    """Draw the distinct cells of a design as SVG.

    Args:
        design: of any family.
        schema: of the task.

    Returns:
        An `<svg>` element for a web page, in colours as those of `draw`; empty if the network has
        no cells.
    """
    found: dict[Graph, list[int]] = {}
    network = build_network(design, schema, seed=0)
    graphs = [graph for module in network.modules() if (graph := graph_of(module)) is not None]
    for number, graph in enumerate(graphs, start=1):
        found.setdefault(graph, []).append(number)
    if not found:
        return ""
    width = len(found) * _WIDTH + (len(found) - 1) * _GAP
    height = _HEAD + max(height_of(graph) for graph in found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="The cells of the network" style="width:100%;max-width:{width}px;height:auto;'
        f'font-family:inherit"><desc>{_story(found)}</desc>'
        '<defs><marker id="cells-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" '
        'style="fill:var(--ink,#1f2328)"/></marker></defs>',
    ]
    for place, (graph, numbers) in enumerate(found.items()):
        left = place * (_WIDTH + _GAP)
        parts.append(
            f'<text x="{left + _WIDTH // 2}" y="16" font-size="13" font-weight="600" '
            f'text-anchor="middle" style="fill:var(--ink,#1f2328)">{_title(numbers)}</text>'
        )
        parts.append(draw_graph(graph, left, _HEAD, _WIDTH, marker="cells-arrow"))
    return "".join([*parts, "</svg>"])


def _title(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"cell {numbers[0]}"
    return f"cells {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _story(found: dict[Graph, list[int]]) -> str:
    stories = []
    for graph, numbers in found.items():
        edges = [
            f"{graph.states[target]} reads {graph.states[source]}" + (f" by {name}" if name else "")
            for source, target, name in graph.edges
        ]
        stories.append(f"{_title(numbers)}: {', '.join(edges)}")
    return "; ".join(stories)
