import pytest
import torch
from scipy.stats import binomtest, norm

from netwright.audits.verify import certify_smoothed, predict_smoothed
from netwright.audits.verify._smoothing import _lower_bound

# On a half-space smoothing moves no boundary: the exact radius of a point is its distance to it.
NORMAL = torch.tensor([3.0, 4.0])
DISTANCES = torch.tensor([0.1, 0.5, 1.0])
INSIDE = DISTANCES[:, None] * NORMAL / NORMAL.norm()


def half_space(x):
    return (x @ NORMAL > 0).long()


def test_points_on_the_boundary_get_no_label(generator):
    found = certify_smoothed(half_space, torch.zeros(4, 2), noise_std=0.5, generator=generator)
    assert (found.label == -1).all() and (found.radius == 0).all() and (found.p_low < 0.5).all()
    said = predict_smoothed(half_space, torch.zeros(4, 2), noise_std=0.5, generator=generator)
    assert (said == -1).all()


@pytest.mark.oracle
def test_radii_match_the_closed_form(generator):
    found = certify_smoothed(
        half_space, INSIDE, noise_std=0.5, n_estimate=100_000, generator=generator
    )
    assert (found.label == 1).all()
    # 99.9 % bound: 3.1 standard errors of a share of 100,000, as radius, twice over.
    share = torch.tensor(norm.cdf(DISTANCES / 0.5))
    slope = 0.5 / torch.tensor(norm.pdf(norm.ppf(share)))
    slack = 2 * 3.1 * (share * (1 - share) / 100_000).sqrt() * slope
    assert ((DISTANCES - found.radius).abs() < slack).all()


@pytest.mark.oracle
@pytest.mark.parametrize("confidence", [0.9, 0.999])
def test_bound_is_that_of_scipy(confidence):
    hits = torch.tensor([0, 1, 50, 99, 100])
    bounds = _lower_bound(hits, 100, confidence)
    for hit, bound in zip(hits.tolist(), bounds.tolist(), strict=True):
        test = binomtest(hit, 100, alternative="greater")
        assert bound == pytest.approx(test.proportion_ci(confidence).low, abs=1e-9)


def test_radii_are_sound_as_often_as_promised(generator):
    many = INSIDE[1:2].expand(600, 2)
    found = certify_smoothed(
        half_space, many, noise_std=0.5, confidence=0.9, n_estimate=200, generator=generator
    )
    unsound = (found.radius > 0.5 + 1e-6).float().mean()
    assert unsound <= 0.1 + 3 * (0.1 * 0.9 / 600) ** 0.5  # 3 standard errors
    assert unsound > 0.01  # and the bound is not idle


def test_wrong_answers_near_a_tie_are_as_rare_as_promised(generator):
    near = 0.02 * NORMAL / NORMAL.norm()  # a share of 0.516 votes for class 1
    said = predict_smoothed(
        half_space, near.expand(500, 2), noise_std=0.5, confidence=0.9, n=200, generator=generator
    )
    assert (said == 0).float().mean() <= 0.1 + 3 * (0.1 * 0.9 / 500) ** 0.5
    assert (said == -1).any() and (said == 1).any()


def test_certified_counts_need_the_right_class_and_the_radius(generator):
    found = certify_smoothed(half_space, INSIDE, noise_std=0.5, generator=generator)
    assert found.certified(torch.ones(3).long(), 0.0) == 3
    assert found.certified(torch.ones(3).long(), 0.4) == 2
    assert found.certified(torch.zeros(3).long(), 0.0) == 0


def test_batches_do_not_matter_and_no_input_is_no_error(generator):
    settings = {"noise_std": 0.5, "n_select": 30, "n_estimate": 500}
    first, second = (
        certify_smoothed(
            half_space,
            INSIDE[1:],
            **settings,
            batch_size=size,
            generator=torch.Generator().manual_seed(1),
        )
        for size in (17, 4000)
    )
    assert torch.equal(first.label, second.label)
    torch.testing.assert_close(first.radius, second.radius, atol=0.3, rtol=0)  # other noise
    none = certify_smoothed(half_space, INSIDE[:0], **settings, generator=generator)
    assert len(none.label) == 0
    assert len(predict_smoothed(half_space, INSIDE[:0], noise_std=0.5, generator=generator)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_std": 0.0}, "`noise_std` must be positive, in units of `x`; got 0.0"),
        ({"confidence": 1.0}, "`confidence` is a probability between 0 and 1; got 1.0"),
        ({"n_select": 0}, "`n_select` must be at least 1; got 0"),
    ],
)
def test_errors_name_the_argument(change, message, generator):
    with pytest.raises(ValueError, match=message):
        certify_smoothed(half_space, INSIDE, **{"noise_std": 0.5, "generator": generator, **change})
