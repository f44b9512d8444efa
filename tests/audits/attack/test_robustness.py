import base64
import dataclasses
import io
import time

import pytest
import torch
from torch import nn

from netwright.audits.attack import LinfBall, gradient_masking, robustness


class Rounding(nn.Module):
    """Hides its gradients behind a rounding of the input to a few levels."""

    def __init__(self, inner: nn.Module, levels: int = 8):
        super().__init__()
        self.inner, self.levels = inner, levels

    def forward(self, x):
        return self.inner((x * self.levels).round() / self.levels)


class Loud(nn.Module):
    """Has logits so large that the cross-entropy's gradient underflows."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 1e4 * self.inner(x)


class Restless(nn.Module):
    """Answers with noise."""

    def __init__(self, inner: nn.Module, generator):
        super().__init__()
        self.inner, self.generator = inner, generator

    def forward(self, x):
        logits = self.inner(x)
        return logits + torch.randn(logits.shape, generator=self.generator)


class Shattered(nn.Module):
    """Adds a ripple whose gradient dwarfs the true one, yet moves no logit far."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x + 0.01 * torch.sin(3e4 * x))


def accuracies(finding, attack):
    table = next(e for e in finding.evidence if e.kind == "table")
    return [row[2] for row in table.rows if row[0] == attack]


def test_accuracy_falls_with_the_radius_and_the_ensemble_is_stronger(digits_subject):
    found = robustness(digits_subject, radii=(8 / 255, 32 / 255, 96 / 255), n_rows=100)
    clean, attacked, fgsm = (accuracies(found, name) for name in ("none", "ensemble", "FGSM"))
    assert clean[0] > 0.9 and attacked[0] < clean[0] and attacked[-1] < 0.2
    assert attacked == sorted(attacked, reverse=True)
    assert all(p <= f for p, f in zip(attacked, fgsm, strict=True))
    assert found.measurement.value == attacked[-1] and not found.measurement.unresolved
    assert found.measurement.n == 100 and found.seconds > 0


def test_clean_and_attacked_pictures_stand_side_by_side(digits_subject):
    from PIL import Image

    found = robustness(digits_subject, radii=(32 / 255,), n_rows=40)
    picture = next(e for e in found.evidence if e.kind == "picture")
    data = base64.b64decode(picture.png)
    sheet = Image.open(io.BytesIO(data))
    assert len(data) < 90_000 and sheet.width > 600
    assert len(set(sheet.get_flattened_data())) > 10
    assert "attacked" in picture.alt


@pytest.mark.parametrize("hide", [Rounding, Shattered])
def test_planted_masked_gradients_leave_the_accuracy_unresolved(hide, digits_subject):
    subject = dataclasses.replace(digits_subject, network=hide(digits_subject.network).eval())
    found = robustness(subject, radii=(8 / 255,), n_rows=64)
    assert found.measurement.unresolved.startswith("gradients masked")
    assert "cannot be believed" in found.summary


def test_planted_noise_leaves_the_accuracy_unresolved(digits_subject, generator):
    restless = Restless(digits_subject.network, generator).eval()
    found = robustness(dataclasses.replace(digits_subject, network=restless), n_rows=64)
    assert "same input gives the same output" in found.measurement.unresolved


def test_large_logits_alone_look_no_more_robust(digits_subject):
    loud = dataclasses.replace(digits_subject, network=Loud(digits_subject.network).eval())
    plain, scaled = (robustness(s, radii=(24 / 255,), n_rows=64) for s in (digits_subject, loud))
    assert not scaled.measurement.unresolved
    # The losses are free of scale; what differs is how float32 rounds.
    assert abs(plain.measurement.value - scaled.measurement.value) <= 1 / 64


def test_honest_networks_raise_no_alarm(digits_subject):
    x, y = digits_subject.split.take(slice(0, 64)), digits_subject.split.y[:64]
    for seed, radius in enumerate((1 / 255, 8 / 255, 64 / 255)):
        seeded = torch.Generator().manual_seed(seed)
        checks = gradient_masking(
            digits_subject.network, x, y, ball=LinfBall(radius), levels=255, generator=seeded
        )
        assert checks.reason == "" and len(checks.rungs) == 10


def test_a_network_that_always_says_the_same_is_not_accused_of_surviving_everything(generator):
    always = lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), 2) + 0 * x.sum()  # noqa: E731
    checks = gradient_masking(
        always,
        torch.rand(8, 4, generator=generator),
        torch.zeros(8).long(),
        ball=LinfBall(0.1),
        generator=generator,
    )
    assert not any("without bound" in rung.name for rung in checks.rungs)


def test_the_artefact_decides_what_counts_as_fooled(digits_subject):
    truth = {
        tuple(x.flatten().tolist()): y
        for x, y in zip(*next(iter(digits_subject.split.batches(1000))), strict=True)
    }
    # A stand-in for the runtime that recovers the clean image, and so is never fooled.
    clean = torch.tensor(list(truth))
    labels = torch.stack(list(truth.values()))

    def predict(x):
        nearest = torch.cdist(x.flatten(1), clean).argmin(1)
        return nn.functional.one_hot(labels[nearest], 10).float()

    subject = dataclasses.replace(digits_subject, predict=predict)
    found = robustness(subject, radii=(16 / 255,), n_rows=32)
    assert found.measurement.value == 1.0


def test_time_limit_attacks_fewer_rows(digits_subject):
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = digits_subject.network

        def forward(self, x):
            time.sleep(0.0001 * len(x))
            return self.inner(x)

    slow = dataclasses.replace(digits_subject, network=Slow().eval())
    found = robustness(slow, radii=(8 / 255,), seconds=2.0)
    # All 180 rows would take 5 s or more.
    assert 8 <= found.measurement.n < 180 and f"{found.measurement.n} of" in found.summary


def test_no_time_at_all_is_said_plainly(digits_subject):
    found = robustness(digits_subject, seconds=0.0)
    assert found.measurement is None and found.summary.startswith("Not run: the attack on 8 rows")


def test_same_seed_same_finding(digits_subject):
    settings = {"radii": (8 / 255, 24 / 255), "n_rows": 24, "n_steps": 5}
    first, second = (robustness(digits_subject, **settings) for _ in range(2))
    assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)


def test_tables_and_numbers_are_said_to_be_out_of_scope(classifier_subject, regression_subject):
    table = classifier_subject(torch.eye(3), torch.arange(3))
    assert "is a table, not an image" in robustness(table).summary
    assert robustness(regression_subject(torch.zeros(2, 1), torch.zeros(2, 1))).measurement is None


@pytest.mark.parametrize("radii", [(), (0.0, 0.1), (0.2, 0.1)])
def test_radii_must_increase(radii, digits_subject):
    with pytest.raises(ValueError, match="`radii` must be positive and increasing"):
        robustness(digits_subject, radii=radii)
