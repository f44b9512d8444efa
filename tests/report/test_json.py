import json
import math
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.finding import Bars, Finding, Lines, Measurement, Series, Table
from netwright.report import findings_from_json, findings_schema, findings_to_json
from tests.report import samples

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "findings.schema.json"


@pytest.mark.parametrize("name", [n for n in samples.VIEWS if n != "awkward"])
def test_findings_survive_the_way_there_and_back(name):
    findings = samples.VIEWS[name]().findings
    assert findings_from_json(findings_to_json(findings)) == findings


@pytest.mark.parametrize("name", samples.VIEWS)
def test_documents_follow_the_schema(name):
    text = findings_to_json(samples.VIEWS[name]().findings)
    validator = jsonschema.Draft202012Validator(findings_schema())
    assert not list(validator.iter_errors(json.loads(text)))


def test_schema_is_a_schema_and_the_copy_in_docs_is_current():
    jsonschema.Draft202012Validator.check_schema(findings_schema())
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == findings_schema(), (
        "write it anew: python -c 'import json; from netwright.report import findings_schema as s; "
        "print(json.dumps(s(), indent=1))' > docs/findings.schema.json"
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("version"),
        lambda d: d.update(version=2),
        lambda d: d.update(more=1),
        lambda d: d["findings"][0].pop("name"),
        lambda d: d["findings"][0].update(sekonds=1),
        lambda d: d["findings"][0]["measurement"].update(value="much"),
        lambda d: d["findings"][0]["judgement"].update(verdict="maybe"),
        lambda d: d["findings"][0]["evidence"][0].pop("kind"),
        lambda d: d["findings"][0]["evidence"][0].update(kind="pie"),
    ],
)
def test_schema_and_reader_refuse_the_same_documents(spoil):
    document = json.loads(findings_to_json(samples.digits().findings[:1]))
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, findings_schema())
    with pytest.raises(ValueError, match="findings|version"):
        findings_from_json(json.dumps(document))


def test_unknown_version_says_what_to_do():
    with pytest.raises(ValueError, match=r"`version` .* must be 1; got 7. .*another release"):
        findings_from_json('{"version": 7, "findings": []}')


def test_wrong_value_is_named_by_its_place():
    document = json.loads(findings_to_json(samples.digits().findings[:1]))
    document["findings"][0]["measurement"]["n"] = "many"
    with pytest.raises(ValueError, match=r"`findings.0.measurement.n`"):
        findings_from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 1, "findings": [NaN]}'])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="`text` must be"):
        findings_from_json(text)


def test_numbers_that_json_cannot_hold_come_back():
    inf = math.inf
    finding = Finding("a", "b", "c", Measurement(math.nan, -inf, inf, 1), evidence=(
        Lines("t", "x", "y", (Series("s", (math.nan, 1.0), (inf, 2.0)),)),
        Table("t", ("a",), ((math.nan,), (1,), (None,))),
    ))  # fmt: skip
    text = findings_to_json((finding,))
    json.loads(text, parse_constant=pytest.fail)
    [back] = findings_from_json(text)
    assert math.isnan(back.measurement.value)
    assert (back.measurement.low, back.measurement.high) == (-inf, inf)
    assert back.evidence[0].series[0].y == (inf, 2.0)
    # As documented: where text may stand, the name of the number comes back.
    assert back.evidence[0].series[0].x == ("NaN", 1.0)
    assert back.evidence[1].rows == (("NaN",), (1,), (None,))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CELLS = st.none() | st.text() | st.integers(-(2**53), 2**53) | NUMBERS


@given(st.text(), st.lists(CELLS), st.lists(st.floats(allow_nan=False), min_size=2, max_size=2))
def test_any_text_and_number_comes_back(text, cells, values):
    finding = Finding(
        text, text, text, requirement=text,
        evidence=(
            Table(text, ("a",), tuple((c,) for c in cells)),
            Bars(text, text, text, (Series(text, (text, "b"), tuple(values)),)),
        ),
    )  # fmt: skip
    assert findings_from_json(findings_to_json((finding,))) == (finding,)
