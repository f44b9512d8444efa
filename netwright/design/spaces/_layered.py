"""Decisions about networks that are described layer by layer, and what a code of them means."""

from collections.abc import Sequence
from typing import Any

from netwright.design.spaces._space import Decision

__all__ = ["cut", "layer_decisions", "layers_of", "name_of", "still_strides"]


def layer_decisions(depths: Sequence[int], *each: Decision) -> tuple[Decision, ...]:
    """List the depth, then for each layer what it is, and which earlier layers it reads.

    Args:
        depths: numbers of layers to choose from, increasing.
        each: decisions about a layer, by the entry of its description that they set.
    """
    found = [Decision("depth", tuple(depths), ordered=True)]
    for number in range(max(depths)):
        for decision in each:
            found.append(
                Decision(f"layer {number}, {decision.name}", decision.options, decision.ordered)
            )
        for earlier in range(number - 1):
            found.append(Decision(f"layer {number}, reads {earlier}", (False, True)))
    return tuple(found)


def cut(decisions: Sequence[Decision], code: Sequence[int]) -> tuple[int, ...]:
    """Set to 0 what is decided about layers beyond the last.

    Args:
        decisions: of `layer_decisions`.
        code: an option of each.
    """
    depth = decisions[0].options[code[0]]
    return tuple(
        place if decision.name == "depth" or _number(decision) < depth else 0
        for decision, place in zip(decisions, code, strict=True)
    )


def _number(decision: Decision) -> int:
    return int(decision.name.removeprefix("layer ").partition(",")[0])


def still_strides(decisions: Sequence[Decision], code: Sequence[int], side: int) -> tuple[int, ...]:
    """Set to 0 the strides of what is a single pixel or step already.

    Args:
        decisions: of `layer_decisions`.
        code: an option of each.
        side: pixels along the longer edge of an image, or steps of a sequence.
    """
    chosen = list(code)
    for place, decision in enumerate(decisions):
        if not decision.name.endswith("stride"):
            continue
        if side == 1:
            chosen[place] = 0
        elif decision.options[chosen[place]] == 2:
            side = (side + 1) // 2
    return tuple(chosen)


def layers_of(decisions: Sequence[Decision], code: Sequence[int]) -> list[dict[str, Any]]:
    """Describe the layers of a code as `families` read them.

    Args:
        decisions: of `layer_decisions`.
        code: an option of each.
    """
    layers: list[dict[str, Any]] = [{"skips": []} for _ in range(decisions[0].options[code[0]])]
    for decision, place in zip(decisions[1:], code[1:], strict=True):
        if _number(decision) >= len(layers):
            break
        layer, what = layers[_number(decision)], decision.name.partition(", ")[2]
        if not what.startswith("reads "):
            layer[what] = decision.options[place]
        elif decision.options[place]:
            layer["skips"].append(int(what.removeprefix("reads ")))
    return layers


def name_of(layers: Sequence[dict[str, Any]]) -> str:
    """Name layers, differently if they are different.

    Args:
        layers: of `layers_of`.
    """
    shown = []
    for layer in layers:
        halves = "/2" if layer.get("stride") == 2 else ""
        skips = "+" + "+".join(map(str, layer["skips"])) if layer["skips"] else ""
        shown.append(f"{layer['operation']} {layer['width']}{halves}{skips}")
    return ", ".join(shown)
