import json
import shutil
from functools import partial

import pytest

from netwright import _compress, _compress_search
from netwright._compress import compress
from netwright._compress_findings import beside
from netwright.artefact import Session, check_agreement, read_onnx
from netwright.audits.uncertainty import fit_temperature
from netwright.compress import NwzError, decode, unpack
from netwright.data import load
from netwright.finding import Finding, Measurement
from netwright.measure import proportion, rate_drop
from netwright.run import Run

REQUIRE = ["size <= 10 kB", "accuracy_drop <= 10 points", "accuracy >= 0.5"]


@pytest.fixture(scope="module")
def made(digits_run, tmp_path_factory):
    """The digits' network, compressed; slow audits are cut short."""
    events = []
    with pytest.MonkeyPatch.context() as patch:
        hurried = partial(_compress.audit_subject, seconds_left=2.0)
        patch.setattr(_compress, "audit_subject", hurried)
        patch.setattr(_compress_search, "_LEVELS", (0.01, 0.05))
        patch.setattr(_compress_search, "KEEPS", (0.6, 0.3, 0.1))
        out = tmp_path_factory.mktemp("small") / "digits"
        run = compress(
            digits_run.folder, require=REQUIRE, budget="200 steps", out=out, watch=events.append
        )
    return run, events


def finding(run, name):
    return next(f for f in run.findings if f.name == name)


def test_the_requirements_are_judged_on_the_shipped_file(made, digits_run):
    run, _ = made
    size = finding(run, "requirement/size <= 10 kB")
    assert size.measurement.value == (run.folder / "model.nwz").stat().st_size
    assert size.judgement.verdict == "met"
    assert size.measurement.value < digits_run.artefact.stat().st_size / 5


def test_the_drop_is_measured_on_the_same_rows(made, digits_run):
    run, _ = made
    test = load("digits", seed=0).test.open("tests")
    x = test.take(range(len(test)))
    before, after = (Session(r.artefact).predict(x).argmax(1) == test.y for r in (digits_run, run))
    found = finding(run, "requirement/accuracy_drop <= 10 points").measurement
    assert found == rate_drop(before, after)


def test_the_onnx_file_is_what_the_nwz_file_decodes_to(made):
    run, _ = made
    packed = (run.folder / "model.nwz").read_bytes()
    assert unpack(packed).SerializeToString(deterministic=True) == run.artefact.read_bytes()
    x = load("digits", seed=0).validation.take(range(20))
    assert check_agreement(read_onnx(run.artefact), run.artefact, x).n == 20
    assert any((array == 0).mean() > 0.3 for array in decode(packed).values() if array.ndim > 1)


def test_the_temperature_is_fitted_again(made):
    run, _ = made
    rows = load("digits", seed=0).calibration
    logits = Session(run.artefact).predict(rows.take(range(len(rows))))
    # Once fitted, no other temperature is better; float32 leaves the fifth digit.
    assert fit_temperature(logits, rows.y) == pytest.approx(1.0, abs=1e-3)


def test_each_number_stands_beside_the_one_before(made, digits_run):
    run, _ = made
    (table,) = finding(run, "before_and_after").evidence
    rows = {row[0]: row[1:] for row in table.rows}
    title = finding(digits_run, "performance").title
    assert rows[title][0] != rows[title][1]
    assert finding(digits_run, "performance").measurement.value > 0.9


def test_every_candidate_and_every_weight_is_listed(made):
    run, events = made
    tables = {e.title: e for e in finding(run, "compression").evidence}
    tried = tables["Candidates, on validation rows"]
    words = [row[0] for row in tried.rows]
    assert words[:3] == ["as it was", "int8", "shared values"]
    assert [word.startswith("pruned to") for word in words if "(chosen)" in word] == [True]
    left = tables["What is left of each weight"]
    pruned = next(table for title, table in tables.items() if title.startswith("Pruned:"))
    assert [row[0] for row in left.rows] == [row[0] for row in pruned.rows]
    assert pruned.columns == ("weight", "keep 0.6", "keep 0.3", "keep 0.1")
    assert all(values <= 33 for *_, values, _ in left.rows)
    shown = [e.facts["text"] for e in events if e.name == "compressed"]
    assert len(shown) == len(tried.rows)


def test_the_page_and_the_findings_can_be_read_again(made):
    run, _ = made
    page = run.report.read_text(encoding="utf-8")
    assert "model.nwz" in page and "Findings before and after compression" in page
    assert Run.open(run.folder).verdict in ("met", "undecided")
    assert json.loads((run.folder / "job.json").read_text())["requirements"] == REQUIRE
    assert not list(run.folder.glob(".candidate*"))


def test_a_destroyed_robustness_is_shown():
    def robust(rate):
        return Finding("robustness", "Small changes", "", proportion(rate, 200))

    same = Finding("performance", "How well", "", Measurement(0.9, 0.8, 1.0, 100))
    old = (robust(190), same)
    found = beside(old, (robust(20), same))
    assert found.summary == "1 of 2 numbers moved beyond both intervals: Small changes."
    assert [row[1][:4] for row in found.evidence[0].rows] == ["0.95", "0.90"]
    assert beside(old, (robust(189), same)).summary.startswith("0 of 2")


def test_a_folder_that_is_taken_is_refused(made, digits_run):
    with pytest.raises(ValueError, match="not empty; choose another folder"):
        compress(digits_run.folder, require=REQUIRE, out=made[0].folder)


def test_other_rows_are_refused(digits_run, tmp_path):
    with pytest.raises(ValueError, match="not those of"):
        compress(digits_run.folder, require=REQUIRE, data="iris", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_is_not_opened(made, tmp_path):
    path = tmp_path / "model.nwz"
    shutil.copyfile(made[0].folder / "model.nwz", path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(NwzError, match="damaged"):
        unpack(bytes(damaged))
