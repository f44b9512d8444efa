"""A linear model of fixed kernels' responses (MiniRocket, Dempster et al. 2021)."""

import math

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_series_layer,
    require_kind,
    scale_back,
)
from netwright.nn import KernelBank

__all__ = ["sequence_kernels"]


def sequence_kernels(schema: Schema, *, n_biases: int = 3, n_dilations: int = 5) -> nn.Sequential:
    """Build the kernels and the linear map; `design.initialise` solves it by ridge regression.

    Args:
        schema: of the task; a sequence input.
        n_biases: features of each kernel and dilation.
        n_dilations: most dilations, 1, 2, 4 and so on, as far as nine weights fit the sequence.

    Returns:
        A sequence: kernels(, denormalise).

    Raises:
        ValueError: if the input is no sequence.
    """
    require_kind(schema, "sequence", "sequence_kernels")
    front = first_series_layer(schema)
    target, steps = schema.target, schema.input.shape[1]
    fitting = 1 + int(math.log2(max(1.0, (steps - 1) / 8)))
    bank = KernelBank(
        front,
        front.out_features,
        target.width,
        dilations=[1 << place for place in range(min(n_dilations, fitting))],
        n_biases=n_biases,
        is_class=target.kind in ("class", "labels"),
        centre=target.mean,
        scale=tuple(s if s > 0 else 1.0 for s in target.std),
    )
    return assemble(("kernels", bank), *scale_back(schema))
