import contextlib
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from netwright.claims import f5
from netwright.claims._damage import Opened


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    """The claim without its work: what the parts come to is set by each test."""
    parts = SimpleNamespace(forms={"C header": 1e-7}, fuzz="", kill="", damage="")
    monkeypatch.setattr(f5, "build", lambda *_, **more: SimpleNamespace(folder=more["out"]))
    monkeypatch.setattr(f5, "started", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(f5, "_forms", lambda *_: parts.forms)
    monkeypatch.setattr(f5, "_fuzz", lambda *_, **__: ("found", parts.fuzz))
    monkeypatch.setattr(f5, "_kill", lambda *_: ("found", parts.kill))
    monkeypatch.setattr(f5, "_damage", lambda *_: [("500 damaged runs", "found", parts.damage)])
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
        ("digits", "500 damaged runs"),
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


@pytest.mark.parametrize("part", ["fuzz", "kill", "damage"])
def test_a_server_that_falls_breaks_the_claim(brief, part):
    setattr(brief, part, "3 rows were lost")
    found = f5.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert "3 rows were lost" in found.judgement.reason


def test_answers_of_another_shape_are_no_agreement():
    assert f5._gap(np.zeros((3, 2)), np.zeros((2, 3))) == float("inf")
    assert f5._gap(np.zeros(3), np.array([0, 0.25, 0])) == 0.25


@pytest.mark.parametrize(
    "trait", [{"unclear": 1}, {"crashed": 1}, {"hung": 1}, {"grown": 600_000_000}, {"other": 1}]
)
def test_what_becomes_of_damaged_files_is_judged(trait, monkeypatch, tmp_path):
    fine = Opened(500, 400, 100, 0, 0, 0, 0, 0, "")
    groups = {}

    def open_all(given, *_, **__):
        groups.update(given)
        return dict.fromkeys(given, dataclasses.replace(fine, **trait))

    monkeypatch.setattr(f5, "load_model", lambda path: None)
    monkeypatch.setattr(f5, "pack", lambda model: b"NWZ")
    monkeypatch.setattr(f5, "open_all", open_all)
    monkeypatch.setattr(f5, "refusal", lambda place: "refused")
    whole = SimpleNamespace(schema=SimpleNamespace(input=SimpleNamespace(shape=(1, 2, 2))))
    monkeypatch.setattr(f5.Run, "open", lambda _: whole)
    (tmp_path / "model.onnx").write_bytes(b"a model")
    found = list(f5._damage(tmp_path, tmp_path, 0))
    assert [what for what, _, _ in found][:4] == [f"500 {name}" for name in groups]
    faults = [bool(fault) for _, _, fault in found]
    # A file without a checksum, or with one made to fit, may answer otherwise.
    assert faults == [True, "other" not in trait, "other" not in trait, True, False]
