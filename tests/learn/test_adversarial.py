import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.data import Input, Schema, Target, TensorSplit
from netwright.learn import Recipe, _fit, fit
from netwright.learn._adversarial import fast, free, pgd, trades
from netwright.learn._threat import Threat

DIGIT = Target("class", ("digit",), tuple("0123456789"))
RECIPE = Recipe(learning_rate=1e-2, batch_size=100, adversarial="pgd", radius=0.1, attack_steps=3)


def mean_loss(logits, y):
    return functional.cross_entropy(logits, y)


@pytest.fixture
def linear():
    with _rng.seeded(0):
        return nn.Linear(6, 2)


@pytest.fixture
def threat(generator):
    return Threat(0.1, "linf", 10, generator, progress=1.0)


@pytest.fixture
def rows(generator):
    x = 0.3 + 0.4 * torch.rand(50, 6, generator=generator)  # the range never binds
    return x, torch.randint(2, (50,), generator=generator)


def worst(linear, x, y, radius, norm):
    """The closed form: every input moves against its own class, along the plane's normal."""
    normal = linear.weight[1] - linear.weight[0]
    along = normal.sign() if norm == "linf" else normal / normal.norm()
    towards = torch.where(y == 0, 1.0, -1.0)[:, None]
    return mean_loss(linear(x + radius * towards * along), y)


@pytest.mark.oracle
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_is_the_worst_case_of_a_linear_network(norm, linear, rows, threat):
    threat.norm = norm
    found = pgd(linear, *rows, mean_loss, threat)
    expected = worst(linear, *rows, 0.1, norm)
    # In l2 ten steps round a sphere, each 2.5 tenths long, end within a few thousandths.
    torch.testing.assert_close(found, expected, rtol=1e-5 if norm == "linf" else 3e-3, atol=0.0)
    (by_pgd,) = torch.autograd.grad(found, linear.weight)
    (by_form,) = torch.autograd.grad(expected, linear.weight)
    if norm == "linf":  # the l2 direction itself depends on the weights, which pgd holds fixed
        torch.testing.assert_close(by_pgd, by_form, rtol=1e-4, atol=1e-6)


@pytest.mark.oracle
def test_free_reaches_the_worst_case_by_its_replays(linear, rows, threat):
    for _ in range(3):
        found = free(linear, *rows, mean_loss, threat)
        found.backward()  # moves the change along
    torch.testing.assert_close(found, worst(linear, *rows, 0.1, "linf"), rtol=1e-5, atol=0.0)
    other = rows[0][:20], rows[1][:20]
    free(linear, *other, mean_loss, threat)  # another size of batch starts afresh


def test_fast_lies_between_plain_and_worst(linear, rows, threat):
    plain, most = mean_loss(linear(rows[0]), rows[1]), worst(linear, *rows, 0.1, "linf")
    found = fast(linear, *rows, mean_loss, threat)
    assert plain < found <= most * (1 + 1e-6) and found > plain + 0.75 * (most - plain)


def test_trades_adds_what_the_answer_can_be_moved(linear, rows, threat):
    plain = mean_loss(linear(rows[0]), rows[1])
    assert trades(linear, *rows, mean_loss, threat) > plain
    threat.radius = 0.0
    torch.testing.assert_close(trades(linear, *rows, mean_loss, threat), plain)


def test_changes_stay_in_radius_and_range(generator):
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(x.detach().clone())
            return super().forward(x)

    with _rng.seeded(0):
        network = Watched(4, 3)
    x = torch.tensor([[0.0, 1.0, 0.5, 0.02]]).repeat(8, 1)
    y = torch.arange(8) % 3
    for norm, order in (("linf", torch.inf), ("l2", 2.0)):
        for progress in (0.1, 1.0):
            threat = Threat(0.1, norm, 4, generator, progress=progress)
            seen.clear()
            for train in (pgd, fast, free, trades):
                train(network, x, y, mean_loss, threat)
            for moved in seen:
                assert 0 <= moved.min() and moved.max() <= 1
                change = torch.linalg.vector_norm(moved - x, order, dim=1)
                assert change.max() <= 0.1 * min(1.0, progress / 0.2) + 1e-6


def test_the_attack_leaves_statistics_of_batches_alone(generator):
    with _rng.seeded(0):
        network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    x, y = torch.rand(16, 4, generator=generator), torch.arange(16) % 2
    threat = Threat(0.1, "linf", 5, generator, progress=1.0)
    for train, passes in ((pgd, 1), (fast, 1), (free, 1), (trades, 2)):
        before = int(network[0].num_batches_tracked)
        train(network, x, y, mean_loss, threat)
        assert int(network[0].num_batches_tracked) - before == passes
        assert network.training


