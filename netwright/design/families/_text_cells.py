"""Networks of stacked cells for texts: graphs of convolutions over words, some of which halve.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3, over words instead of pixels.
          Kim. Convolutional Neural Networks for Sentence Classification. EMNLP 2014,
          arXiv:1408.5882 (the maximum over a text).
Departs:  as `_cell_graph`; the head reads means and maxima over the words.
Notation: as `_cell_graph`.
"""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._cell_graph import Node, stack_cells
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.design.families._fronts import read_words
from netwright.design.families._steps import OverWords, StackWithin, WordsWithin
from netwright.nn import TokenDropout

__all__ = ["text_cells"]

_NORMAL = ((0, "conv3", 1, "identity"), (1, "conv3", 2, "identity"))
_REDUCTION = ((0, "conv3", 1, "conv3"), (1, "maxpool3", 2, "identity"))


def text_cells(
    schema: Schema,
    *,
    normal: Sequence[Node] = _NORMAL,
    reduction: Sequence[Node] = _REDUCTION,
    width: int = 32,
    n_normal: int = 1,
    n_reductions: int = 0,
    p_drop_word: float = 0.2,
    p_drop: float = 0.2,
) -> nn.Sequential:
    """Build an embedding, cells over the words, and a head on their means and maxima.

    Args:
        schema: of the task; a text input.
        normal: nodes of the cells that keep the length: two states and the names of two operations
            on sequences each, for example [0, "conv3", 1, "identity"].
        reduction: nodes of the cells that halve it.
        width: length of a word's vector, and channels of each node before the first reduction; each
            reduction doubles it.
        n_normal: normal cells in a row.
        n_reductions: reduction cells.
        p_drop_word: probability that a word is left out while training.
        p_drop: dropout of word vectors and before the head.

    Returns:
        A sequence: (words,) encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no text, there is no cell, or a node is not as above.
    """
    require_kind(schema, "text", "text_cells")
    stack, channels = stack_cells(
        "sequence", normal, reduction, width=width, n_normal=n_normal, n_reductions=n_reductions
    )
    encoder = StackWithin(
        read_words(schema, width, p_drop=p_drop), WordsWithin(), stack, OverWords()
    )
    layers: list[tuple[str, nn.Module]] = [("encode", encoder)]
    if p_drop_word:
        layers.insert(0, ("words", TokenDropout(p_drop_word)))
    return assemble(*layers, *last_layers(schema, 2 * channels, p_drop))
