"""Which weights `fit` should return: the last, or those of the best epoch? Measured."""

import statistics

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.data._task import TensorSplit
from netwright.learn import Recipe, _fit, evaluate, fit
from tests.learn.conftest import DIGIT

N_REPEATS = 6


def accuracies(digits, *, p_wrong):
    """Test accuracy of the weights returned, of the last, and of the best epoch by validation."""
    x, y = (torch.cat([getattr(split, name) for split in digits]) for name in ("x", "y"))
    found = []
    for seed in range(N_REPEATS):
        drawn = _rng.child(seed, "rows")
        order = torch.randperm(len(y), generator=drawn)
        wrong = torch.rand(len(y), generator=drawn) < p_wrong
        noisy = torch.where(wrong, torch.randint(0, 10, (len(y),), generator=drawn), y)
        train, validation, test = order.split([300, 200, len(y) - 500])
        splits = [
            TensorSplit(x[p], labels[p], p) for p, labels in ((train, noisy), (validation, y))
        ]
        rows = TensorSplit(x[test], y[test], test)
        with _rng.seeded(seed):
            network = nn.Sequential(
                nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
                nn.Linear(256, 10),
            )  # fmt: skip
        scores = []

        def score_all(epoch, network=network, rows=rows, scores=scores):
            scores.append((_fit._merit(epoch), evaluate(network, rows, DIGIT).score))

        call = {"target": DIGIT, "recipe": Recipe(batch_size=30), "steps": 600, "seed": seed}
        fit(network, *splits, on_epoch=score_all, **call)
        kept = evaluate(network, rows, DIGIT).score
        found.append((kept, scores[-1][1], max(scores)[1]))
    return [statistics.mean(column) for column in zip(*found, strict=True)]


@pytest.mark.claim
@pytest.mark.slow
def test_kept_weights_are_the_last_where_nothing_overfits_and_the_best_where_it_does(
    digits,
):
    kept, last, best = accuracies(digits, p_wrong=0.0)
    assert kept >= last - 0.001  # as good as the last ones
    print(f"clean labels: kept {kept:.4f}, last {last:.4f}, best by validation {best:.4f}")
    kept, last, best = accuracies(digits, p_wrong=0.4)
    print(f"40% redrawn: kept {kept:.4f}, last {last:.4f}, best by validation {best:.4f}")
    assert kept >= last + 0.05
    assert kept >= best - 0.005
