import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.nn import SelfAttention, TextTransformer, TransformerBlock

# float64 sums of a few dozen terms of size 1, in another order
CLOSE = {"atol": 1e-12, "rtol": 0}
VISIBLE = torch.tensor([[True] * 5, [True, True, False, False, False]])


@pytest.fixture
def states(generator):
    return torch.randn(2, 5, 8, dtype=torch.float64, generator=generator)


def copy_weights(ours: SelfAttention, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.project_in.weight)
        theirs.in_proj_bias.copy_(ours.project_in.bias)
        theirs.out_proj.weight.copy_(ours.project_out.weight)
        theirs.out_proj.bias.copy_(ours.project_out.bias)


@pytest.mark.oracle
@pytest.mark.parametrize("n_heads", [1, 2, 8])
def test_attention_equals_torch_with_the_same_weights(states, n_heads):
    with seeded(0):
        ours = SelfAttention(8, n_heads=n_heads, dtype=torch.float64)
        theirs = nn.MultiheadAttention(8, n_heads, batch_first=True, dtype=torch.float64)
    copy_weights(ours, theirs)
    expected, _ = theirs(states, states, states, key_padding_mask=~VISIBLE, need_weights=False)
    torch.testing.assert_close(ours(states, VISIBLE), expected, **CLOSE)


@pytest.mark.oracle
def test_block_equals_torch_encoder_layer(states):
    with seeded(0):
        ours = TransformerBlock(8, n_heads=2, hidden=12, dtype=torch.float64)
        theirs = nn.TransformerEncoderLayer(
            8, 2, 12, dropout=0.0, activation="gelu", norm_first=True, batch_first=True,
            dtype=torch.float64,
        )  # fmt: skip
    copy_weights(ours.attention, theirs.self_attn)
    pairs = [
        (ours.norm_attention, theirs.norm1),
        (ours.norm_network, theirs.norm2),
        (ours.network[0], theirs.linear1),
        (ours.network[2], theirs.linear2),
    ]
    for mine, other in pairs:
        with seeded(1), torch.no_grad():
            mine.weight.add_(torch.randn_like(mine.weight))
        other.load_state_dict(mine.state_dict())
    expected = theirs(states, src_key_padding_mask=~VISIBLE)
    found = ours(states, VISIBLE)
    # torch leaves hidden places to whatever its fast path makes of them
    torch.testing.assert_close(found[VISIBLE], expected[VISIBLE], **CLOSE)


def test_hidden_places_change_no_visible_one(states):
    with seeded(0):
        block = TransformerBlock(8, n_heads=2, hidden=12, dtype=torch.float64)
    changed = states.clone()
    changed[1, 2:] += 3
    before, after = block(states, VISIBLE), block(changed, VISIBLE)
    assert torch.equal(before[VISIBLE], after[VISIBLE])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_text_without_words_stays_finite(dtype):
    with seeded(0):
        network = TextTransformer(9, 8, length=5, n_heads=2, n_blocks=1, dtype=dtype)
    encoded = network(torch.zeros(2, 5, dtype=torch.int64))
    assert encoded.dtype == dtype
    assert torch.equal(encoded, torch.zeros_like(encoded))


def test_padding_changes_no_text():
    with seeded(0):
        network = TextTransformer(9, 8, length=6, n_heads=2, dtype=torch.float64)
    tokens = torch.tensor([[3, 4, 5]])
    padded = torch.tensor([[3, 4, 5, 0, 0, 0]])
    torch.testing.assert_close(network(padded), network(tokens), **CLOSE)


def test_word_order_matters_by_position_alone():
    with seeded(0):
        network = TextTransformer(9, 8, length=3, n_heads=2, dtype=torch.float64)
    there, back = torch.tensor([[3, 4, 5]]), torch.tensor([[5, 4, 3]])
    assert not torch.allclose(network(there), network(back), atol=1e-6)
    with torch.no_grad():
        network.positions.zero_()
    torch.testing.assert_close(network(there), network(back), **CLOSE)


def test_width_must_be_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match=r"`width` must be a multiple of the 3 heads; got 8\."):
        SelfAttention(8, n_heads=3)


def test_sizes_of_the_encoder():
    with seeded(0):
        network = TextTransformer(9, 8, length=3, n_heads=2, n_blocks=3, hidden=5)
    assert len(network.blocks) == 3
    assert network.blocks[0].network[0].out_features == 5
    assert network(torch.ones(2, 3, dtype=torch.int64)).shape == (2, network.out_features)
