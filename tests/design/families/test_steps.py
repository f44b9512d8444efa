"""Networks over steps and words: where an example ends; padding behind it does not count."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.verify import intervals, read_bounded, read_text
from netwright.compress import channels, filter_norms, prune_channels
from netwright.data import Schema
from netwright.design import build_network
from netwright.design.families._steps import (
    EmbedWords,
    MeanOverSteps,
    OverWords,
    StackWithin,
    StepsWithin,
    WordsWithin,
    at_steps,
    halved_to,
)
from netwright.design.spaces import cell_space, macro_space
from netwright.learn._bounds import bounded

from ..samples import CLASS, INPUTS, rows_for

SEQUENCES = Schema(INPUTS["sequence 2x24"], CLASS)
TEXTS = Schema(INPUTS["text"], CLASS)
SPACES = {
    "macro, sequences": (macro_space(SEQUENCES), SEQUENCES),
    "cells, sequences": (cell_space(SEQUENCES, widths=(4,), n_reductions=2), SEQUENCES),
    "cells, texts": (cell_space(TEXTS, widths=(4,), n_reductions=2), TEXTS),
}
EVERY = pytest.mark.parametrize("name", SPACES)


def networks(name, n, generator):
    """Networks of random codes, their statistics and biases far from 0."""
    space, schema = SPACES[name]
    for number in range(n):
        code = tuple(
            int(torch.randint(len(d.options), (), generator=generator)) for d in space.decisions
        )
        design = space.design(code)
        network = build_network(design, schema, seed=number)
        with seeded(number), torch.no_grad():
            for module in network.modules():
                if isinstance(module, nn.BatchNorm1d):
                    for tensor in (module.weight, module.bias, module.running_mean):
                        nn.init.normal_(tensor)
                    module.running_var.uniform_(0.5, 2.0)
        yield design, network.eval()


@EVERY
@pytest.mark.oracle
def test_the_answer_does_not_depend_on_how_far_an_example_is_padded(name, generator):
    _, schema = SPACES[name]
    *rest, T = schema.input.shape
    x = rows_for(schema, 8, generator)
    x[0] = rows_for(schema, 60, generator).nan_to_num(0)[-1]  # one without an end
    for more in (1, 7):
        longer = replace(schema, input=replace(schema.input, shape=(*rest, T + more)))
        behind = torch.full((8, *rest, more), torch.nan if x.is_floating_point() else 0).to(x.dtype)
        for design, network in networks(name, 6, generator):
            other = build_network(design, longer, seed=0).eval()
            other.load_state_dict(network.state_dict())
            found = other(torch.cat([x, behind], dim=-1))
            # float32 sums of some dozen terms of size 1, in another order
            torch.testing.assert_close(found, network(x), atol=1e-4, rtol=1e-4)


def test_without_a_mask_padding_would_count(generator):
    """The planted fault: a stack that is not told where sequences end."""
    network = next(iter(networks("macro, sequences", 1, generator)))[1]
    x = rows_for(SEQUENCES, 8, generator)
    states = network.encode.front(x)
    blind = network.encode.stack(states)
    longer = network.encode.stack(torch.cat([states, torch.zeros(8, 3, 7)], dim=-1))
    kept = longer[..., : blind.shape[-1]]
    assert not torch.allclose(kept, blind, atol=1e-3)


def test_masks_are_halved_around_every_second_step():
    mask = torch.tensor([[[1.0, 1.0, 1.0, 1.0, 0.0]]])
    assert halved_to(mask, 5) is mask
    assert halved_to(mask, 3).tolist() == [[[1.0, 1.0, 0.0]]]
    assert halved_to(mask, 2).tolist() == [[[1.0, 0.0]]]
    states = torch.ones(1, 2, 3)
    assert at_steps(states, None) is states
    assert at_steps(states, mask).tolist() == [[[1.0, 1.0, 0.0]] * 2]


def test_words_are_summed_up_by_mean_and_maximum_and_nothing_is_zero():
    mask = torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])
    states = torch.tensor([[[1.0, 5.0, 9.0], [-1.0, -3.0, 0.0]]] * 2) * mask
    assert OverWords()(states, mask).tolist() == [[3.0, -2.0, 5.0, 0.0], [0.0] * 4]
    assert MeanOverSteps()(states, mask).tolist() == [[3.0, -2.0], [0.0, 0.0]]


class Sum(nn.Module):
    """A stack that hands on what it reads."""

    def forward(self, states, mask):
        return states


def test_stacks_are_told_where_examples_end():
    with seeded(0):
        words = StackWithin(EmbedWords(9, 4), WordsWithin(), Sum(), OverWords()).eval()
    tokens = torch.tensor([[3, 5, 0, 0]])
    vectors = words.front.embedding.weight[[3, 5]]
    expected = torch.cat([vectors.mean(0), vectors.amax(0).relu()])
    torch.testing.assert_close(words(tokens)[0], expected)
    steps = StackWithin(nn.Identity(), StepsWithin(), Sum(), MeanOverSteps())
    x = torch.tensor([[[1.0, 4.0, 0.0]]])
    torch.testing.assert_close(steps(x), torch.tensor([[5 / 3]]))


@pytest.mark.parametrize("name", list(SPACES)[:2])  # words have no neighbours within a distance
@pytest.mark.oracle
def test_whole_networks_are_bounded_while_training(name, generator):
    _, schema = SPACES[name]
    x = rows_for(schema, 3, generator)
    for _, network in networks(name, 2, generator):
        found = bounded(network, x, x - 0.05, x + 0.05)
        moves = 2 * torch.rand((60, *x.shape), generator=generator) - 1
        met = network((x + 0.05 * moves).flatten(0, 1)).unflatten(0, (60, 3))
        slack = 1e-4 * (1 + met.abs().amax())  # float32
        assert (found.low <= met.amin(0) + slack).all()
        assert (found.high >= met.amax(0) - slack).all()


@EVERY
@pytest.mark.oracle
@pytest.mark.claim  # the suite takes channels out of each operation
def test_whole_channels_come_out_of_whole_networks(name, generator):
    _, schema = SPACES[name]
    x = rows_for(schema, 4, generator)
    _, network = next(iter(networks(name, 1, generator)))
    found = channels(network, x)
    # Which checks that the smaller network computes what the others gave.
    thinned = prune_channels(network, x, found, filter_norms(network, found), macs=0.7)
    assert list(thinned.untouched) == ["head.weight"]
    assert thinned.network(x).shape == (4, 3)


@EVERY
@pytest.mark.oracle
@pytest.mark.claim  # half a minute of exports and bounds; the suite bounds each operation
def test_whole_networks_are_bounded_as_shipped(name, generator):
    _, schema = SPACES[name]
    _, network = next(iter(networks(name, 1, generator)))
    if schema is TEXTS:
        x = rows_for(schema, 1, generator)
        read = read_text(network, x)
        program, x, run = read.program, read.x, read.program.run
    else:
        x = torch.randn((1, *schema.input.shape), generator=generator).double()
        program, run = read_bounded(network, sample=x.float()), network.double()
    box = intervals(program, x - 0.01, x + 0.01)
    with torch.no_grad():
        for _ in range(40):
            met = run(x + 0.01 * (2 * torch.rand(x.shape, generator=generator) - 1))
            assert (box.least[program.target] <= met + 1e-9).all()
            assert (box.most[program.target] >= met - 1e-9).all()
