import itertools

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.attack import TableRules, rules_for, table_search
from netwright.data import Column

COLUMNS = (
    Column("age", "number", minimum=18.0, maximum=80.0, mean=45.0, std=15.0),
    Column("income", "number", minimum=0.0, maximum=100.0, mean=40.0, std=20.0),
    Column("children", "number", minimum=0.0, maximum=5.0, std=1.0),
    Column("colour", "category", categories=("red", "green", "blue")),
    Column("owner", "boolean", std=0.5, maximum=1.0),
)
RULES = rules_for(COLUMNS, frozen=["age"], integer=["children"], growing=["income"])


@pytest.fixture
def rows(generator):
    n = 60
    draw = lambda low, high: low + (high - low) * torch.rand(n, generator=generator)  # noqa: E731
    whole = lambda low, high: torch.randint(low, high, (n,), generator=generator).float()  # noqa: E731
    return torch.stack([draw(18, 80), draw(0, 100), whole(0, 6), whole(1, 4), whole(0, 2)], dim=1)


class Scored(nn.Module):
    """Encodes the colour and adds everything up: like a small network on a table."""

    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.register_buffer("colours", torch.tensor([0.0, -1.0, 0.2, 1.0]))

    def forward(self, x):
        scaled = torch.stack([x[:, 0] / 15, x[:, 1] / 20, x[:, 2], x[:, 4]], 1).nan_to_num()
        score = scaled @ self.weights + self.colours[x[:, 3].long()] - 3.0
        return torch.stack([-score, score], 1)


@pytest.fixture
def network():
    return Scored([0.3, 0.8, -0.5, 0.4]).eval()


def test_results_are_feasible_and_within_the_budget(network, rows):
    y = network(rows).argmax(1)
    found = table_search(network, rows, y, rules=RULES, budget=1.5)
    assert RULES.feasible(found.x, rows).all()
    assert (RULES.cost(found.x, rows) <= 1.5 * (1 + 1e-5)).all()
    assert torch.equal(network(found.x).argmax(1) != y, found.fooled)
    assert torch.equal(found.x[:, 0], rows[:, 0])  # the age is frozen
    assert (found.x[:, 1] >= rows[:, 1]).all() and (found.x[:, 1] > rows[:, 1]).any()
    assert torch.equal(found.x[:, 2], found.x[:, 2].round())
    assert 0.2 < found.fooled.float().mean() < 0.9


@pytest.mark.oracle
@pytest.mark.parametrize("budget", [1.0, 2.0])
def test_nearly_all_that_brute_force_finds_is_found(budget, network, rows):
    y = network(rows).argmax(1)
    found = table_search(network, rows, y, rules=RULES, budget=budget)
    possible = []
    for row, label in zip(rows, y, strict=True):
        values = itertools.product(range(6), range(1, 4), range(2))
        options = torch.stack([row.clone() for _ in range(36)])
        options[:, 2:] = torch.tensor(list(values), dtype=torch.float32)
        spent = RULES.cost(options, row.expand_as(options))
        # Of the income, which can only grow, all that is left of the budget, or nothing.
        most = (row[1] + (budget - spent).clamp_min(0) * 20.0).clamp(max=100.0)
        richer = options.clone()
        richer[:, 1] = most
        options = torch.cat([options, richer])
        fine = torch.cat([spent, spent]) <= budget
        possible.append(bool(((network(options).argmax(1) != label) & fine).any()))
    possible = torch.tensor(possible)
    assert not (found.fooled & ~possible).any()
    assert found.fooled.sum() >= 0.9 * possible.sum() and 10 < possible.sum() < 55


def test_networks_without_gradients_are_searched(rows):
    tree = lambda x: torch.stack([(x[:, 2] < 3).float(), (x[:, 2] >= 3).float()], 1)  # noqa: E731
    y = tree(rows).argmax(1)
    found = table_search(tree, rows, y, rules=RULES, budget=1.0, n_steps=0)
    near = (rows[:, 2] == 2) | (rows[:, 2] == 3)
    assert torch.equal(found.fooled, near) and found.n_gradients == 0
    assert found.n_queries > len(rows)


