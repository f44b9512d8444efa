import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.artefact import Session, to_onnx
from netwright.compress import (
    _channel_rules,
    channel_macs,
    channels,
    filter_norms,
    prune_channels,
    remove_channels,
    taylor,
)
from netwright.data import load
from netwright.design.families import macro_cnn, residual_cnn, small_cnn, table_mlp
from netwright.measure import macs, parameters


def shaken(network):
    # As after training: no statistics of 0 and 1.
    draw = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.normal_(generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
    return network.eval()


@pytest.fixture(scope="module")
def schema():
    return load("digits").schema


@pytest.fixture
def chain():
    with _rng.seeded(0):
        return shaken(
            nn.Sequential(
                nn.Conv2d(1, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 4, 3),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(4 * 6 * 6, 3),
            )
        )


def images(n=8, seed=0):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.oracle
def test_removing_a_channel_is_silencing_it(chain):
    x = images()
    found = channels(chain, x)
    for channel, place in enumerate(found.sets[0]):
        smaller = remove_channels(chain, x, found, [place]).network

        def silence(module, args, output, channel=channel):
            mask = torch.ones(6)
            mask[channel] = 0
            return output * mask[:, None, None]

        handle = chain[2].register_forward_hook(silence)
        with torch.no_grad():
            expected = chain(x)
        handle.remove()
        assert torch.allclose(smaller(x), expected, atol=1e-5)  # sums in another order
        assert smaller[0].out_channels == smaller[1].num_features == smaller[3].in_channels == 5


@pytest.mark.parametrize("family", [residual_cnn, small_cnn, macro_cnn], ids=lambda f: f.__name__)
def test_families_shrink_to_what_was_asked_for(schema, family):
    with _rng.seeded(0):
        network = shaken(family(schema))
    x = images()
    found = channels(network, x)
    thinned = prune_channels(network, x, found, filter_norms(network, found), macs=0.5)
    assert macs(thinned.network, x).macs_per_example <= 0.5 * macs(network, x).macs_per_example
    assert parameters(thinned.network) < parameters(network)
    assert thinned.macs[1] / thinned.macs[0] > 0.4  # no more than was asked for


@pytest.mark.oracle
def test_taylor_is_the_squared_derivative_of_a_gate(chain):
    x, y = images(12), torch.arange(12) % 3
    found = channels(chain, x)
    loss = nn.functional.cross_entropy
    batches = [(x[:6], y[:6]), (x[6:], y[6:])]
    importance = taylor(chain, found, batches, loss)
    expected = torch.zeros(6)
    for a, b in batches:
        gate = torch.ones(6, requires_grad=True)
        hidden = chain[:3](a) * gate[:, None, None]
        expected += torch.autograd.grad(loss(chain[3:](hidden), b), gate)[0].square() / 2
    assert torch.allclose(importance[list(found.sets[0])], expected, rtol=1e-4)


@pytest.mark.oracle
def test_norms_are_of_whole_filters_and_of_all_that_go_together(schema):
    with _rng.seeded(0):
        network = residual_cnn(schema, widths=(4, 8), blocks=(1, 1))
    found = channels(network, images())
    norms = filter_norms(network, found)
    stem = next(alike for alike in found.sets if alike[0] == found.places["stem.0.weight"][0][0])
    weights = [network.get_parameter(n) for n in ("stem.0.weight", "stage1.0.branch.1.0.weight")]
    expected = sum(w.detach().abs().sum((1, 2, 3)) for w in weights)
    assert torch.allclose(norms[list(stem)], expected / expected.mean())


@pytest.mark.oracle
def test_costs_are_what_a_removal_saves(chain):
    x = images()
    found = channels(chain, x)
    costs = channel_macs(chain, x, found)
    for channel in range(found.count):
        before, after = remove_channels(chain, x, found, [channel]).macs
        assert costs[channel].item() == before - after > 0


def test_the_least_important_go_first(chain):
    found = channels(chain, images())
    order = torch.arange(found.count).float()
    thinned = prune_channels(chain, images(), found, order, macs=0.6)
    kept = thinned.network[0].weight
    assert len(kept) < 6 and torch.equal(kept, chain[0].weight[-len(kept) :])


def test_nothing_goes_for_which_there_is_room(chain):
    # The dear channel is the least important; once it is gone, the cheap ones can stay.
    found = channels(chain, images())
    costs = channel_macs(chain, images(), found)
    dear = int(costs.argmax())
    order = torch.arange(found.count).float() + 100
    order[dear] = -1  # goes last of all that go
    order[costs < costs.max()] -= 200
    share = 1 - 0.9 * float(costs.max()) / macs(chain, images()).macs_per_example
    thinned = prune_channels(chain, images(), found, order, macs=share)
    lost = sum(before - now for before, now in thinned.widths.values())
    assert thinned.macs[1] <= share * thinned.macs[0]
    for channel in range(found.count):  # whatever came back would be too much
        saved = thinned.macs[0] - thinned.macs[1]
        assert lost >= 1 and saved - float(costs[channel]) < (1 - share) * thinned.macs[0]


def test_whole_groups_are_kept(schema):
    with _rng.seeded(0):
        network = residual_cnn(schema, widths=(16, 32), blocks=(1, 1))
    found = channels(network, images())
    norms = filter_norms(network, found)
    thinned = prune_channels(network, images(), found, norms, macs=0.5, multiple=8)
    assert thinned.widths and all(now % 8 == 0 for _, now in thinned.widths.values())


def test_the_smaller_network_is_exported(schema, tmp_path):
    with _rng.seeded(0):
        network = shaken(small_cnn(schema))
    x = images()
    found = channels(network, x)
    thinned = prune_channels(network, x, found, filter_norms(network, found), macs=0.5)
    (tmp_path / "model.onnx").write_bytes(to_onnx(thinned.network, schema, sample=x))
    with torch.no_grad():
        expected = thinned.network(x)
    assert torch.allclose(Session(tmp_path / "model.onnx").predict(x), expected, atol=1e-4)


def test_tables_shrink_and_go_on_learning():
    task = load("wine")
    with _rng.seeded(0):
        network = table_mlp(task.schema, width=32, depth=2).train()
    x, y = task.train.take(torch.arange(16)), task.train.y[:16]
    found = channels(network, x)
    thinned = prune_channels(network, x, found, filter_norms(network, found), macs=0.7)
    assert thinned.network.training
    with _rng.seeded(0):
        nn.functional.cross_entropy(thinned.network(x), y).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in thinned.network.parameters())


