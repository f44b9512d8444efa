"""Families: functions of a schema, and of plain JSON values, that build a network.

Which one? Images: `residual_cnn`, `small_cnn` below some 20 kB, or `plain_cnn` where robustness is
to be proved. Tables: `tabm`, or `table_mlp` where size or latency is tight. Text: `text_bag` up to
some ten thousand texts and wherever latency counts, `text_cnn` for phrases, `text_gru` and
`text_transformer` where word order matters and data abound. Sequences of numbers:
`sequence_kernels` up to some thousand rows, `sequence_resnet` and `sequence_inception` beyond,
`sequence_gru` for short ones whose order decides, `sequence_spectrogram` for sound and vibration,
`sequence_mlp` where all begin at the same moment. `portfolio` chooses among them.
`macro_cnn`, `macro_mlp`, `macro_sequence`, `cells`, `table_cells`, `text_cells` and
`sequence_cells` are described layer by layer or node by node: searches write those descriptions
(`design.spaces`), and compare themselves on `tiny_cells`.
`reduced` is what compression leaves of any other: nobody proposes it.
"""

from netwright.design.families._cells import cells
from netwright.design.families._macro_cnn import macro_cnn
from netwright.design.families._macro_mlp import macro_mlp
from netwright.design.families._macro_sequence import macro_sequence
from netwright.design.families._plain_cnn import plain_cnn
from netwright.design.families._reduced import reduced
from netwright.design.families._residual_cnn import residual_cnn
from netwright.design.families._sequence_cells import sequence_cells
from netwright.design.families._sequence_gru import sequence_gru
from netwright.design.families._sequence_inception import sequence_inception
from netwright.design.families._sequence_kernels import sequence_kernels
from netwright.design.families._sequence_mlp import sequence_mlp
from netwright.design.families._sequence_resnet import sequence_resnet
from netwright.design.families._sequence_spectrogram import sequence_spectrogram
from netwright.design.families._small_cnn import small_cnn
from netwright.design.families._table_cells import table_cells
from netwright.design.families._table_mlp import table_mlp
from netwright.design.families._tabm import tabm
from netwright.design.families._text_bag import text_bag
from netwright.design.families._text_cells import text_cells
from netwright.design.families._text_cnn import text_cnn
from netwright.design.families._text_gru import text_gru
from netwright.design.families._text_linear import text_linear
from netwright.design.families._text_transformer import text_transformer
from netwright.design.families._tiny_cells import tiny_cells

__all__ = [
    "cells",
    "macro_cnn",
    "macro_mlp",
    "macro_sequence",
    "plain_cnn",
    "reduced",
    "residual_cnn",
    "sequence_cells",
    "sequence_gru",
    "sequence_inception",
    "sequence_kernels",
    "sequence_mlp",
    "sequence_resnet",
    "sequence_spectrogram",
    "small_cnn",
    "table_cells",
    "table_mlp",
    "tabm",
    "text_bag",
    "text_cells",
    "text_cnn",
    "text_gru",
    "text_linear",
    "text_transformer",
    "tiny_cells",
]
