"""What a candidate of low fidelity sees: fewer rows, smaller images, all of it for less long."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import netwright as nw
from netwright._evaluate import Order, evaluate
from netwright._fidelity import reduced, shrunk_shape, steps_of
from netwright._journal import Journal
from netwright._search import search
from netwright.data import ArrowSplit, Input
from netwright.data._arrow import write_rows
from netwright.design import Candidate, Ledger, SuccessiveHalving, build_network
from netwright.learn import Budget
from tests.design.samples import CLASS, FAMILIES, INPUTS, reads
from tests.search_parts import few_rows, tiny

GREY = Input("image", (1, 28, 28))
# Images in memory are stored as whole grey levels: half a level, and the rounding of the halves.
ROUNDED = {"atol": 0.501 / 255, "rtol": 0.0}


def brief(axis, fidelity=0.25):
    return Candidate(0, tiny(4), fidelity, axis=axis)


@pytest.fixture(scope="module")
def digits():
    return nw.load("digits", seed=0)


def test_rows_are_a_part_and_larger_parts_hold_smaller_ones(digits):
    quarter = reduced(digits, brief("rows"), seed=3).train
    half = reduced(digits, brief("rows", 0.5), seed=3).train
    assert len(quarter) == -(-len(digits.train) // 4) and len(half) == -(-len(digits.train) // 2)
    assert set(quarter.rows.tolist()) < set(half.rows.tolist()) < set(digits.train.rows.tolist())
    whole = {int(row): place for place, row in enumerate(digits.train.rows)}
    places = [whole[int(row)] for row in quarter.rows]
    assert torch.equal(quarter.x, digits.train.x[places])
    assert torch.equal(quarter.y, digits.train.y[places])
    assert len(set(quarter.y.tolist())) == 10
    other = reduced(digits, brief("rows"), seed=4)
    assert other.train.rows.tolist() != quarter.rows.tolist()
    assert other.validation is digits.validation and other.schema is digits.schema


def test_groups_follow_their_rows():
    task = nw.load("iris", seed=0)
    named = replace(task.train, groups={"of": tuple(str(int(row)) for row in task.train.rows)})
    part = reduced(replace(task, train=named), brief("rows", 0.4), seed=0).train
    assert part.groups["of"] == tuple(str(int(row)) for row in part.rows)
    # A handful of rows teaches nothing: some are always left.
    assert len(reduced(task, brief("rows", 0.01), seed=0).train) == 32


def test_smaller_images_are_means_of_what_they_cover(digits):
    small = reduced(digits, brief("resolution"), seed=0)
    assert small.schema.input.shape == (1, 4, 4)
    for part, whole in (
        (small.train, digits.train),
        (small.validation, digits.validation),
        (small.calibration, digits.calibration),
    ):
        means = whole.x[:9].float().reshape(9, 1, 4, 2, 4, 2).mean(dim=(3, 5))
        # Stored as whole numbers, as the images were.
        assert part.x.dtype == torch.uint8
        assert (part.x[:9].float() - means).abs().max() <= 0.5
        assert torch.equal(part.y, whole.y) and torch.equal(part.rows, whole.rows)
    assert small.test is digits.test


def test_what_lies_on_disk_is_cut_alike(digits, tmp_path):
    split = digits.train

    source = write_rows(tmp_path / "x.arrow", [split.x.numpy()], (1, 8, 8), np.dtype(np.uint8))
    streamed = ArrowSplit(source, np.arange(len(split)), split.y, split.rows, workers=0)
    task = replace(digits, train=streamed)
    kept, ours = (reduced(t, brief("rows"), seed=3).train for t in (task, digits))
    assert torch.equal(kept.rows, ours.rows) and torch.equal(kept.take([0, 5]), ours.take([0, 5]))
    small, ours = (reduced(t, brief("resolution"), seed=3).train for t in (task, digits))
    assert small.take([1, 2]).shape == (2, 1, 4, 4) and len(small) == len(split)
    torch.testing.assert_close(small.take([1, 2]), ours.take([1, 2]), **ROUNDED)
    pairs = zip(small.batches(64), ours.batches(64), strict=True)
    for (x, y), (our_x, our_y) in pairs:
        torch.testing.assert_close(x, our_x, **ROUNDED)
        assert torch.equal(y, our_y)


def test_full_trainings_and_shorter_ones_see_everything(digits):
    assert reduced(digits, brief("epochs"), seed=0) is digits
    assert reduced(digits, brief("rows", 1.0), seed=0) is digits
    assert reduced(digits, brief("resolution", 1.0), seed=0) is digits


def test_only_images_have_a_resolution():
    with pytest.raises(ValueError, match="kind `table`"):
        reduced(nw.load("iris", seed=0), brief("resolution"), seed=0)


@pytest.mark.parametrize(
    ("fidelity", "side"), [(1.0, 28), (0.5, 20), (0.25, 14), (1 / 9, 9), (0.001, 4)]
)
def test_pixels_follow_the_fidelity(fidelity, side):
    assert shrunk_shape(GREY, fidelity) == (1, side, side)


def test_steps_on_smaller_images_cost_less():
    assert steps_of(100, brief("resolution"), GREY) == 400
    assert steps_of(100, brief("rows"), GREY) == steps_of(100, brief("epochs"), GREY) == 100
    assert steps_of(None, brief("resolution"), GREY) is None


OF_ONE_SIZE = ("plain_cnn",)  # its head reads pixels, not means over the image


@pytest.mark.parametrize(
    "name", [n for n in FAMILIES if reads(n, "image 1x8x8") and n not in OF_ONE_SIZE]
)
def test_every_image_family_reads_smaller_images_with_the_same_weights(name):
    schema = nw.data.Schema(INPUTS["image 1x8x8"], CLASS)
    design = replace(tiny(4), family=name, parameters=FAMILIES[name])
    network = build_network(design, schema, seed=0).eval()
    smaller = replace(schema, input=replace(schema.input, shape=(1, 4, 4)))
    small = build_network(design, smaller, seed=0).eval()
    small.load_state_dict(network.state_dict())
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(x), small(x))


@pytest.mark.parametrize("name", OF_ONE_SIZE)
def test_families_of_one_size_say_so(digits, name):
    design = replace(tiny(4), family=name, parameters=FAMILIES[name])
    small = Candidate(0, design, 0.25, axis="resolution")
    with pytest.raises(ValueError, match=f"`{name}` .* weights for images of one size alone"):
        evaluate(Order(small, (), "accuracy", steps=1), few_rows(digits))
    rows = Candidate(0, design, 0.5, axis="rows")
    assert evaluate(Order(rows, (), "accuracy", steps=1), few_rows(digits)).steps == 1


@pytest.mark.parametrize("axis", ["rows", "resolution"])
def test_an_order_is_trained_and_measured_on_what_it_may_see(digits, axis):
    task = few_rows(digits, 160)
    order = Order(brief(axis), ("accuracy >= 0.1", "ece <= 0.5"), "accuracy", steps=50)
    found = evaluate(order, task)
    assert found.steps == 50
    assert found.measurements["accuracy"].n == 160
    whole = evaluate(replace(order, candidate=brief("epochs")), task)
    assert whole.weights != found.weights
    assert len(whole.weights) == len(found.weights)


@pytest.mark.parametrize("axis", ["rows", "resolution"])
def test_a_search_climbs_an_axis_and_ships_what_saw_everything(digits, axis, tmp_path):
    task = few_rows(digits)

    def strategy(designs, **kwargs):
        return SuccessiveHalving([tiny(2), tiny(4), tiny(8)], axis=axis, **kwargs)

    arguments = (task, (), Budget(steps=48))
    keywords = {"folder": tmp_path, "seed": 0, "device": "cpu", "make_strategy": strategy}
    found = search(*arguments, journal=Journal(tmp_path / "log.jsonl"), **keywords)
    records = Ledger(tmp_path).records()
    assert [r.candidate.axis for r in records] == [axis] * 6
    assert found.choice.record.candidate.fidelity == 1.0 or axis == "rows"
    assert not found.choice.record.candidate.is_shrunk
    # The same call again finds all of it done.
    again = search(*arguments, journal=Journal(tmp_path / "log.jsonl"), **keywords)
    assert again.candidate == found.candidate
