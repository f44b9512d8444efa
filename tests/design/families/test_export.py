"""What every family builds is shipped as ONNX and computes the same there."""

import pytest
import torch

from netwright._rng import seeded
from netwright.artefact import Session, write
from netwright.data import Schema
from netwright.design import Design, build_network, design_to_json

from ..samples import FAMILIES, INPUTS, LABELS, TARGETS, rows_for

CASES = {
    "cells": ("image 1x8x8", "labels"),
    "macro_cnn": ("image 3x32x32", "class"),
    "macro_mlp": ("table mixed", "class"),
    "macro_sequence": ("sequence 2x24", "class"),
    "plain_cnn": ("image 3x64x48", "class"),
    "reduced": ("image 1x8x8", "class"),
    "residual_cnn": ("image 3x32x32", "class"),
    "sequence_cells": ("sequence 2x24", "value"),
    "sequence_gru": ("sequence 2x24", "class"),
    "sequence_inception": ("sequence 2x24", "labels"),
    "sequence_kernels": ("sequence 2x24", "class"),
    "sequence_mlp": ("sequence 2x24", "value"),
    "sequence_resnet": ("sequence 2x24", "class"),
    "sequence_spectrogram": ("sequence 1x300 of sound", "class"),
    "small_cnn": ("image 1x8x8", "value"),
    "table_cells": ("table mixed", "class"),
    "table_mlp": ("table mixed", "values"),
    "tabm": ("table mixed", "class"),
    "text_bag": ("text", "class"),
    "text_cells": ("text", "class"),
    "text_cnn": ("text", "labels"),
    "text_gru": ("text", "class"),
    "text_linear": ("text", "class"),
    "text_transformer": ("text", "value"),
    "tiny_cells": ("image 1x8x8", "class"),
}


def test_every_family_is_exported():
    assert CASES.keys() == FAMILIES.keys()


@pytest.mark.slow  # half a second a family, and two for the first: nearly all torch's exporter
@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_agrees_with_torch(name, tmp_path, generator):
    where, target = CASES[name]
    design, schema = Design(name, name, FAMILIES[name]), Schema(INPUTS[where], TARGETS[target])
    assert runtimes_agree(design, schema, tmp_path, generator)


@pytest.mark.slow
@pytest.mark.oracle
def test_an_ensemble_for_labels_agrees_too(tmp_path, generator):
    design = Design("x", "tabm", {**FAMILIES["tabm"], "numbers": "periodic"})
    assert runtimes_agree(design, Schema(INPUTS["table mixed"], LABELS), tmp_path, generator)


def runtimes_agree(design, schema, folder, generator):
    network = build_network(design, schema, seed=0).eval()
    with seeded(9), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    x = rows_for(schema, 7, generator)
    written = write(network, schema, design=design_to_json(design), folder=folder, sample=x[:2])
    session = Session(written.onnx)
    for batch in (x, x[:1]):
        # float32 sums of a few hundred terms; values are some tens
        torch.testing.assert_close(session.predict(batch), network(batch), atol=1e-4, rtol=1e-5)
    return True
