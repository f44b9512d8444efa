"""Schemas, designs of every family and measured records that the tests of this folder share."""

import torch

from netwright.data import Column, Input, Schema, Target
from netwright.design import Candidate, Design, Record
from netwright.finding import Measurement
from netwright.learn import Recipe

CLASS = Target("class", ("kind",), ("one", "two", "three"))
LABELS = Target("labels", ("tags",), ("short", "kind"))
VALUE = Target("value", ("income",), mean=(30.0,), std=(5.0,))
VALUES = Target("values", ("x", "y"), mean=(1.0, -2.0), std=(0.5, 3.0))

MIXED = (
    Column("age", "number", mean=40.0, std=10.0, minimum=17.0, maximum=90.0,
           quantiles=(20.0, 30.0, 30.5, 60.0)),
    Column("rooms", "number", has_missing=True, mean=3.0, std=1.0, minimum=1.0, maximum=9.0,
           quantiles=(2.0, 3.0)),
    Column("flat", "number", mean=7.0, minimum=7.0, maximum=7.0),
    Column("town", "category", ("Rome", "Köln"), has_missing=True),
    Column("member", "boolean", has_missing=True, mean=0.3, std=0.4),
    Column("since", "date", mean=9000.0, std=900.0, minimum=8000.0, maximum=9999.0),
)  # fmt: skip
WORDS = ("good", "bad", "film", "it's", "!", "a", "plot")

INPUTS = {
    "image 1x8x8": Input("image", (1, 8, 8), mean=(0.3,), std=(0.4,)),
    "image 3x32x32": Input("image", (3, 32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.0)),
    "image 1x28x28": Input("image", (1, 28, 28)),
    "image 3x64x48": Input("image", (3, 64, 48)),
    "table mixed": Input("table", (6,), columns=MIXED),
    "table numbers": Input("table", (2,), columns=MIXED[:2]),
    "table categories": Input("table", (1,), columns=MIXED[3:4]),
    "text": Input("text", (9,), text_columns=("text",), vocabulary=WORDS),
    "sequence 2x24": Input(
        "sequence", (2, 24), channels=("x", "y"), rate=10.0, mean=(3.0, -1.0), std=(2.0, 0.5)
    ),
    "sequence 1x300 of sound": Input(
        "sequence", (1, 300), channels=("sound",), rate=2000.0, mean=(0.0,), std=(0.1,)
    ),
}
# Each family, and other arguments than its defaults: small, so that a test takes milliseconds.
FAMILIES = {
    "cells": {
        "normal": [[0, "sep3x3", 1, "identity"], [2, "conv1x1", 1, "avgpool3x3"]],
        "reduction": [[1, "identity", 1, "sep5x5"], [1, "avgpool3x3", 2, "conv3x3"]],
        "width": 4,
        "p_drop": 0.1,
    },
    "macro_cnn": {
        "layers": [
            {"operation": "conv5x5", "width": 4, "stride": 2},
            {"operation": "sep3x3", "width": 5, "stride": 2},
            {"operation": "avgpool3x3", "width": 6, "skips": [0]},
            {"operation": "conv1x1", "width": 6, "stride": 1, "skips": [0, 1]},
        ]
    },
    "macro_mlp": {
        "layers": [
            {"operation": "normal", "width": 8},
            {"operation": "narrow", "width": 8},
            {"operation": "residual", "width": 6, "skips": [0]},
            {"operation": "identity", "width": 6, "skips": [0, 1]},
        ],
        "number_width": 3,
    },
    "macro_sequence": {
        "layers": [
            {"operation": "maxpool3", "width": 4, "stride": 2},
            {"operation": "sep5", "width": 5, "stride": 2},
            {"operation": "avgpool3", "width": 6, "skips": [0]},
            {"operation": "dil3by2", "width": 6, "skips": [0, 1]},
        ],
        "p_drop": 0.1,
    },
    "plain_cnn": {"widths": [4, 6], "strides": [1, 2], "hidden": 7, "p_drop": 0.1},
    "reduced": {
        "base": "small_cnn",
        "arguments": {"stem": 4, "widths": [6, 8], "strides": [2, 1], "p_drop": 0.1},
        "factors": {"head": [2]},
        "joined": [["stem.0", "stem.1"]],
        "sizes": {
            "block2.1.0.weight": [5, 6, 1, 1],
            **{f"block2.1.1.{name}": [5] for name in ("weight", "bias")},
            **{f"block2.1.1.running_{name}": [5] for name in ("mean", "var")},
            "head.0.weight": [2, 5],
        },
    },
    "residual_cnn": {"widths": [4, 8], "blocks": [0, 1], "squeeze": True, "p_drop_block": 0.1},
    "sequence_cells": {
        "normal": [[0, "sep5", 1, "identity"], [2, "dil3by4", 1, "maxpool3"]],
        "reduction": [[1, "identity", 1, "sep9"], [1, "avgpool3", 2, "conv3"]],
        "width": 4,
        "p_drop": 0.1,
    },
    "sequence_gru": {"width": 5, "hidden": 4, "stride": 2},
    "sequence_inception": {"width": 3, "n_blocks": 1, "depth": 2, "kernels": [7, 3], "stem": 4},
    "sequence_kernels": {"n_biases": 2, "n_dilations": 2},
    "sequence_mlp": {"width": 6},
    "sequence_resnet": {"widths": [4, 5], "strides": [1, 2], "p_drop": 0.1, "p_drop_block": 0.1},
    "sequence_spectrogram": {
        "window": 16,
        "hop": 4,
        "n_bands": 6,
        "widths": [4, 5],
        "blocks": [1, 0],
        "n_mask": 2,
    },
    "small_cnn": {"stem": 4, "widths": [6, 8], "strides": [2, 1], "p_drop": 0.1},
    "table_cells": {
        "normal": [[0, "linear", 1, "residual"], [2, "narrow", 1, "normal"]],
        "width": 8,
        "number_width": 3,
    },
    "table_mlp": {"width": 8, "depth": 1, "numbers": "periodic", "number_width": 3},
    "tabm": {"width": 8, "depth": 1, "n_members": 3, "number_width": 3},
    "text_bag": {"width": 6, "longest": 3, "n_buckets": 32, "hidden": 5},
    "text_cells": {
        "normal": [[0, "conv3", 1, "identity"], [2, "conv1", 2, "maxpool3"]],
        "reduction": [[0, "avgpool3", 1, "conv5"]],
        "width": 6,
        "n_reductions": 1,
    },
    "text_cnn": {"width": 6, "n_filters": 4, "windows": [2, 3]},
    "text_gru": {"width": 6, "hidden": 5},
    "text_linear": {"longest": 2, "n_buckets": 32},
    "text_transformer": {"width": 8, "n_heads": 2, "n_blocks": 1},
    "tiny_cells": {
        "edges": ["conv3x3", "avgpool3x3", "none", "identity", "conv3x3"],
        "widths": [4, 5],
    },
}
TARGETS = {"class": CLASS, "labels": LABELS, "value": VALUE, "values": VALUES}


