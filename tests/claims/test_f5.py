import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from netwright.claims import f5


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    """The claim without its work: what the parts come to is set by each test."""
    parts = SimpleNamespace(forms={"C header": 1e-7}, fuzz="", kill="")
    monkeypatch.setattr(f5, "build", lambda *_, **more: SimpleNamespace(folder=more["out"]))
    monkeypatch.setattr(f5, "started", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(f5, "_forms", lambda *_: parts.forms)
    monkeypatch.setattr(f5, "_fuzz", lambda *_, **__: ("found", parts.fuzz))
    monkeypatch.setattr(f5, "_kill", lambda *_: ("found", parts.kill))
    return parts


def test_every_form_and_trial_has_a_row(brief):
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "met"
    (table,) = found.evidence
    assert [row[:2] for row in table.rows] == [
        ("digits", "C header"),
        ("digits", "5,000 fuzzed requests"),
        ("wine", "C header"),
        ("wine", "5,000 fuzzed requests"),
        ("digits", "kill -9 under load, no. 1"),
    ]


@pytest.mark.parametrize("gap", [2e-5, float("inf"), float("nan")])
def test_a_form_that_differs_breaks_the_claim(brief, gap):
    brief.forms = {"C header": gap}
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert "C header of digits differs" in found.summary


def test_a_form_that_cannot_be_run_is_left_open(brief):
    brief.forms = {"C header": None}
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "met"
    assert found.evidence[0].rows[0][2] is None


@pytest.mark.parametrize("part", ["fuzz", "kill"])
def test_a_server_that_falls_breaks_the_claim(brief, part):
    setattr(brief, part, "3 rows were lost")
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert "3 rows were lost" in found.judgement.reason


def test_answers_of_another_shape_are_no_agreement():
    assert f5._gap(np.zeros((3, 2)), np.zeros((2, 3))) == float("inf")
    assert f5._gap(np.zeros(3), np.array([0, 0.25, 0])) == 0.25
