"""The search's charts: the score against every cost that was measured."""

import dataclasses
import re

import pytest

from netwright.finding import Heatmap, Lines, Measurement, Series
from netwright.report import LeaderboardRow, render_report
from netwright.report._search import _front, scatters_of
from tests.report import samples


def exactly(value, unit=""):
    return Measurement(value, value, value, 1, unit)


def row(number, accuracy, *, macs=None, fidelity=1.0, status="trained", **more):
    costs = {"macs": exactly(macs, "MACs")} if macs else {}
    metrics = {"accuracy": exactly(accuracy)} if accuracy is not None else {}
    return LeaderboardRow(
        number, f"design {number}", status, metrics, fidelity=fidelity, costs=costs, **more
    )


def view(*rows, **more):
    return dataclasses.replace(samples.empty(), leaderboard=rows, score="accuracy", **more)


def test_a_chart_for_each_cost_bytes_first():
    names = [name for name, _ in scatters_of(samples.digits())]
    assert names == ["size", "parameters", "latency_p95"]
    names = [name for name, _ in scatters_of(view(row(0, 0.9, macs=10), row(1, 0.8, params=4)))]
    assert names == ["parameters", "operations"]


def test_a_score_is_no_cost():
    one = row(0, 0.9, params=3)
    more = {"robust(linf=4/255) >= 0.5": exactly(0.4), "ece <= 0.1": exactly(0.2)}
    one = dataclasses.replace(one, metrics={**one.metrics, **more})
    assert [name for name, _ in scatters_of(view(one))] == ["parameters"]


def test_two_requirements_on_latency_have_a_chart_each():
    texts = ("latency_p95 <= 1 ms @batch=1", "latency_p95 <= 9 ms @batch=64")
    one = row(0, 0.9)
    one = dataclasses.replace(
        one, metrics={**one.metrics, **{t: exactly(1e-4 * k, "s") for k, t in enumerate(texts, 1)}}
    )
    charts = scatters_of(view(one))
    assert [name for name, _ in charts] == list(texts)
    assert len({figure.ident for _, figure in charts}) == 2


def test_every_chart_has_its_data_as_a_table_and_each_point_its_design():
    for _, figure in scatters_of(samples.digits()):
        assert len(figure.table.rows) == 8  # one of nine has no score
        assert "no. 7, residual CNN, tiny: accuracy 0.983" in figure.drawings[0]
        assert "25% of a training" in figure.drawings[0]


def test_what_was_trained_briefly_stands_apart():
    ((_, figure),) = scatters_of(view(row(0, 0.5, params=3, fidelity=0.1), row(1, 0.9, params=3)))
    assert "trained briefly" in figure.drawings[0]


@pytest.mark.parametrize("cost, place", [("size", 200), ("latency_p95", 0.25)])
def test_bounds_are_drawn_on_their_own_cost(cost, place):
    drawing = dict(scatters_of(samples.digits()))[cost].drawings[0]
    bounds = re.findall(r'class="bound"[^>]*>([^<]*)<', drawing)
    assert len(bounds) == 2
    assert any(b.startswith("accuracy ≥ 0.95") for b in bounds)
    assert any(b.startswith(f"{cost} ≤ {place}") for b in bounds)


def test_the_front_rises_with_cost_or_falls_for_errors():
    spots = [(3, 0.9), (1, 0.5), (2, 0.4), (4, 0.9), (1, 0.3)]
    assert _front(spots, higher=True) == ((1, 0.5), (3, 0.9))
    assert _front(spots, higher=False) == ((1, 0.3),)


def test_of_very_many_candidates_the_front_and_the_shipped_one_are_drawn():
    rows = [row(k, 0.5 + 0.0001 * (k % 7), params=10 + k) for k in range(3000)]
    rows[1234] = row(1234, 0.99, params=2000)
    rows[777] = dataclasses.replace(rows[777], chosen=True)
    ((_, figure),) = scatters_of(view(*rows))
    assert "no. 1234," in figure.drawings[0]
    assert "no. 777, shipped" in figure.drawings[0]
    assert figure.drawings[0].count("<title>no. ") < 300


def test_nothing_measured_draws_nothing():
    assert scatters_of(samples.empty()) == ()
    assert scatters_of(view(row(0, None, params=3))) == ()
    assert "data-choice" not in render_report(view(row(0, None, params=3)))


def test_price_list_and_code_stand_in_the_page():
    page = render_report(
        dataclasses.replace(
            samples.impossible(),
            unreachable="`size <= 2 kB` costs <b>1.3</b> points.",
            prices=samples.impossible().front,
        )
    )
    assert "<code>size &lt;= 2 kB</code> costs &lt;b&gt;1.3&lt;/b&gt; points." in page
    assert page.count("The reachable front</caption>") == 2


def test_cells_and_the_controllers_probabilities_stand_in_the_search():
    lines = Lines(
        "Depth", "trained children", "probability", (Series("2", (5.0, 10.0), (0.5, 0.7)),)
    )
    heat = Heatmap(
        "Every decision", "trained children", "decision", ("5",), ("depth: 2",), ((0.7,),)
    )
    plain = view(row(0, 0.9, params=4))
    page = render_report(dataclasses.replace(plain, cells=samples.DRAWING, decided=(lines, heat)))
    part = page[page.index('<section id="search"') : page.index('<section id="making"')]
    assert "The cells that were found" in part and "<figcaption>Depth</figcaption>" in part
    assert 'class="full drawn" id="decided-1"' in part
    bare = render_report(plain)
    assert "The cells that were found" not in bare and "What the controller" not in bare
