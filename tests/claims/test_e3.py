import pytest

from netwright.claims import e3


def test_without_the_data_it_is_undecided_and_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("NETWRIGHT_DATA", str(tmp_path))
    found = e3.run(full=False, seed=0)
    assert found.judgement.verdict == "undecided"
    assert "NETWRIGHT_DATA" in found.summary


def test_the_questions_are_those_of_the_table(shared_data, tmp_path):
    import json

    from netwright.audits.verify import read_nnet

    file = read_nnet(e3.unpack(shared_data, tmp_path))
    content = json.loads((shared_data / "acasxu" / "reluplex_adversarial.json").read_text())
    boxes = [(p["minimal_output"], box) for p in content["points"] for box in p["boxes"]]
    asked = e3.cells(shared_data)
    assert len(asked) == 25
    for cell, (least, box) in zip(asked, boxes, strict=True):
        (region,) = e3.property_of(cell, file).regions
        assert [float(v) for v in region.low] == pytest.approx(box["lower"], abs=1e-12)
        assert [float(v) for v in region.high] == pytest.approx(box["upper"], abs=1e-12)
        negative = {dict(row.outputs)[least] for part in region.alternatives for row in part}
        assert negative == {-1} and len(region.alternatives) == 4


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met(shared_data):
    found = e3.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary
