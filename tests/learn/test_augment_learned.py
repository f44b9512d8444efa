"""Widths of random changes that are learned while a network is trained."""

import math

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Target, TensorSplit
from netwright.learn import WIDTHS, LearnedWidths, Recipe, fit, rotate_scale

HALVES = Target("class", ("half",), ("left", "right"))
RECIPE = Recipe(learning_rate=1e-2, batch_size=32, augment=("learned",))


def only(kind, width):
    """Widths that change images in one way alone."""
    widths = LearnedWidths()
    with torch.no_grad():
        for place, (name, (_, most)) in enumerate(WIDTHS.items()):
            share = width / most if name == kind else 1e-7
            widths.raw[place] = math.log(share / (1 - share))
    return widths


def blobs(n, generator, *, by):
    """Images with one bright spot: the class is its side across (`by` 0) or down (1)."""
    y = torch.randint(2, (n,), generator=generator)
    place = torch.rand(n, 2, generator=generator) * 4 + 4  # anywhere near the middle
    sides = 2 + 8 * y + torch.rand(n, generator=generator)
    place[:, by] = sides
    grid = torch.arange(13.0)
    across = (-(grid - place[:, :1]).square() / 2).exp()
    down = (-(grid - place[:, 1:]).square() / 2).exp()
    return TensorSplit((down[:, :, None] * across[:, None])[:, None], y, torch.arange(n))


def network():
    with seeded(1):
        return nn.Sequential(nn.Flatten(), nn.Linear(169, 32), nn.ReLU(), nn.Linear(32, 2))


def test_first_widths_are_those_that_are_written_down():
    first = {name: begin for name, (begin, _) in WIDTHS.items()}
    assert LearnedWidths().widths == pytest.approx(first, rel=1e-4)


def test_without_width_nothing_changes(generator):
    x = torch.rand(4, 3, 9, 15, generator=generator)
    torch.testing.assert_close(only("none", 0.0)(x, generator=generator), x, atol=1e-4, rtol=0)


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "most"), [("turn", 0.5), ("zoom", 0.15)])
def test_turns_and_zooms_are_those_of_rotate_scale(kind, most, generator):
    x = torch.rand(1, 1, 9, 15, generator=generator).expand(4000, -1, -1, -1)
    ours = only(kind, most)(x, generator=generator).detach()
    degrees = math.degrees(most) if kind == "turn" else 0.0
    zoom = 0.0 if kind == "turn" else most
    theirs = rotate_scale(x, generator=generator, degrees=degrees, zoom=zoom)
    # Both draw uniformly, a zoom as exp(z) or 1 / (1 + z), which differ by z^2 / 2 at most: the
    # mean image of 4000 and its spread agree.
    torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(ours.std(0), theirs.std(0), atol=0.03, rtol=0)


@pytest.mark.oracle
def test_a_step_follows_the_gradient_of_loss_and_reward(generator):
    widths = LearnedWidths()
    x = torch.rand(16, 1, 8, 8, generator=generator)
    weight = torch.randn(16, 1, 8, 8, generator=generator)
    state = generator.get_state()

    def loss(raw):
        widths.raw.data.copy_(raw)
        generator.set_state(state)
        with torch.no_grad():
            drawn = (widths(x, generator=generator).double() * weight).sum()
            return float(drawn) - 0.1 * sum(math.log(w) for w in widths.widths.values())

    raw = widths.raw.detach().clone()
    by_differences = []
    for place in range(len(raw)):
        up, down = raw.clone(), raw.clone()
        up[place] += 1e-2
        down[place] -= 1e-2
        by_differences.append((loss(up) - loss(down)) / 2e-2)
    widths.raw.data.copy_(raw)
    generator.set_state(state)
    widths.learn(widths(x, generator=generator), weight)
    found = widths.raw.grad
    # Bilinear sampling has kinks between pixels, which differences step over.
    torch.testing.assert_close(found, torch.tensor(by_differences), atol=0.05, rtol=0.05)


@pytest.mark.claim
@pytest.mark.parametrize(("by", "free", "bound"), [(0, "move down", "move across"),
                                                   (1, "move across", "move down")])  # fmt: skip
def test_what_does_not_matter_is_found_out(by, free, bound, generator):
    # The class is the side on one axis; moves along the other change nothing, and get wide.
    train = blobs(400, generator, by=by)
    fitted = fit(
        network(), train, train, target=HALVES, recipe=RECIPE, steps=400, seed=0, device="cpu"
    )
    assert fitted.widths[free] > 1.5 * fitted.widths[bound]
    assert fitted.widths[free] > 0.2
    assert fitted.epochs[-1].validation_score > 0.95


def test_a_resumed_training_learns_the_same_widths(generator, tmp_path):
    train = blobs(96, generator, by=0)

    def run(steps, folder, stop=None):
        def on_epoch(epoch):
            if stop is not None and epoch.number == stop:
                raise KeyboardInterrupt

        return fit(
            network(), train, train, target=HALVES, recipe=RECIPE, steps=steps, seed=0,
            device="cpu", folder=folder, on_epoch=on_epoch,
        )  # fmt: skip

    whole = run(100, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(100, tmp_path / "broken", stop=1)
    resumed = run(100, tmp_path / "broken")
    assert whole.widths == resumed.widths and set(whole.widths) == set(WIDTHS)
    for a, b in zip(
        whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_other_trainings_have_no_widths(generator):
    train = blobs(64, generator, by=0)
    plain = Recipe(learning_rate=1e-2, batch_size=32, augment=("shift", "trivial"))
    fitted = fit(network(), train, train, target=HALVES, recipe=plain, steps=4, seed=0)
    assert fitted.widths == {}


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (Recipe(augment=("learned", "shift", "learned")), "stands twice"),
        (Recipe(augment=("learned",), adversarial="pgd", radius=0.1), "follows the gradient"),
        (Recipe(augment=("learnd",)), "No augmentation is called `learnd`"),
    ],
)
def test_what_cannot_be_learned_is_refused(recipe, says, generator):
    train = blobs(64, generator, by=0)
    with pytest.raises(ValueError, match=says):
        fit(network(), train, train, target=HALVES, recipe=recipe, steps=4, seed=0)
