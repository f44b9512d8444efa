"""Lines stand below and above what they relax, everywhere between the bounds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.artefact._graph import Node
from netwright.audits.verify._relaxations import lines, value_range
from netwright.audits.verify._steps import _step

CASES = {
    "relu": ("Relu", {}),
    "leaky": ("LeakyRelu", {"alpha": 0.2}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "clip": ("Clip", {"min": -0.5, "max": 2.0}),
}
BOUND = st.one_of(
    st.floats(-30, 30), st.sampled_from([0.0, -0.5, 2.0, 1e-9, -1e-9, 3.0, -3.0, 1e4, -1e4])
)


def step_of(name):
    op, attributes = CASES[name]
    version = 11 if op != "Clip" else 6
    return _step(Node(op, version, ("x",), ("y",), attributes), ["x"], {})


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60, deadline=None)
@given(ends=st.tuples(BOUND, BOUND))
def test_lines_hold_between_the_bounds(name, ends):
    step = step_of(name)
    least, most = (torch.tensor([v], dtype=torch.float64) for v in sorted(ends))
    given_lines = lines(step, least, most)
    z = torch.linspace(0, 1, 4001, dtype=torch.float64) * (most - least) + least
    z = torch.cat([z, torch.tensor([0.0, -0.5, 2.0, -3.0, 3.0], dtype=torch.float64)])
    z = z.clamp(least, most)
    y = step.run(z)
    # What evaluating the line rounds is counted where the lines are used, not in the lines.
    room = 1e-14 * (1 + z.abs().max())
    assert (given_lines.slope_low * z + given_lines.offset_low <= y + room).all()
    assert (given_lines.slope_up * z + given_lines.offset_up >= y - room).all()
    low, high = value_range(step, least, most)
    assert (low <= y).all() and (y <= high).all()
    if given_lines.free.any():
        leak = step.settings[0] if step.settings else 0.0
        for slope in (leak, 0.5, 1.0):
            assert (slope * z <= y + room).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ends", [(-1.0, 2.5), (0.5, 1.5), (-2.0, -1.0), (-4.0, 0.3)])
def test_lines_are_no_looser_than_the_interval_in_the_middle(name, ends):
    step = step_of(name)
    least, most = (torch.tensor([v], dtype=torch.float64) for v in ends)
    found = lines(step, least, most)
    low, high = value_range(step, least, most)
    middle = (least + most) / 2
    above = found.slope_up * middle + found.offset_up
    below = found.slope_low * middle + found.offset_low
    assert above <= high + 1e-5
    assert below >= low - (most - least) - 1e-5  # a line through a kink or a tangent's end
