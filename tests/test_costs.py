"""Costs before training: measured once, quickest first, guessed only where the guess is sure."""

import json
from dataclasses import replace

import pytest
import torch

import netwright as nw
from netwright import _costs
from netwright._costs import Costs
from netwright.data import Schema, TensorSplit
from netwright.design import Design
from netwright.finding import Measurement
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

from .design.samples import FAMILIES, INPUTS
from .search_parts import RECIPE, few_rows, tiny


@pytest.fixture(scope="module")
def task():
    return few_rows(nw.load("digits", seed=0))


@pytest.fixture
def costs(task, tmp_path):
    def costs(*texts):
        return Costs(task, [Requirement.parse(text) for text in texts], tmp_path)

    return costs


@pytest.fixture
def no_export(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("exported")

    monkeypatch.setattr(_costs, "to_onnx", fail)


def test_without_requirements_nothing_is_exported(costs, no_export):
    found = costs().of(tiny(4))
    assert found["params"].value == 162
    assert found["macs"].value > 162
    assert set(found) == {"params", "macs"}


def test_shipped_bytes_are_those_of_the_calibrated_file(costs, task, tmp_path):
    from netwright.artefact import write
    from netwright.design import build_network
    from netwright.nn import Calibrated

    requirement = "size <= 9 kB"
    found = costs(requirement).of(tiny(4))
    network = Calibrated(build_network(tiny(4), task.schema, seed=1), 0.7).eval()
    shipped = write(network, task.schema, design="{}", folder=tmp_path / "shipped",
                    sample=task.validation.take([0, 1]))  # fmt: skip
    assert found[requirement].value == found["size"].value == shipped.size
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".onnx"] == []


def test_what_was_measured_is_read_again(costs, no_export, tmp_path):
    before = costs("params <= 200").of(tiny(4))
    with open(tmp_path / "costs.jsonl", "a", encoding="utf-8") as file:
        file.write('{"design": "torn')
    again = costs("params <= 200")
    again._measure = None  # would be called
    assert again.of(tiny(4)) == before


def test_broken_names_the_requirement(costs, no_export):
    found = costs("params <= 200", "macs <= 1 M")
    assert found.broken(tiny(4)) is None
    assert found.broken(tiny(8)).text == "params <= 200"


def test_weights_alone_can_break_a_bound_on_bytes(costs, no_export):
    found = costs("size <= 1 kB")
    assert found.broken(tiny(16), until_broken=True).text == "size <= 1 kB"
    with pytest.raises(AssertionError, match="exported"):  # 82 parameters may fit: look closer
        found.broken(tiny(2), until_broken=True)
    with pytest.raises(AssertionError, match="exported"):  # a full measurement never guesses
        found.of(tiny(16))


@pytest.mark.parametrize("seconds, exports", [(1e-3, False), (1.1e-4, True), (5e-5, True)])
def test_table_prunes_only_what_is_clearly_too_slow(
    costs, no_export, monkeypatch, seconds, exports
):
    guess = Measurement(seconds, seconds, seconds, 9, "s", "table")
    monkeypatch.setattr(_costs.LatencyTable, "predict", lambda self, network, x: guess)
    found = costs("latency_p95 <= 0.1 ms")
    if exports:
        with pytest.raises(AssertionError, match="exported"):
            found.broken(tiny(4), until_broken=True)
    else:
        assert found.broken(tiny(4), until_broken=True) is not None


@pytest.fixture
def sequences(task):
    """Few rows of sequences; labels do not matter."""
    schema = Schema(INPUTS["sequence 2x24"], task.schema.target)
    rows = torch.zeros(len(task.validation), 2, 24)
    split = TensorSplit(rows, task.validation.y, task.validation.rows)
    return replace(task, schema=schema, train=split, validation=split, calibration=split)


def of_family(family):
    return Design(family, family, FAMILIES[family], RECIPE)


@pytest.mark.parametrize(
    "family, exports", [("sequence_resnet", False), ("sequence_cells", False),
                        ("sequence_gru", True)]
)  # fmt: skip
def test_slow_designs_of_sequences_are_passed_over_without_a_file(
    sequences, tmp_path, no_export, monkeypatch, family, exports
):
    monkeypatch.setattr(_costs, "user_cache", lambda: tmp_path)
    for name in ("_base", "_difference"):  # a millisecond each
        monkeypatch.setattr(_costs.LatencyTable, name, lambda *_: 1e-3)
    costs = Costs(sequences, [Requirement.parse("latency_p95 <= 1 us")], tmp_path)
    if exports:  # the table knows no recurrence
        with pytest.raises(AssertionError, match="exported"):
            costs.of(of_family(family), until_broken=True)
    else:
        found = costs.of(of_family(family), until_broken=True)
        assert found["latency_p95 <= 1 us"].method == "table"
        assert found["latency_p95 <= 1 us"].low > 5e-3
        assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize("text", ["latency_p95 <= 0.1 us @batch=8", "memory <= 1 kB"])
def test_what_the_table_does_not_know_is_measured(costs, no_export, text):
    with pytest.raises(AssertionError, match="exported"):
        costs(text).broken(tiny(4), until_broken=True)


def test_quickest_first_until_one_is_broken(costs, tmp_path):
    found = costs("latency_p95 <= 9 s", "size <= 2 kB").of(tiny(4), until_broken=True)
    assert "size <= 2 kB" in found and "latency_p95 <= 9 s" not in found
    line = json.loads((tmp_path / "costs.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert set(line["costs"]) == set(found)
    # Where it is wanted whole, what is lacking is measured.
    assert "latency_p95 <= 9 s" in costs("latency_p95 <= 9 s", "size <= 2 kB").of(tiny(4))


def test_every_cost_of_the_catalogue_is_measured_before_training():
    needs = {name: q.needs for name, q in CATALOGUE.items()}
    assert {needs[n] for n in ("params", "macs", "size", "latency_p50")} == {"network", "artefact"}
    assert _costs._costs(Requirement.parse("macs <= 1 k"))
    assert not _costs._costs(Requirement.parse("accuracy >= 0.5"))
