"""Recurrent layers against ONNX Runtime."""

import pytest
import torch

pytestmark = pytest.mark.oracle
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
T, B, D, H = 5, 3, 4, 6


def weights(op, directions, generator):
    g = GATES[op]
    shapes = (directions, g * H, D), (directions, g * H, H), (directions, 2 * g * H)
    return [torch.randn(*s, generator=generator) / 2 for s in shapes]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_directions(agrees, op, direction, generator):
    n = 2 if direction == "bidirectional" else 1
    x = torch.randn(T, B, D, generator=generator)
    n_outputs = 3 if op == "LSTM" else 2
    w, r, b = weights(op, n, generator)
    settings = {"hidden_size": H, "direction": direction, "n_outputs": n_outputs}
    assert agrees(op, x, w, r, b, **settings)
    assert agrees(op, x, w, r, **settings)
    states = [torch.randn(n, B, H, generator=generator) for _ in range(n_outputs - 1)]
    assert agrees(op, x, w, r, b, None, *states, **settings)
    lengths = torch.tensor([5, 2, 3], dtype=torch.int32)
    assert agrees(op, x, w, r, b, lengths, *states, **settings)


def test_gru_that_resets_after_the_product(agrees, generator):
    x = torch.randn(T, B, D, generator=generator)
    w, r, b = weights("GRU", 1, generator)
    assert agrees("GRU", x, w, r, b, hidden_size=H, linear_before_reset=1, n_outputs=2)


def test_lstm_with_peepholes(agrees, generator):
    x = torch.randn(T, B, D, generator=generator)
    peepholes = torch.randn(1, 3 * H, generator=generator)
    w, r, b = weights("LSTM", 1, generator)
    assert agrees("LSTM", x, w, r, b, None, None, None, peepholes, hidden_size=H, n_outputs=3)


def test_rnn_with_relu(agrees, generator):
    x = torch.randn(T, B, D, generator=generator)
    w, r, b = weights("RNN", 1, generator)
    assert agrees("RNN", x, w, r, b, hidden_size=H, activations=["Relu"], n_outputs=2)