KIND = {
    name: name.split("_")[0] for name in FAMILIES if name.startswith(("sequence", "table", "text"))
}
KIND |= {"residual_cnn": "image", "small_cnn": "image", "tabm": "table", "tiny_cells": "image"}
KIND |= {"cells": "image", "plain_cnn": "image", "macro_cnn": "image", "macro_mlp": "table"}
KIND |= {"reduced": "image", "macro_sequence": "sequence"}


def reads(family: str, where: str) -> bool:
    """Whether a family reads the input of this name."""
    return INPUTS[where].kind == KIND[family]


def rows_for(schema: Schema, n: int, generator: torch.Generator) -> torch.Tensor:
    """Inputs as the network receives them, with missing values and padding."""
    shape = (n, *schema.input.shape)
    if schema.input.kind == "image":
        return torch.rand(shape, generator=generator)
    if schema.input.kind == "text":
        tokens = torch.randint(1, len(WORDS) + 2, shape, generator=generator)
        lengths = torch.randint(1, shape[1] + 1, (n, 1), generator=generator)
        return tokens * (torch.arange(shape[1]) < lengths)
    if schema.input.kind == "sequence":
        mean, std = (torch.tensor(v)[:, None] for v in (schema.input.mean, schema.input.std))
        steps = mean + std * torch.randn(shape, generator=generator)
        steps[torch.rand(shape, generator=generator) < 0.1] = torch.nan
        lengths = torch.randint(1, shape[2] + 1, (n, 1, 1), generator=generator)
        return steps.masked_fill(torch.arange(shape[2]) >= lengths, torch.nan)
    columns = []
    for column in schema.input.columns:
        if column.kind == "category":
            codes = torch.randint(len(column.categories) + 1, (n,), generator=generator)
            columns.append(codes.float())
            continue
        if column.kind == "boolean":
            values = torch.randint(2, (n,), generator=generator).float()
        else:
            values = column.mean + column.std * torch.randn(n, generator=generator)
        if column.has_missing:
            values[torch.rand(n, generator=generator) < 0.3] = torch.nan
        columns.append(values)
    return torch.stack(columns, dim=1)


def exactly(value: float, unit: str = "") -> Measurement:
    return Measurement(value, value, value, 100, unit)


def about(value: float, reach: float, unit: str = "") -> Measurement:
    return Measurement(value, value - reach, value + reach, 100, unit, "bootstrap")


def design(name: str) -> Design:
    return Design(name, "small_cnn", {"stem": 4}, Recipe())


def record(number, *, status="steps", fidelity=1.0, axis="epochs", **measured) -> Record:
    """A record of candidate `number`; measurements by name, plain numbers are exact."""
    units = {"size": "bytes", "params": "parameters"}
    found = {
        name: m if isinstance(m, Measurement) else exactly(m, units.get(name.split()[0], ""))
        for name, m in measured.items()
    }
    candidate = Candidate(number, design(f"design {number}"), fidelity, axis=axis)
    return Record(candidate, found, 1.0, status)
