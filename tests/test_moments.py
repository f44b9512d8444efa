"""What a search's controller thought: kept in the journal, and drawn."""

import math

import pytest

import netwright as nw
from netwright._journal import Journal
from netwright._moments import moment_charts, note_moments
from netwright._strategies import strategy_for
from netwright.finding import Heatmap, Lines
from netwright.learn import Budget
from netwright.measure import proportion


@pytest.fixture(scope="module")
def make():
    return strategy_for(nw.load("digits", seed=0), Budget(steps=1500), 0, name="controller")


def searched(make, journal):
    """Wide designs are good: the controller is to find out."""
    search = make((), requirements=(), metric="accuracy")
    while (candidate := search.ask()) is not None:
        layers = candidate.design.parameters["layers"]
        score = proportion(20 + layers[0]["width"], 100)
        search.tell(candidate, {"accuracy": score, "params": proportion(1, 2)})
        note_moments(search, journal)
    return search


def test_each_moment_is_written_once_and_none_again_after_a_kill(make, tmp_path):
    journal = Journal(tmp_path / "log.jsonl")
    search = searched(make, journal)
    written = journal.find("moment")
    assert [e.facts["told"] for e in written] == [5, 10, 15]
    assert [e.facts["told"] for e in written] == [m.n_told for m in search.history]
    (listed,) = journal.find("decisions")
    assert [name for name, _ in listed.facts["decisions"]] == [d.name for d in search.decisions]
    again = Journal(tmp_path / "log.jsonl")
    searched(make, again)
    assert again.find("moment") == written and len(again.find("decisions")) == 1


def test_charts_show_probabilities_of_every_decision(make, tmp_path):
    journal = Journal(tmp_path / "log.jsonl")
    search = searched(make, journal)
    entropy, *clearest, overview = moment_charts(journal)
    assert isinstance(entropy, Lines) and isinstance(overview, Heatmap)
    of_design, by_chance = entropy.series
    sizes = [len(d.options) for d in search.decisions]
    assert by_chance.y[0] == pytest.approx(math.log(math.prod(sizes)))
    assert all(e < by_chance.y[0] + 1e-3 for e in of_design.y)
    assert len(clearest) == 6
    for chart in clearest:
        totals = [sum(ps) for ps in zip(*(s.y for s in chart.series), strict=True)]
        assert totals == pytest.approx([1.0] * 3, abs=1e-3)
    assert len(overview.rows) == len(sizes) and overview.columns == ("5", "10", "15")
    last = search.history[-1].probabilities
    assert [row[-1] for row in overview.values] == pytest.approx([max(p) for p in last], abs=1e-4)


def test_long_searches_keep_the_last_moment_in_the_overview(tmp_path):
    journal = Journal(tmp_path / "log.jsonl")
    journal.record("decisions", decisions=[["depth", ["2", "3"]], ["only", ["one"]]])
    for told in range(1, 102):
        chances = [[1 - told / 102, told / 102], [1.0]]
        journal.record("moment", told=told, entropy=0.5, probabilities=chances)
    *_, overview = moment_charts(journal)
    assert len(overview.columns) <= 40 and overview.columns[-1] == "101"
    assert overview.rows == ("depth: 3", "only: one")
    assert overview.values[0][-1] == pytest.approx(101 / 102)


def test_searches_without_a_controller_leave_nothing(tmp_path):
    journal = Journal(tmp_path / "log.jsonl")
    task = nw.load("digits", seed=0)
    search = strategy_for(task, Budget(steps=90), 0, name="evolution")(
        (), requirements=(), metric="accuracy"
    )
    search.tell(search.ask(), {"accuracy": proportion(1, 2)})
    note_moments(search, journal)
    assert not journal.events and moment_charts(journal) == ()
