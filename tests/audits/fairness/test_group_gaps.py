import pytest
import torch

from netwright.audits.fairness import group_gaps, largest_gap
from netwright.measure import proportion


def planted(generator, rates, n=400):
    """Rows of as many groups as there are rates; each group's accuracy is its rate."""
    y = torch.randint(2, (n * len(rates),), generator=generator)
    group = torch.arange(n * len(rates)) % len(rates)
    right = torch.rand(len(y), generator=generator) < torch.tensor(rates)[group]
    said = torch.where(right, y, 1 - y)
    return torch.nn.functional.one_hot(said, 2).float(), y, group


def subject_of(make, logits, y, group, names, **more):
    groups = {"sex": tuple(names[g] for g in group.tolist()), **more}
    return make(logits, y, classes=("no", "yes"), groups=groups)


def test_planted_skew_is_found(classifier_subject, generator):
    logits, y, group = planted(generator, (0.95, 0.75))
    found = group_gaps(subject_of(classifier_subject, logits, y, group, ("men", "women")))
    gap = found.measurement
    assert gap.low > 0.1 and gap.low <= gap.value <= gap.high
    assert "men 0.9" in gap.note and "women 0.7" in gap.note and "accuracy differs" in found.summary


def test_equal_groups_raise_no_alarm(classifier_subject, generator):
    logits, y, group = planted(generator, (0.9, 0.9, 0.9))
    gap = group_gaps(subject_of(classifier_subject, logits, y, group, "abc")).measurement
    assert gap.low == 0.0


@pytest.mark.oracle
def test_rates_equal_those_counted_by_hand(classifier_subject, generator):
    logits, y, group = planted(generator, (0.9, 0.6), n=100)
    found = group_gaps(subject_of(classifier_subject, logits, y, group, ("men", "women")))
    table = next(e for e in found.evidence if e.title == "Groups of sex")
    said = logits.argmax(1)
    for row in table.rows:
        mine = group == ("men", "women").index(row[0])
        assert row[1] == 100
        assert row[2] == pytest.approx((said == y)[mine].float().mean().item())
        assert row[5] == pytest.approx((said == 1)[mine].float().mean().item())
        assert row[8] == pytest.approx((said == 1)[mine & (y == 1)].float().mean().item())
        assert row[11] == pytest.approx((said == 1)[mine & (y == 0)].float().mean().item())


def test_fault_at_an_intersection_is_shown(classifier_subject, generator):
    n = 1200
    y = torch.zeros(n, dtype=torch.long)
    sex, race = torch.arange(n) % 2, torch.arange(n) // 2 % 2
    wrong = (sex == 1) & (race == 1)
    logits = torch.nn.functional.one_hot(wrong.long(), 2).float()
    races = tuple("xy"[r] for r in race.tolist())
    found = group_gaps(subject_of(classifier_subject, logits, y, sex, ("men", "women"), race=races))
    table = next(e for e in found.evidence if e.title == "Intersections of sex and race")
    accuracy = {row[0]: row[2] for row in table.rows}
    assert accuracy == {"men × x": 1.0, "men × y": 1.0, "women × x": 1.0, "women × y": 0.0}


def test_small_groups_are_shown_but_not_compared(classifier_subject, generator):
    logits, y, _ = planted(generator, (1.0,), n=110)
    logits[100:] = logits[100:].flip(1)  # the last ten, a group of their own, are all wrong
    names = ["a"] * 50 + ["b"] * 50 + ["tiny"] * 10
    found = group_gaps(
        classifier_subject(logits, y, classes=("no", "yes"), groups={"g": tuple(names)})
    )
    assert found.measurement.value == 0.0
    table = next(e for e in found.evidence if e.title == "Groups of g")
    assert table.rows[2][:3] == ("tiny", 10, 0.0) and table.rows[2][-1] == "too few to compare"


def test_values_are_compared_by_their_error(regression_subject, generator):
    import dataclasses

    noise = torch.randn(400, 1, generator=generator)
    noise[::2] *= 3
    subject = regression_subject(noise, torch.zeros(400, 1))
    split = dataclasses.replace(subject.split, groups={"g": ("a", "b") * 200})
    found = group_gaps(dataclasses.replace(subject, split=split))
    assert found.measurement.value == pytest.approx(2.0, abs=0.4) and found.measurement.low > 1


def test_without_groups_it_does_not_apply(classifier_subject):
    assert (
        "no group column" in group_gaps(classifier_subject(torch.eye(3), torch.arange(3))).summary
    )


def test_one_group_is_refused_by_largest_gap():
    with pytest.raises(ValueError, match="`groups` must name at least two groups"):
        largest_gap(lambda name, level: proportion(1, 2, confidence=level), ("a",))


@pytest.mark.claim
def test_interval_of_the_gap_covers_as_promised(generator):
    # The worst case for a largest gap: all groups equal, so that the truth is 0.
    hits = torch.rand(500, 4, 200, generator=generator) < 0.8
    counts = hits.sum(2)

    def low(row):
        def of(name, level):
            return proportion(int(row[int(name)]), 200, confidence=level)

        return largest_gap(of, ("0", "1", "2", "3")).low

    alarms = sum(low(row) > 0 for row in counts) / 500
    assert alarms <= 0.05 + 3 * (0.05 * 0.95 / 500) ** 0.5  # 3 standard errors
