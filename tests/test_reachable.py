"""What a run says when no candidate meets all requirements."""

import pytest

from netwright._reachable import NAME, front_table, price_table, reachable
from netwright.design import choose
from netwright.report import findings_from_json, findings_to_json
from netwright.requirement import Requirement
from tests.design.samples import exactly, record

GOOD = Requirement.parse("accuracy >= 0.99")
SMALL = Requirement.parse("size <= 20 kB")


def trained(number, accuracy, kilobytes, **more):
    size = exactly(1000.0 * kilobytes, "bytes")
    found = {"accuracy": exactly(accuracy), GOOD.text: exactly(accuracy), SMALL.text: size}
    return record(number, **found, size=size, **more)


RECORDS = (
    trained(0, 0.968, 6),
    trained(1, 0.979, 37),
    trained(2, 0.975, 60),
    trained(3, 0.981, 172),
    record(4, status="pruned", **{SMALL.text: exactly(7e5, "bytes")}),
)


@pytest.fixture
def choice():
    return choose(RECORDS, [GOOD, SMALL], metric="accuracy")


def test_nothing_is_said_when_some_candidate_meets_all():
    met = choose(RECORDS, [SMALL], metric="accuracy")
    assert reachable(met, RECORDS, "accuracy") is None


def test_finding_names_what_binds_and_survives_json(choice):
    found = reachable(choice, RECORDS, "accuracy")
    assert found.name == NAME
    assert "All other requirements could be met without `accuracy >= 0.99`." in found.summary
    assert "37.0 kB costs 0.2 points, 172.0 kB nothing" in found.summary
    assert findings_from_json(findings_to_json((found,))) == (found,)


def test_front_leaves_out_what_is_beaten_and_what_was_never_trained():
    table = front_table(RECORDS, "accuracy")
    assert table.columns == ("design", "accuracy", "size (bytes)")
    assert [(row[1], row[2]) for row in table.rows] == [
        (0.968, 6000.0), (0.979, 37_000.0), (0.981, 172_000.0),
    ]  # fmt: skip


def test_price_list_has_the_stated_bound_first_and_then_looser_ones(choice):
    table = price_table(choice, RECORDS)
    assert table.columns == ("requirement", "bound", "accuracy lost", "binds alone")
    assert table.rows == (
        ("accuracy >= 0.99", "as stated", None, "yes"),
        ("size <= 20 kB", "as stated", "0.013", "no"),
        ("size <= 20 kB", "37.0 kB", "0.0020", None),
        ("size <= 20 kB", "172.0 kB", "0", None),
    )
