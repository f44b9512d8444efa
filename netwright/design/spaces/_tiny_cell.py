"""The space of 1,176 tiny networks that can be trained one and all.

Paper:    Dong, Yang. NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search.
          ICLR 2020, arXiv:2001.00326, section 2.1 and appendix C (isomorphic cells).
Departs:  see `families.tiny_cells`. Cells are folded not only when their graphs are isomorphic but
          whenever they compute the same function of the same weights up to rounding: edges that
          never reach the output, an identity that may stand on either side of a node, and means of
          sums are all taken into account.
Notation: a code has an operation for each of the edges 0-1, 0-2, 1-2, 1-3 and 2-3; 0 is the input
          and 3 the output.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.design.spaces._operations import NONE
from netwright.design.spaces._space import Code, Decision, require_code
from netwright.learn._recipe import Recipe

__all__ = ["TinyCellSpace", "tiny_cell_space"]

_OPTIONS = (NONE, "identity", "conv1x1", "conv3x3", "avgpool3x3")
_LETTERS = "-i13p"
_EDGES = ("input to node 1", "input to node 2", "node 1 to node 2", "node 1 to output",
          "node 2 to output")  # fmt: skip
_IDENTITY, _POOL = 1, 4
_SHAPE = {"widths": [16], "stem_stride": 2}  # one cell, on a quarter of the pixels
_RECIPE = Recipe(learning_rate=3e-2, weight_decay=1e-2, batch_size=50)


class TinyCellSpace:
    """Five edges, five operations each; see `tiny_cell_space`."""

    def __init__(self, recipe: Recipe = _RECIPE) -> None:
        """Keep the recipe.

        Args:
            recipe: how every design is trained.
        """
        self._recipe = recipe

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The operation on each edge, in the order in which signals pass them."""
        return _DECISIONS

    def design(self, code: Code) -> Design:
        """Describe the network of a code; equal networks have equal designs.

        Args:
            code: an operation of each edge.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        letters = "".join(_LETTERS[place] for place in code)
        edges = [_OPTIONS[place] for place in code]
        parameters = {"edges": edges, **_SHAPE}
        return Design(f"tiny cell {letters}", "tiny_cells", parameters, self._recipe)

    def canonical(self, code: Code) -> Code:
        """Return the code with the fewest operations that computes the same.

        Args:
            code: an operation of each edge.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        return _canonical_codes()[tuple(code)]


_DECISIONS = tuple(Decision(edge, _OPTIONS) for edge in _EDGES)


def tiny_cell_space(schema: Schema) -> TinyCellSpace:
    """Make the space of cells with two inner nodes and one of five operations on each edge.

    A network is one cell of 16 channels behind a halving stem, and trains on 8x8 digits in a
    fraction of a second on one core. 3,125 codes describe 1,176 networks; `canonical` tells which
    are the same.

    Args:
        schema: of the task; an image input.

    Raises:
        ValueError: if the input is no image.
    """
    if schema.input.kind != "image":
        raise ValueError(
            f"`tiny_cell_space` needs image inputs; the task's are of kind `{schema.input.kind}`. "
            f"`macro_space` has designs for every kind."
        )
    return TinyCellSpace()


@functools.cache
def _canonical_codes() -> dict[Code, Code]:
    codes = itertools.product(range(len(_OPTIONS)), repeat=len(_EDGES))
    simplest: dict[Any, Code] = {}
    chosen: dict[Code, Code] = {}
    for code in sorted(codes, key=lambda code: (sum(map(bool, code)), code)):
        chosen[code] = simplest.setdefault(_computed(code), code)
    return chosen


def _computed(code: Sequence[int]) -> Any:
    """Write down what a cell computes: a sum of terms, each an operation on such a sum.

    Each convolution has weights of its own, so two equal terms are two convolutions, except where
    node 1 is used twice: then the convolution before it is one, and written with another sign.
    """
    to_one, to_two, between, from_one, from_two = code
    is_shared = bool(from_one) and bool(between) and bool(from_two)
    one = _term(to_one, (("input",),), is_shared=is_shared)
    two = _sum(_term(to_two, (("input",),)), _term(between, one))
    return _sum(_term(from_one, one), _term(from_two, two))


def _term(place: int, source: tuple[Any, ...], *, is_shared: bool = False) -> tuple[Any, ...]:
    if place == 0 or not source:
        return ()
    if place == _IDENTITY:
        return source
    if place == _POOL:  # a mean of a sum is the sum of the means
        return tuple((_OPTIONS[place], (term,)) for term in source)
    return (("the same " * is_shared + _OPTIONS[place], source),)


def _sum(*terms: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(itertools.chain(*terms), key=repr))
