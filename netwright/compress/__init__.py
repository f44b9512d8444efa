"""Make networks small: plain functions over plain modules.

Which one? Three stages, each after the other with training in between, take most of a file away at
no loss: `prune_global` (or `prune_layers`), `share_weights`, and `encode`, which writes one `.nwz`
file (docs/nwz.md); `decode` reads it, and `_nwz_decode.py` does so alone, with numpy.

Other prunings: `prune_by_deviation` needs no shares, only a strength, and `iterate` prunes step by
step. `prune_with_rehabilitation` takes back what was pruned too soon; `prune_by_movement` suits
networks that were first trained for something else; `find_ticket` leaves one to train from its
start. Without training in between `prune_obc` loses least (`prune_obs` for a few thousand weights),
since what stays makes up for what goes; `prune_by_saliency` with `obd_saliency` only chooses.

Zeros make no network faster: `prune_channels` takes whole channels out, found by `channels` and
weighed by `filter_norms` or, with data, `taylor`. The `heads` of attention go the same way, weighed
by `head_importance`, and `prune_depth` takes out whole layers. `factorise` replaces layers by
thinner ones: linear layers by `svd`, convolutions by `tucker`; `spatial_split` or `channel_split`
make two layers instead of three; `cp`, `separable` and `flattened` make far smaller ones to be
trained again. A design of any other kind learns from the trained network by `distil`, or by `fit`
with the loss `taught_by`.
`share_by_hash` shares values without storing which.

Fewer bits: `to_int8` makes an ONNX file compute in whole numbers, for speed. `round_weights` rounds
weights to any number of bits without training; `round_by_error` does so one input after the other,
and the rest makes up for it; `adaround` learns which go up and which down. `round_aware` and
`learn_steps` (better below four bits) round while the network learns; `ternarise` and `binarise`
leave three and two values. `round_activations` rounds what layers receive, by calibrated ranges,
and `to_qdq` writes both for ONNX Runtime; `qsgd_gradients` and `dorefa_gradients` round what comes
back while a network learns. `pack` writes a whole ONNX file as one `.nwz` file, graph included, and
`unpack` gives it back.
"""

from netwright.compress._activations import (
    CalibratedLayer,
    Calibration,
    RoundedInput,
    free_activations,
    round_activations,
)
from netwright.compress._adaround import adaround
from netwright.compress._channels import Channels, channels
from netwright.compress._codebook import CodeBook, Shared, codebook, share_weights
from netwright.compress._cp import cp
from netwright.compress._distil import (
    Distilled,
    Seen,
    attention_transfer,
    distil,
    hint,
    hinton,
    soft_targets,
    taught_by,
)
from netwright.compress._dorefa import dorefa, dorefa_gradients
from netwright.compress._factored import Factored, Rank, by_energy, by_parameters, factorise
from netwright.compress._few_values import Signs, Ternary, binarise, ternarise
from netwright.compress._fixed_point import FixedPoint, fixed_point, round_weights
from netwright.compress._hashed import Hashed, share_by_hash
from netwright.compress._heads import head_importance, heads
from netwright.compress._huffman import code_lengths, code_words, huffman
from netwright.compress._int8_onnx import is_quantisable, to_int8
from netwright.compress._layers import (
    Layer,
    Shallower,
    block_influence,
    prune_depth,
    removable_layers,
    removal_losses,
    remove_layers,
)
from netwright.compress._learned_step import LearnedStep, learn_steps
from netwright.compress._lottery import find_ticket, rewind
from netwright.compress._low_rank import channel_split, spatial_split, svd
from netwright.compress._magnitude import (
    Kept,
    Masked,
    iterate,
    kept,
    prune,
    prune_by_deviation,
    prune_global,
    prune_layers,
)
from netwright.compress._movement import Moved, cubic_shares, prune_by_movement
from netwright.compress._nwz import encode, from_arrays, read_about
from netwright.compress._nwz_decode import NwzError, decode
from netwright.compress._obd import hessian_diagonal, obd_saliency, prune_by_saliency
from netwright.compress._obs import Operated, obs, prune_obc, prune_obs
from netwright.compress._pack import pack, unpack
from netwright.compress._qdq_onnx import to_qdq
from netwright.compress._qsgd import Levels, qsgd, qsgd_gradients
from netwright.compress._ranges import Range, least_divergence, least_error, min_max, percentile
from netwright.compress._rank_search import SearchedRanks, search_ranks
from netwright.compress._rounding_by_error import RoundedLayer, round_by_error
from netwright.compress._separable import flattened, separable
from netwright.compress._straight_through import Rounded, round_aware
from netwright.compress._structured import (
    Thinned,
    channel_macs,
    filter_norms,
    prune_channels,
    remove_channels,
    taylor,
)
from netwright.compress._surgery import Rehabilitated, prune_with_rehabilitation
from netwright.compress._tucker import tucker
from netwright.compress._weights import plain_state, settle, weights

__all__ = [
    "CalibratedLayer",
    "Calibration",
    "Channels",
    "CodeBook",
    "Distilled",
    "Factored",
    "FixedPoint",
    "Hashed",
    "Kept",
    "Layer",
    "LearnedStep",
    "Levels",
    "Masked",
    "Moved",
    "NwzError",
    "Operated",
    "Range",
    "Rank",
    "Rehabilitated",
    "Rounded",
    "RoundedInput",
    "RoundedLayer",
    "SearchedRanks",
    "Seen",
    "Shallower",
    "Shared",
    "Signs",
    "Ternary",
    "Thinned",
    "adaround",
    "attention_transfer",
    "binarise",
    "block_influence",
    "by_energy",
    "by_parameters",
    "channel_macs",
    "channel_split",
    "channels",
    "code_lengths",
    "code_words",
    "codebook",
    "cp",
    "cubic_shares",
    "decode",
    "distil",
    "dorefa",
    "dorefa_gradients",
    "encode",
    "factorise",
    "filter_norms",
    "find_ticket",
    "fixed_point",
    "flattened",
    "free_activations",
    "from_arrays",
    "head_importance",
    "heads",
    "hessian_diagonal",
    "hint",
    "hinton",
    "huffman",
    "is_quantisable",
    "iterate",
    "kept",
    "learn_steps",
    "least_divergence",
    "least_error",
    "min_max",
    "obd_saliency",
    "obs",
    "pack",
    "percentile",
    "plain_state",
    "prune",
    "prune_by_deviation",
    "prune_by_movement",
    "prune_by_saliency",
    "prune_channels",
    "prune_depth",
    "prune_global",
    "prune_layers",
    "prune_obc",
    "prune_obs",
    "prune_with_rehabilitation",
    "qsgd",
    "qsgd_gradients",
    "read_about",
    "removable_layers",
    "removal_losses",
    "remove_channels",
    "remove_layers",
    "rewind",
    "round_activations",
    "round_aware",
    "round_by_error",
    "round_weights",
    "search_ranks",
    "separable",
    "settle",
    "share_by_hash",
    "share_weights",
    "soft_targets",
    "spatial_split",
    "svd",
    "taught_by",
    "taylor",
    "ternarise",
    "to_int8",
    "to_qdq",
    "tucker",
    "unpack",
    "weights",
]
