"""The terminal's view: candidates line by line, and the front as it grows."""

import io

import pytest
from rich.console import Console

from netwright._journal import Event
from netwright._live import LiveView, Spot, front, front_table


def spot(cost, score, unit="bytes"):
    return Spot(cost, unit, score, f"{cost} for {score}")


def trained(number, score, size, metric="accuracy", status="trained"):
    facts = {
        "number": number, "design": f"design {number}", "fidelity": 1.0, "status": status,
        "score": f"{metric} {score}", "cost": f"{size} B", "metric": metric,
        "figures": {metric: score, "size": size},
    }  # fmt: skip
    return Event("candidate trained", 1.0, facts)


def shown(*events, terminal=False):
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    with LiveView(console, 60.0) as view:
        for event in events:
            view(event)
        picture = view._picture() if terminal else None
    if terminal:
        console = Console(file=io.StringIO(), width=100, color_system=None)
        console.print(picture)
    return console.file.getvalue()


def test_front_holds_what_no_cheaper_one_equals():
    spots = [spot(30, 0.9), spot(10, 0.5), spot(20, 0.5), spot(40, 0.8), spot(10, 0.4)]
    assert [(s.cost, s.score) for s in front(spots, higher=True)] == [(10, 0.5), (30, 0.9)]
    assert [(s.cost, s.score) for s in front(spots, higher=False)] == [(10, 0.4)]


@pytest.mark.parametrize("higher", [True, False])
def test_longest_bar_is_the_best(higher):
    spots = [spot(k, 0.5 + 0.1 * k if higher else 0.9 - 0.1 * k) for k in range(1, 4)]
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(front_table(spots, "score", higher=higher))
    bars = [line.count("█") for line in console.file.getvalue().splitlines()[1:]]
    assert bars == sorted(bars) and bars[0] < bars[-1] == 24


def test_a_long_front_keeps_its_ends():
    spots = [spot(k, k / 100) for k in range(1, 40)]
    table = front_table(spots, "accuracy", higher=True)
    costs = list(table.columns[0].cells)
    assert len(costs) == 8 and (costs[0], costs[-1]) == ("1 B", "39 B")


def test_elsewhere_than_on_a_terminal_each_candidate_is_a_line():
    text = shown(trained(0, 0.9, 50), trained(1, 0.8, 60), trained(2, 0.95, 70))
    lines = [line for line in text.splitlines() if "design" in line]
    assert [line.endswith("on the front") for line in lines] == [True, False, True]


def test_on_a_terminal_the_front_is_drawn_under_the_candidates():
    text = shown(trained(0, 0.9, 50), trained(1, 0.8, 60), trained(2, 0.95, 70), terminal=True)
    below = text[text.index("front so far") :]
    assert "design 0" in below and "design 2" in below and "design 1" not in below


def test_less_is_better_of_errors():
    text = shown(trained(0, 3.0, 50, "rmse"), trained(1, 2.0, 60, "rmse"), terminal=True)
    below = text[text.index("front so far") :]
    assert "design 0" in below and "design 1" in below


def test_what_diverged_or_was_never_trained_is_not_on_the_front():
    nothing = Event("candidate pruned", 1.0, {
        "design": "huge", "fidelity": 0.0, "status": "not trained", "score": "",
        "cost": "too large",
    })  # fmt: skip
    text = shown(trained(0, float("nan"), 50, status="diverged"), nothing, Event("tick", 2.0))
    assert "on the front" not in text
    assert "too large" in text


def test_a_lost_worker_is_told():
    text = shown(Event("worker lost", 1.0, {"number": 3, "text": "The worker was lost."}))
    assert "The worker was lost." in text
