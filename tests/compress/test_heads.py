import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.artefact import Session, to_onnx
from netwright.compress import (
    channel_macs,
    filter_norms,
    head_importance,
    heads,
    prune_channels,
    prune_global,
    remove_channels,
    taylor,
)
from netwright.data import Input, Schema, Target, load
from netwright.measure import macs, parameters
from netwright.nn import TextTransformer
from tests.compress.small_training import learn

WORDS, TIME, WIDTH, HEADS = 9, 16, 12, 3


@pytest.fixture
def network():
    with _rng.seeded(0):
        text = TextTransformer(WORDS, WIDTH, length=TIME, n_heads=HEADS, n_blocks=2)
        return nn.Sequential(text, nn.Linear(WIDTH, 10)).eval()


@pytest.fixture
def tokens(generator):
    return torch.randint(0, WORDS, (6, TIME), generator=generator)


def attention(network, block):
    return network[0].blocks[block].attention


def columns_that_read(network, gone):
    """The weights, to be changed in place, that read what a head gathers."""
    block, head = divmod(gone, HEADS)
    size = WIDTH // HEADS
    return attention(network, block).project_out.weight.data[:, head * size : (head + 1) * size]


@pytest.mark.oracle
def test_a_head_that_nothing_reads_goes_unnoticed(network, tokens):
    found = heads(network)
    for gone in range(found.count):
        block, reads = gone // HEADS, columns_that_read(network, gone)
        kept = reads.clone()
        reads.zero_()
        thinned = remove_channels(network, tokens, found, [gone])
        with torch.no_grad():  # sums in another order
            assert torch.allclose(thinned.network(tokens), network(tokens), atol=1e-6)
        assert attention(thinned.network, block).n_heads == HEADS - 1
        assert attention(thinned.network, 1 - block).n_heads == HEADS
        reads.copy_(kept)
        with torch.no_grad():  # read again, the same head is missed
            assert not torch.allclose(thinned.network(tokens), network(tokens), atol=1e-3)


@pytest.mark.oracle
def test_costs_fall_by_what_a_head_costs(network, tokens):
    found, size = heads(network), WIDTH // HEADS
    # Queries, keys, values; scores; what is gathered; the columns that read it.
    each = TIME * WIDTH * 3 * size + 2 * TIME * TIME * size + TIME * size * WIDTH
    assert channel_macs(network, tokens, found).tolist() == [each] * found.count
    thinned = remove_channels(network, tokens, found, [1, 3, 5])
    assert thinned.macs[0] - thinned.macs[1] == 3 * each
    fewer = parameters(network) - parameters(thinned.network)
    assert fewer == 3 * (3 * size * (WIDTH + 1) + size * WIDTH)  # with the biases of the rows
    assert thinned.widths["0.blocks.1.attention.project_in.weight"] == (3 * WIDTH, 3 * size)


@pytest.mark.oracle
def test_importance_is_the_mean_size_of_a_gates_derivative(network, tokens):
    found, y = heads(network), torch.arange(6)
    batches = [(tokens[:4], y[:4]), (tokens[4:], y[4:])]
    importance = head_importance(network, found, batches, functional.cross_entropy)
    expected = torch.zeros(found.count)
    eps, wide = 1e-3, network.double()
    for gone in range(found.count):  # differences of each example's loss, one by one
        reads = columns_that_read(wide, gone)
        kept, sides = reads.clone(), []
        for factor in (1 - eps, 1 + eps):
            reads.copy_(kept * factor)
            with torch.no_grad():
                sides.append(functional.cross_entropy(wide(tokens), y, reduction="none"))
        reads.copy_(kept)
        expected[gone] = ((sides[1] - sides[0]) / (2 * eps)).abs().mean()
    for alike in map(list, found.sets):
        expected[alike] /= expected[alike].norm()
    # Derivatives in single precision against differences in double, whose error is of eps^2.
    assert torch.allclose(importance, expected, rtol=1e-3, atol=1e-4)


def test_what_is_known_of_channels_holds_for_heads(network, tokens):
    found, y = heads(network), torch.arange(6)
    norms = filter_norms(network, found)
    assert norms.shape == (found.count,) and norms.mean().item() == pytest.approx(1)
    effects = taylor(network, found, [(tokens, y)], functional.cross_entropy)
    assert bool((effects > 0).all())
    least = prune_channels(network, tokens, found, effects, macs=0.01 + 2 / 3)
    assert least.macs[1] / least.macs[0] <= 0.01 + 2 / 3


def test_text_with_fewer_heads_is_exported(network, tokens, tmp_path):
    schema = Schema(
        Input("text", (TIME,), vocabulary=tuple("abcdefg")),
        Target("class", ("label",), classes=tuple("0123456789")),
    )
    thinned = remove_channels(network, tokens, heads(network), [0, 2, 4])
    file = to_onnx(thinned.network, schema, sample=tokens[:2])
    assert len(file) < len(to_onnx(network, schema, sample=tokens[:2]))
    (tmp_path / "m.onnx").write_bytes(file)
    with torch.no_grad():
        wanted = thinned.network(tokens)
    assert torch.allclose(Session(tmp_path / "m.onnx").predict(tokens), wanted, atol=1e-5)


def test_heads_by_importance_cost_less_than_the_most_important():
    # Digits of 4 x 4 pixels, each a word.
    task = load("digits", seed=0)
    with _rng.seeded(0):
        text = TextTransformer(18, 16, length=16, n_heads=8, n_blocks=1)
        words = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), _Words())
        network = nn.Sequential(words, text, nn.Linear(16, 10))
    x, y = task.train.take(range(512)), task.train.y[:512]
    learn(network, x, y, steps=50, learning_rate=0.02)
    found = heads(network)
    importance = head_importance(network, found, [(x, y)], functional.cross_entropy)
    test, labels = task.validation.take(slice(None)), task.validation.y

    def loss_without(order):
        left = remove_channels(network, x[:4], found, order[:4].tolist()).network
        with torch.no_grad():
            return functional.cross_entropy(left.eval()(test), labels).item()

    order = importance.argsort()
    assert loss_without(order) < loss_without(order.flip(0))


class _Words(nn.Module):
    """Grey values as words from 1 to 17."""

    def forward(self, x):
        return (x * 16).round().long() + 1


def test_what_has_no_heads_is_refused(network, tokens):
    with pytest.raises(ValueError, match="has no attention layer with heads"):
        heads(nn.ReLU())
    with pytest.raises(ValueError, match="at least one batch"):
        head_importance(network, heads(network), [], functional.cross_entropy)
    with pytest.raises(ValueError, match="one has to stay"):
        remove_channels(network, tokens, heads(network), [0, 1, 2])
    with _rng.seeded(0):
        single = TextTransformer(WORDS, 4, length=TIME, n_heads=1, n_blocks=1)
    assert heads(single).count == 0
    assert heads(single).untouched == {
        "blocks.0.attention.project_in.weight": "it has one head, which has to stay"
    }
    prune_global(network, keep=0.5)
    with pytest.raises(ValueError, match="held by a constraint"):
        heads(network)


def test_all_but_one_head_can_go(network, tokens):
    found = heads(network)
    left = prune_channels(network, tokens, found, torch.arange(found.count).float(), macs=0.62)
    assert attention(left.network, 0).n_heads == 1
    assert macs(left.network, tokens).macs < macs(network, tokens).macs
