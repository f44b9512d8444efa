import pytest
import torch

from netwright._rng import seeded
from netwright.nn import SelfAttention, TextTransformer, TransformerBlock


@pytest.mark.oracle
@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_attention_equals_torch(n_heads, generator):
    with seeded(0):
        mine = SelfAttention(8, n_heads=n_heads, dtype=torch.float64)
        theirs = torch.nn.MultiheadAttention(8, n_heads, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "in_proj_weight": mine.project_in.weight,
            "in_proj_bias": mine.project_in.bias,
            "out_proj.weight": mine.project_out.weight,
            "out_proj.bias": mine.project_out.bias,
        }
    )
    x = torch.randn(3, 5, 8, generator=generator, dtype=torch.float64)
    visible = torch.ones(3, 5, dtype=torch.bool)
    visible[1, 3:] = False
    expected, _ = theirs(x, x, x, key_padding_mask=~visible, need_weights=False)
    torch.testing.assert_close(mine(x, visible), expected)


@pytest.mark.oracle
def test_block_equals_torch(generator):
    with seeded(0):
        mine = TransformerBlock(8, n_heads=2, hidden=16, dtype=torch.float64).eval()
        theirs = torch.nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
        ).eval()
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": mine.attention.project_in.weight,
            "self_attn.in_proj_bias": mine.attention.project_in.bias,
            "self_attn.out_proj.weight": mine.attention.project_out.weight,
            "self_attn.out_proj.bias": mine.attention.project_out.bias,
            "linear1.weight": mine.network[0].weight,
            "linear1.bias": mine.network[0].bias,
            "linear2.weight": mine.network[2].weight,
            "linear2.bias": mine.network[2].bias,
            "norm1.weight": mine.norm_attention.weight,
            "norm1.bias": mine.norm_attention.bias,
            "norm2.weight": mine.norm_network.weight,
            "norm2.bias": mine.norm_network.bias,
        }
    )
    x = torch.randn(3, 5, 8, generator=generator, dtype=torch.float64)
    found = mine(x, torch.ones(3, 5, dtype=torch.bool))
    torch.testing.assert_close(found, theirs(x))


def transformer():
    with seeded(0):
        return TextTransformer(50, 8, length=16, n_heads=2, n_blocks=2).eval()


def test_padding_changes_nothing(generator):
    tokens = torch.randint(1, 50, (4, 9), generator=generator)
    longer = torch.nn.functional.pad(tokens, (0, 7))
    torch.testing.assert_close(transformer()(tokens), transformer()(longer))


def test_an_empty_text_is_zero():
    assert transformer()(torch.zeros(2, 9, dtype=torch.int64)).abs().sum() == 0


def test_order_matters():
    found = transformer()(torch.tensor([[3, 4, 5], [5, 4, 3]]))
    assert (found[0] - found[1]).abs().max() > 1e-4


def test_width_must_be_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="`width` must be a multiple of the 3 heads; got 8"):
        SelfAttention(8, n_heads=3)
