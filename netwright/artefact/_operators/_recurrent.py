"""Recurrent layers, step by step: RNN, GRU, LSTM.

The gates are stacked as ONNX stacks them: z r h for GRU, i o f c for LSTM.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.artefact._graph import Node

__all__ = ["ACTIVATIONS", "OPERATORS"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


@dataclass(frozen=True, slots=True)
class _Weights:
    """One direction's: from input (gates * H, D), from state (gates * H, H), biases, peepholes."""

    w: Tensor
    r: Tensor
    input_bias: Tensor
    state_bias: Tensor
    peepholes: Tensor
    activations: Sequence[Callable[[Tensor], Tensor]]


_Step = Callable[[Node, _Weights, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def _rnn_step(node: Node, p: _Weights, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (p.activations[0](x @ p.w.T + p.input_bias + state[0] @ p.r.T + p.state_bias),)


def _gru_step(node: Node, p: _Weights, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (h,) = state
    gate, candidate = p.activations[0], p.activations[1]
    xz, xr, xh = (x @ p.w.T + p.input_bias).chunk(3, -1)
    rz, rr, rh = p.r.chunk(3)
    bz, br, bh = p.state_bias.chunk(3)
    z, r = gate(xz + h @ rz.T + bz), gate(xr + h @ rr.T + br)
    if node.get("linear_before_reset", 0):
        new = candidate(xh + r * (h @ rh.T + bh))
    else:
        new = candidate(xh + (r * h) @ rh.T + bh)
    return ((1 - z) * new + z * h,)


def _lstm_step(node: Node, p: _Weights, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    h, c = state
    gate, candidate, output = p.activations
    i, o, f, new = (x @ p.w.T + p.input_bias + h @ p.r.T + p.state_bias).chunk(4, -1)
    pi, po, pf = p.peepholes.chunk(3)
    c = gate(f + pf * c) * c + gate(i + pi * c) * candidate(new)
    return gate(o + po * c) * output(c), c


def _recurrent(step: _Step, gates: int, defaults: Sequence[str]) -> Callable[..., object]:
    def run(
        node: Node,
        x: Tensor,
        w: Tensor,
        r: Tensor,
        b: Tensor | None = None,
        lengths: Tensor | None = None,
        initial_h: Tensor | None = None,
        initial_c: Tensor | None = None,
        peepholes: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        batch_first = bool(node.get("layout", 0))
        x = x.transpose(0, 1) if batch_first else x  # (T, B, D)
        n_states = 2 if gates == 4 else 1
        directions, hidden = r.shape[0], r.shape[2]
        b = x.new_zeros(directions, 2 * gates * hidden) if b is None else b
        peepholes = x.new_zeros(directions, 3 * hidden) if peepholes is None else peepholes
        names = [a.lower() for a in node.get("activations", tuple(defaults) * directions)]
        outputs, finals = [], []
        for d in range(directions):
            start = []
            for given in (initial_h, initial_c)[:n_states]:
                if given is None:
                    start.append(x.new_zeros(x.shape[1], hidden))
                else:
                    start.append(given[:, d] if batch_first else given[d])
            chosen = names[d * len(defaults) : (d + 1) * len(defaults)]
            biases = b[d].chunk(2)
            weights = _Weights(
                w[d], r[d], biases[0], biases[1], peepholes[d], [ACTIVATIONS[a] for a in chosen]
            )
            backwards = node.get("direction", "forward") == "reverse" or d == 1
            out, state = _walk(step, node, weights, x, tuple(start), lengths, backwards)
            outputs.append(out)
            finals.append(state)
        y = torch.stack(outputs, 1)  # (T, directions, B, H)
        last = [torch.stack([state[i] for state in finals]) for i in range(n_states)]
        if batch_first:
            y, last = y.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in last]
        return y, *last

    return run


def _walk(
    step: _Step,
    node: Node,
    weights: _Weights,
    x: Tensor,
    state: tuple[Tensor, ...],
    lengths: Tensor | None,
    backwards: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    T = x.shape[0]
    outputs: list[Tensor] = [x.new_zeros(0)] * T
    for t in reversed(range(T)) if backwards else range(T):
        new = step(node, weights, x[t], state)
        if lengths is None:
            state, outputs[t] = new, new[0]
            continue
        alive = (t < lengths).unsqueeze(-1)  # (B, 1); a row beyond its end keeps its state
        state = tuple(torch.where(alive, n, o) for n, o in zip(new, state, strict=True))
        outputs[t] = torch.where(alive, new[0], torch.zeros_like(new[0]))
    return torch.stack(outputs), state


OPERATORS: dict[str, Callable[..., object]] = {
    "GRU": _recurrent(_gru_step, 3, ("sigmoid", "tanh")),
    "LSTM": _recurrent(_lstm_step, 4, ("sigmoid", "tanh", "tanh")),
    "RNN": _recurrent(_rnn_step, 1, ("tanh",)),
}
