import dataclasses

import pytest
import torch

from netwright.data import TensorSplit
from netwright.measure import Subject
from netwright.quantities import CATALOGUE

measure = CATALOGUE["gap"].measure


def accuracy(subject, group):
    names = subject.split.groups["sex"]
    chosen = torch.tensor([name == group for name in names])
    return (subject.outputs.argmax(1) == subject.split.y)[chosen].double().mean().item()


def test_a_planted_gap_is_found(buyers):
    found = measure(buyers, quantity="accuracy", by="sex")
    assert found.value == pytest.approx(accuracy(buyers, "A") - accuracy(buyers, "B"))
    assert 0 < found.low < found.value < found.high
    assert found.note.startswith("accuracy by sex: A 0.9")
    assert (found.n, found.method) == (len(buyers.split), "newcombe")


def classified(buyers, right, groups):
    """A subject that is right on exactly these rows, in these groups."""
    y = torch.zeros(len(right), dtype=torch.int64)
    split = TensorSplit(torch.zeros(len(right), 3), y, torch.arange(len(right)), {"g": groups})
    subject = Subject(buyers.schema, split, buyers.network)
    subject.__dict__["outputs"] = torch.stack([right.float(), (~right).float()], 1)
    return subject


@pytest.mark.oracle
def test_the_interval_is_newcombes(buyers):
    # Newcombe 1998, table II (a), 56/70 against 48/80, has 0.0524 to 0.3339; ten times as many rows
    # here, so that both rates get Wilson's interval as there. Equation 10, written out:
    def wilson(k, n, z=1.959964):
        middle, half = k + z * z / 2, z * (k * (n - k) / n + z * z / 4) ** 0.5
        return (middle - half) / (n + z * z), (middle + half) / (n + z * z)

    def newcombe(a, m, b, n):
        (l1, u1), (l2, u2), p1, p2 = wilson(a, m), wilson(b, n), a / m, b / n
        return (
            p1 - p2 - ((p1 - l1) ** 2 + (u2 - p2) ** 2) ** 0.5,
            p1 - p2 + ((u1 - p1) ** 2 + (p2 - l2) ** 2) ** 0.5,
        )

    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # as printed
    right = torch.tensor([True] * 560 + [False] * 140 + [True] * 480 + [False] * 320)
    subject = classified(buyers, right, ("a",) * 700 + ("b",) * 800)
    found = measure(subject, quantity="accuracy", by="g")
    assert (found.low, found.high) == pytest.approx(newcombe(560, 700, 480, 800), abs=1e-6)


def test_other_quantities_by_group(buyers):
    for name in ("auroc", "f1", "log_loss", "ece", "balanced_accuracy"):
        found = measure(buyers, quantity=name, by="sex")
        assert 0 <= found.low <= found.value <= found.high
    assert measure(buyers, quantity="log_loss", by="sex").unit == "nats"


def test_a_small_group_is_unresolved(buyers):
    names = tuple("C" if i < 29 else n for i, n in enumerate(buyers.split.groups["sex"]))
    split = dataclasses.replace(buyers.split, groups={"sex": names})
    found = measure(dataclasses.replace(buyers, split=split), quantity="accuracy", by="sex")
    assert found.unresolved == "Groups of `sex` with fewer than 30 rows: 'C' (29)."


def test_one_group_is_unresolved(buyers):
    found = measure(buyers, quantity="accuracy", by="region")
    assert found.unresolved == "`region` has one group only (only)."


def test_unresolved_in_a_group_is_unresolved(buyers):
    right = torch.ones(80, dtype=torch.bool)
    found = measure(classified(buyers, right, ("a",) * 40 + ("b",) * 40), quantity="auroc", by="g")
    assert found.unresolved.startswith("In group 'a': For 1 of 1 curves")


def test_errors_list_what_there_is(buyers):
    with pytest.raises(ValueError, match="`by` must name a group column; got `race`, known: `sex`"):
        measure(buyers, quantity="accuracy", by="race")
    with pytest.raises(ValueError, match="`size` cannot be measured on a group of rows"):
        measure(buyers, quantity="size", by="sex")


@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
@pytest.mark.parametrize(
    "rates", [(0.9, 0.8), (0.95, 0.95), (0.9, 0.9, 0.9, 0.9), (0.97, 0.9, 0.8)]
)
def test_coverage_is_as_promised(rates, runs, buyers, generator):
    each = 150
    names = tuple(f"g{i}" for i in range(len(rates)) for _ in range(each))
    p = torch.tensor(rates).repeat_interleave(each)
    truth = max(rates) - min(rates)
    covered = 0
    for _ in range(runs):
        right = torch.rand(len(p), generator=generator) < p
        found = measure(classified(buyers, right, names), quantity="accuracy", by="g")
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5