def test_missing_values_stay_missing_and_can_be_worked_around(rows):
    network = Scored([0.8, 0.8, -0.5, 0.4]).eval()
    rows = rows.clone()
    rows[::2, 1] = float("nan")
    y = network(rows).argmax(1)
    found = table_search(network, rows, y, rules=RULES, budget=2.0)
    assert found.x[::2, 1].isnan().all() and not found.x[1::2].isnan().any()
    assert found.fooled[::2].any()


def test_one_hot_groups_move_together():
    columns = [Column(name, "number", maximum=1.0) for name in "abcd"]
    rules = rules_for(columns, one_hot=[["a", "b", "c"]])
    network = lambda x: torch.stack([0.5 - x[:, 2], x[:, 2] - 0.5], 1)  # noqa: E731
    row = torch.tensor([[1.0, 0.0, 0.0, 0.3]])
    found = table_search(network, row, torch.tensor([0]), rules=rules, budget=1.0)
    assert found.x[0, :3].tolist() == [0.0, 0.0, 1.0] and found.fooled.item()
    assert rules.cost(found.x, row).item() == 1.0
    torn = torch.tensor([[1.0, 0.0, 1.0, 0.3]])
    assert not rules.feasible(torn, row).item()


@pytest.mark.parametrize(
    ("change", "fine"),
    [
        ({}, True),
        ({0: 50.0}, False),  # frozen
        ({1: 60.0}, True),
        ({1: 30.0}, False),  # only grows
        ({1: 101.0}, False),  # beyond what was seen
        ({2: 2.0}, True),
        ({2: 2.5}, False),  # whole numbers
        ({3: 3.0}, True),
        ({3: 4.0}, False),  # no such category
        ({3: 0.0}, False),  # a category cannot be made missing
        ({4: 0.5}, False),
    ],
)
def test_what_an_attacker_could_do(change, fine):
    clean = torch.tensor([[30.0, 40.0, 1.0, 1.0, 0.0]])
    moved = clean.clone()
    for place, value in change.items():
        moved[0, place] = value
    assert RULES.feasible(moved, clean).item() is fine


def test_no_random_row_is_feasible_by_luck_after_projection(rows, generator):
    wild = rows + 30 * torch.randn(rows.shape, generator=generator)
    projected = RULES.project(wild, rows)
    assert RULES.feasible(projected, rows).all()
    assert (projected[:, 1] != rows[:, 1]).any()


def test_real_rows_of_a_trained_network(generator):
    from netwright.data import load

    task = load("wine", seed=0)
    x, y = task.train.take(range(len(task.train))), task.train.y
    with seeded(0):
        network = nn.Sequential(nn.BatchNorm1d(13), nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    network.eval()
    rules = rules_for(task.schema.input.columns, frozen=["proline"])
    shares = [
        table_search(network, x, y, rules=rules, budget=budget).fooled.float().mean().item()
        for budget in (0.0, 2.0, 6.0)
    ]
    assert shares[0] < 0.05 < shares[1] < shares[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rules_for(COLUMNS, frozen=["name"]), "No column is called `name`. Known: age"),
        (
            lambda: table_search(
                lambda x: x, torch.zeros(1, 2), torch.zeros(1).long(), rules=RULES
            ),
            "`rules` are for 5 columns, and the rows of `x` have 2",
        ),
        (
            lambda: table_search(
                lambda x: x, torch.zeros(1, 5), torch.zeros(1).long(), rules=RULES, budget=-1.0
            ),
            "`budget` must not be negative",
        ),
        (lambda: rules_for(COLUMNS, one_hot=[["age"], ["age"]]), "each in one group at most"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rules_must_agree():
    three = torch.ones(3)
    fine = {
        "low": -three,
        "high": three,
        "scale": three,
        "grid": three < 0,
        "frozen": three < 0,
        "direction": 0 * three,
        "coded": three < 0,
    }
    TableRules(**fine)
    with pytest.raises(ValueError, match="`low` must not exceed `high`"):
        TableRules(**{**fine, "low": 2 * three})
    with pytest.raises(ValueError, match="`scale` must be positive"):
        TableRules(**{**fine, "scale": 0 * three})
