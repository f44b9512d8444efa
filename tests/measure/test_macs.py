import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from netwright._rng import seeded
from netwright.measure import macs, parameters


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Last(nn.Module):
    """The first of several outputs."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


SHARED = {
    "linear": (lambda: nn.Linear(7, 5), (3, 7)),
    "linear, no bias": (lambda: nn.Linear(7, 5, bias=False), (3, 7)),
    "linear over time": (lambda: nn.Linear(7, 5), (3, 4, 7)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 5), (2, 3, 11)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1, stride=2), (2, 3, 9, 8)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 5, 6)),
    "grouped": (lambda: nn.Conv2d(6, 4, 3, groups=2), (2, 6, 7, 7)),
    "depthwise": (lambda: nn.Conv2d(6, 6, 3, groups=6, padding=1), (2, 6, 7, 7)),
    "dilated": (lambda: nn.Conv2d(3, 4, 3, dilation=2), (2, 3, 9, 9)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), (2, 4, 5, 5)),
    "transposed, grouped": (lambda: nn.ConvTranspose1d(4, 6, 3, groups=2), (2, 4, 5)),
    "bmm": (lambda: Function(lambda x: x @ x.mT), (2, 3, 4)),
    "baddbmm": (lambda: Function(lambda x: torch.baddbmm(x, x, x)), (2, 3, 3)),
    "einsum": (lambda: Function(lambda x: torch.einsum("bij,bkj->bik", x, x)), (2, 3, 4)),
    "gru": (lambda: Last(nn.GRU(4, 6, 2, batch_first=True, bidirectional=True)), (2, 5, 4)),
    "tower": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
        ),
        (3, 1, 8, 8),
    ),
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", SHARED)
def test_equals_torchs_counter_to_the_unit(name, generator):
    build, shape = SHARED[name]
    with seeded(0):
        network = build().eval()
    x = torch.randn(shape, generator=generator)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    costs = macs(network, x)
    assert 2 * costs.macs == counter.get_total_flops() > 0
    assert costs.parameters == parameters(network)


@pytest.mark.oracle
@pytest.mark.parametrize("causal", [False, True])
def test_fused_attention_counts_as_its_two_products(causal, generator):
    # torch's counter knows no fused attention on the CPU; unfused, it sees both products.
    def attend(x):
        return F.scaled_dot_product_attention(x, x[:, :, :5], x[:, :, :5], is_causal=causal)

    x = torch.randn(2, 3, 7, 4, generator=generator)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        attend(x)
    costs = macs(Function(attend), x)
    assert 2 * costs.macs == counter.get_total_flops() == 2 * 2 * (2 * 3 * 7 * 5 * 4)
    assert "attention" in costs.rows[0].operator


@pytest.mark.oracle
def test_whole_layers_that_torch_fuses_are_taken_apart(generator):
    x = torch.randn(2, 5, 16, generator=generator)
    with seeded(0):
        encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
        lstm = Last(nn.LSTM(16, 8, batch_first=True)).eval()
    tokens, scores = 2 * 5, 2 * 5 * 5 * 16
    assert macs(encoder, x).macs == tokens * (4 * 16 * 16 + 2 * 16 * 32) + 2 * scores
    assert macs(lstm, x).macs == tokens * 4 * 8 * (16 + 8)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda x: x @ x[0], 3 * 3),  # mv
        (lambda x: torch.dot(x[0], x[1])[None], 3),
        (lambda x: torch.addmv(x[0], x, x[1]), 9),
        (lambda x: torch.addbmm(x, x[None], x[None]), 27),
        (lambda x: torch.relu(x * x + x), 0),  # element by element
    ],
)
def test_products_that_torchs_counter_leaves_out(function, count):
    assert macs(Function(function), torch.ones(3, 3)).macs == count


def test_an_embedding_multiplies_nothing():
    with seeded(0):
        bag = nn.EmbeddingBag(10, 4)
    costs = macs(bag, torch.zeros(2, 5, dtype=torch.int64))
    assert (costs.macs, costs.parameters) == (0, 40)


def test_rows_name_what_each_layer_costs():
    with seeded(0):
        network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    costs = macs(network, torch.zeros(2, 8))
    assert [(r.path, r.kind, r.operator, r.parameters, r.macs) for r in costs.rows] == [
        ("0", "Linear", "addmm", 36, 64),
        ("1", "ReLU", "relu", 0, 0),
        ("2", "Linear", "addmm", 10, 16),
    ]
    assert [r.output_shape for r in costs.rows] == [(2, 4), (2, 4), (2, 2)]
    assert [r.output_bytes for r in costs.rows] == [32, 32, 16]
    assert (costs.macs_per_example, costs.batch, costs.input_bytes) == (40.0, 2, 64)
    assert (costs.parameter_bytes, costs.output_bytes) == (184, 80)


def test_shared_and_idle_parameters_count_once():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.Linear(3, 3)
            self.idle = nn.Linear(5, 5)
            self.twin = nn.Linear(3, 3)
            self.twin.weight = self.used.weight

        def forward(self, x):
            return self.twin(self.used(self.used(x)))

    with seeded(0):
        network = Odd()
    costs = macs(network, torch.zeros(1, 3))
    rows = {r.path: r for r in costs.rows}
    assert costs.parameters == parameters(network) == 12 + 30 + 3
    assert (rows["used"].calls, rows["used"].macs) == (2, 18)
    assert (rows["idle"].operator, rows["idle"].calls, rows["idle"].output_shape) == ("", 0, ())
    assert rows["twin"].parameters == 3


def test_operators_outside_any_layer_belong_to_the_network():
    costs = macs(Function(lambda x: x @ x.T), torch.zeros(2, 3))
    assert [(r.path, r.operator, r.macs) for r in costs.rows] == [("", "mm", 12)]


def test_the_network_and_torchs_switches_are_left_alone():
    with seeded(0):
        network = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    network[1].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    macs(network, torch.ones(1, 3))
    assert [m.training for m in network.modules()] == [True, True, False, True]
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.enabled


def test_a_network_that_fails_is_left_alone_too():
    def fail(x):
        raise RuntimeError("broken")

    network = Function(fail)
    with pytest.raises(RuntimeError, match="broken"):
        macs(network, torch.ones(1, 3))
    assert not network._forward_hooks
    assert torch.backends.mha.get_fastpath_enabled()
    assert network.training


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="`x` must hold at least one row"):
        macs(nn.Identity(), torch.zeros(0, 3))


def test_inference_mode_counts_the_same(generator):
    with seeded(0):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 4))
    x = torch.randn(2, 1, 8, 8, generator=generator)
    outside = macs(network, x).macs
    with torch.inference_mode():
        assert macs(network, x).macs == outside