@pytest.mark.parametrize("adversarial", ["pgd", "trades", "fast", "free"])
def test_training_makes_digits_withstand_what_plain_ones_do_not(adversarial, digits, small_cnn):
    train, validation, test = digits
    x, y = test.take(slice(0, 200)), test.y[:200]

    def withstands(recipe, steps):
        found = fit(
            small_cnn(), train, validation, target=DIGIT, recipe=recipe, steps=steps, seed=0
        )
        leaf = x.clone().requires_grad_(True)  # a plain attack of five steps, of our own
        moved = leaf
        for _ in range(5):
            loss = mean_loss(found.network(moved), y)
            (gradient,) = torch.autograd.grad(loss, moved)
            moved = (moved + 0.05 * gradient.sign()).detach()
            moved = (x + (moved - x).clamp(-0.1, 0.1)).clamp(0, 1).requires_grad_(True)
        return (found.network(moved).argmax(1) == y).float().mean().item()

    recipe = dataclasses.replace(RECIPE, adversarial=adversarial)
    plain = dataclasses.replace(RECIPE, adversarial="")
    steps = 60 if adversarial != "free" else 20  # free takes three steps for one
    assert withstands(recipe, steps) > withstands(plain, 60) + 0.15


class Crash(Exception):
    pass


@pytest.mark.parametrize("adversarial", ["pgd", "free"])
def test_resumed_training_ends_with_the_same_bits(
    adversarial, digits, small_cnn, tmp_path, monkeypatch
):
    monkeypatch.setattr(_fit, "_SHARE", 0)  # a checkpoint every epoch
    train, validation, _ = digits
    recipe = dataclasses.replace(RECIPE, adversarial=adversarial, attack_steps=2)
    call = {"target": DIGIT, "recipe": recipe, "steps": 60, "seed": 3}
    whole = fit(small_cnn(), train, validation, **call).network

    def crash(epoch):
        raise Crash

    with pytest.raises(Crash):
        fit(small_cnn(), train, validation, folder=tmp_path, on_epoch=crash, **call)
    resumed = fit(small_cnn(9), train, validation, folder=tmp_path, **call).network
    second = resumed.state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radius": 0.0}, "`adversarial` training needs a positive `radius`"),
        ({"attack_norm": "l1"}, '`attack_norm` must be "linf" or "l2"'),
        ({"attack_steps": 0}, "`attack_steps` must be at least 1"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **changes)


def test_what_cannot_be_trained_so_is_refused(digits, small_cnn):
    train, validation, _ = digits

    def run(recipe, train=train, validation=validation, network=None, target=DIGIT):
        network = small_cnn() if network is None else network
        fit(network, train, validation, target=target, recipe=recipe, steps=2, seed=0)

    with pytest.raises(ValueError, match="No adversarial training is called `pdg`. Did you mean"):
        run(dataclasses.replace(RECIPE, adversarial="pdg"))
    with pytest.raises(ValueError, match="`adversarial` and `mixup` cannot be had together"):
        run(dataclasses.replace(RECIPE, mixup=0.2))
    with _rng.seeded(0):
        line = nn.Linear(2, 10)
    table = TensorSplit(
        torch.rand(20, 2, generator=_rng.child(0, "x")), train.y[:20], train.rows[:20]
    )
    with pytest.raises(ValueError, match="these inputs are no images"):
        run(RECIPE, table, table, line)
    labels = Target("labels", ("kind",), tuple("0123456789"))
    many = TensorSplit(train.x[:20], functional.one_hot(train.y[:20], 10).float(), train.rows[:20])
    with pytest.raises(ValueError, match="`trades` compares probabilities of classes"):
        run(dataclasses.replace(RECIPE, adversarial="trades"), many, many, target=labels)


def test_requirements_of_robustness_harden_designs():
    from netwright.design import portfolio
    from netwright.design._harden import harden
    from netwright.requirement import Requirement

    schema = Schema(Input("image", (1, 8, 8)), DIGIT)
    designs = portfolio(schema, 1000)

    def ask(*texts):
        return harden(designs, [Requirement.parse(text) for text in texts])

    assert ask("accuracy >= 0.9") == designs
    assert ask("robust(linf=0) >= 0.5") == designs
    assert ask("robust(linf=0.1) <= 0.5") == designs
    found = ask("robust(linf=4/255) >= 0.5", "robust(linf=8/255) >= 0.3", "robust(l2=1) >= 0.1")
    for design, plain in zip(found, designs, strict=True):
        assert design.name == plain.name and design.recipe.adversarial == "trades"
        assert design.recipe.attack_norm == "linf"
        assert design.recipe.radius == pytest.approx(1.1 * 8 / 255)
    assert ask("robust(l2=1) >= 0.1")[0].recipe.attack_norm == "l2"
    assert harden(found, [Requirement.parse("robust(l2=1) >= 0.1")]) == found
