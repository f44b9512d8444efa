"""A requirement of proof, through a whole build on real digits."""

import pytest

import netwright as nw
from netwright.audits.verify import certify_ball, read_bounded

pytestmark = pytest.mark.slow

REQUIRED = "certified(linf=0.02, samples=60) >= 0.6"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certified") / "run"
    require = [REQUIRED, "params <= 30000"]
    return nw.build("digits", require=require, budget="200 steps", seed=0, out=folder)


def test_a_required_proof_is_trained_for_and_found_in_the_shipped_file(run):
    assert run.design.family == "plain_cnn"
    assert run.design.recipe.certified == "ibp"
    assert run.design.name == "plain CNN, small"  # the other has too many parameters
    assert run.design.recipe.radius == pytest.approx(1.1 * 0.02)
    (finding,) = (f for f in run.findings if f.requirement == REQUIRED)
    assert finding.judgement.verdict == "met", finding.summary
    assert finding.measurement.low >= 0.6


def test_the_proof_can_be_repeated_from_the_file_alone(run):
    rows = nw.load("digits", seed=0).validation
    x, y = rows.take(slice(0, 50)), rows.y[:50]
    held = certify_ball(read_bounded(run.artefact), x, y, linf=0.02)
    assert held.holds.float().mean() > 0.5
    assert "intervals" in held.method  # trained for: most need no more
