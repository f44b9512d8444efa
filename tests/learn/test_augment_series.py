import pytest
import torch

from netwright import _rng
from netwright.data import Target, TensorSplit
from netwright.learn import Recipe, fit, jitter, mask_steps, rescale, slide

NAN = float("nan")
LENGTHS = (20, 13, 1, 0)
EVERY = pytest.mark.parametrize("change", [jitter, mask_steps, rescale, slide])


def sequences(generator, copies=1):
    x = 5 + 2 * torch.randn(4, 3, 20, generator=generator)
    for row, n in enumerate(LENGTHS):
        x[row, :, n:] = NAN
    x[0, 1, 4] = NAN
    return x.repeat(copies, 1, 1)


@EVERY
def test_same_generator_same_change_and_nothing_appears_behind_the_end(change, generator):
    x = sequences(generator)
    kept = x.clone()
    found = change(x, generator=_rng.child(0, "a"))
    assert torch.equal(x.nan_to_num(99), kept.nan_to_num(99))
    assert found.shape == x.shape and found.dtype == x.dtype
    again = change(x, generator=_rng.child(0, "a"))
    assert torch.equal(found.nan_to_num(99), again.nan_to_num(99))
    for row, n in enumerate(LENGTHS):
        assert found[row, :, n:].isnan().all()
    assert not torch.equal(found.nan_to_num(99), x.nan_to_num(99))
    assert not found.isinf().any()


def test_jitter_is_as_strong_as_asked(generator):
    x = torch.randn(50, 2, 400, generator=generator) * torch.tensor([[1.0], [30.0]])
    found = jitter(x, generator=generator, std=0.1) - x
    spread = found.transpose(0, 1).flatten(1).std(1)
    # 20,000 numbers: standard error 0.5 % of the deviation, and of that of `x`
    torch.testing.assert_close(spread, torch.tensor([0.1, 3.0]), rtol=0.03, atol=0)


def test_channels_are_rescaled_each_by_one_number(generator):
    x = sequences(generator, copies=500)
    x[:, 1] += 1000  # a unit whose zero is far away
    mean = x.nanmean(dim=(0, 2), keepdim=True)
    factors = (rescale(x, generator=generator, std=0.2) - mean) / (x - mean)
    whole = factors[::4]  # those without an end
    spread = whole[..., :4].amax(-1) - whole[..., :4].amin(-1)
    assert spread.abs().max() < 2e-2  # float32 numbers of 1,000 with a deviation of 2
    drawn = whole[..., 0].flatten()
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)  # 1,500 draws: standard error 0.005
    assert drawn.std() == pytest.approx(0.2, abs=0.02)


def test_changes_are_the_same_wherever_the_zero_of_a_unit_lies():
    x = sequences(torch.Generator().manual_seed(0))
    for change in (jitter, rescale):
        near, far = (change(x + level, generator=_rng.child(0, "a")) for level in (0.0, 2000.0))
        # float32 numbers of 2,000 have steps of 1e-4
        torch.testing.assert_close(far - 2000, near, atol=2e-3, rtol=0, equal_nan=True)


@pytest.mark.oracle
def test_slides_are_shifts_that_repeat_the_ends(generator):
    x = torch.arange(1.0, 21).expand(200, 1, 20).clone()
    x[100:, :, 13:] = NAN
    found = slide(x, generator=generator, reach=0.1)
    seen = set()
    for row in range(200):
        n = 20 if row < 100 else 13
        by = int(found[row, 0, 5] - x[row, 0, 5])
        seen.add(by)
        expected = [float(min(max(t + by, 0), n - 1) + 1) for t in range(n)]
        assert found[row, 0, :n].tolist() == expected
    assert seen == {-2, -1, 0, 1, 2}


def test_one_run_of_steps_goes_missing(generator):
    x = torch.ones(300, 2, 20)
    gone = mask_steps(x, generator=generator, share=0.25).isnan()
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert sorted(set(gone[:, 0].sum(1).tolist())) == [0, 1, 2, 3, 4]
    assert ((gone[:, 0, 1:] != gone[:, 0, :-1]).sum(1) <= 2).all()
    assert gone.any(0).all()


def tiny(generator, **recipe):
    x, y = torch.randn(30, 1, 8, generator=generator), torch.arange(30) % 2
    split = TensorSplit(x, y, torch.arange(30))
    with _rng.seeded(0):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2))
    target = Target("class", ("k",), ("a", "b"))
    recipe = Recipe(batch_size=10, **recipe)
    return fit(network, split, split, target=target, recipe=recipe, steps=3, seed=0, device="cpu")


def test_a_recipe_names_them(generator):
    found = tiny(generator, augment=("slide", "jitter", "rescale"))
    assert found.steps == 3


def test_those_of_images_are_refused(generator):
    with pytest.raises(ValueError, match="No augmentation is called `flip`. .*mask_steps"):
        tiny(generator, augment=("flip",))