class Counts(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.into, self.out, self.fault = nn.Linear(3, 8), nn.Linear(8, 2), fault

    def forward(self, x):
        return self.out(self.fault(self.into(x)))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda h: h / h.shape[1], "computes with its number of channels"),
        (lambda h: h.view(-1, 8), "counts on its number of channels"),
    ],
    ids=["computes", "counts"],
)
def test_code_that_knows_the_number_of_channels_is_found_out(fault, message):
    with _rng.seeded(0):
        network = Counts(fault)
    x = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message):
        remove_channels(network, x, channels(network, x), [0, 1])


def test_a_channel_followed_to_the_wrong_place_is_found_out(monkeypatch):
    # Planted: the pieces of a concatenation taken in the wrong order.
    class Joins(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(8, 2)

        def forward(self, x):
            return self.c(torch.cat([self.a(x), self.b(x)], dim=1))

    with _rng.seeded(0):
        network, x = Joins(), torch.rand(4, 3)
    remove_channels(network, x, channels(network, x), [0, 1])
    right = _channel_rules._RULES[torch.ops.aten.cat]

    def wrong(nodes, func, args, kwargs, result):
        return right(nodes, func, (args[0][::-1], *args[1:]), kwargs, result)

    monkeypatch.setitem(_channel_rules._RULES, torch.ops.aten.cat, wrong)
    with pytest.raises(ValueError, match="its outputs differ"):
        remove_channels(network, x, channels(network, x), [0, 1])


def test_a_shared_layer_stays_shared():
    with _rng.seeded(0):
        into, shared, out = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 2)
    network = nn.Sequential(into, nn.ReLU(), shared, nn.ReLU(), shared, out)
    network.tied = shared.weight  # the same parameter by another name
    x = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    found = channels(network, x)
    smaller = remove_channels(network, x, found, [0, 2]).network
    assert smaller[2] is smaller[4] and smaller.tied is smaller[2].weight
    assert smaller[2].weight.shape == (4, 4)


def test_a_layer_keeps_a_channel(chain):
    found = channels(chain, images())
    with pytest.raises(ValueError, match=r"`gone` holds all channels of `0.weight`; one has to"):
        remove_channels(chain, images(), found, found.sets[0])


def test_what_cannot_be_had_is_said():
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(3, 8), nn.Softmax(1), nn.Linear(8, 2))
    x = torch.zeros(1, 3)
    found = channels(network, x)
    with pytest.raises(ValueError, match=r"1\.000 of them stay.*`0.weight`: they reach `_softmax`"):
        prune_channels(network, x, found, filter_norms(network, found), macs=0.5)
