"""The search: the same numbers by any workers, nothing lost by a kill, costs before training."""

import contextlib
import json

import pytest
import torch
from safetensors.torch import load_file

import netwright as nw
from netwright import _search
from netwright._journal import Journal
from netwright._search import search
from netwright.design import Ledger, SuccessiveHalving
from netwright.design.strategies import RandomCodes
from netwright.learn import Budget
from netwright.requirement import Requirement

from .search_parts import STEMS, Chain, Crew, Stems, few_rows, tiny

GOOD = Requirement.parse("accuracy >= 0.05")
HARD = Requirement.parse("accuracy >= 0.999")


@pytest.fixture(scope="module")
def task():
    return few_rows(nw.load("digits", seed=0))


@pytest.fixture(autouse=True)
def portfolio(monkeypatch):
    designs = tuple(tiny(stem) for stem in STEMS)
    monkeypatch.setattr(_search, "portfolio", lambda schema, n: designs)
    return designs


@pytest.fixture
def run(task, tmp_path, monkeypatch):
    """Search in a folder; a crew of the test's own may do the work."""

    def run(name="run", requirements=(), *, steps=64, crew=None, strategy=None):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if crew is not None:
            hired = contextlib.nullcontext(crew)
            monkeypatch.setattr(_search, "hire", lambda *args, **kwargs: hired)
        else:
            monkeypatch.undo()
            monkeypatch.setattr(_search, "portfolio", lambda s, n: tuple(map(tiny, STEMS)))
        parsed = [Requirement.parse(r) if isinstance(r, str) else r for r in requirements]
        return search(
            task, parsed, Budget(steps=steps), folder=folder, seed=0, device="cpu",
            journal=Journal(folder / "log.jsonl"), make_strategy=strategy,
        )  # fmt: skip

    return run


def events(tmp_path, name="run"):
    lines = (tmp_path / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def weights(tmp_path, name, number):
    return load_file(tmp_path / name / "candidates" / f"{number:03d}" / "model.safetensors")


def assert_same(tmp_path, one, other):
    first, second = (Ledger(tmp_path / name).records() for name in (one, other))
    assert [r.candidate for r in first] == [r.candidate for r in second]
    assert [r.measurements for r in first] == [r.measurements for r in second]
    for record in first:
        if record.status == "pruned":
            continue
        a, b = (weights(tmp_path, name, record.candidate.number) for name in (one, other))
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_two_workers_in_any_order_find_what_one_finds(run, task, tmp_path):
    crew = Crew(task)
    run("two", [GOOD], crew=crew)
    run("one", [GOOD])
    assert crew.submitted[:2] == [0, 1]
    assert_same(tmp_path, "one", "two")
    curves = [e for e in events(tmp_path, "two") if e["event"] == "epoch"]
    records = Ledger(tmp_path / "two").records()
    assert {e["number"] for e in curves} == {r.candidate.number for r in records}


def test_a_lost_candidate_is_tried_again_and_the_others_go_on(run, task, tmp_path):
    crew = Crew(task, lose={1: 2})
    run("lossy", crew=crew)
    run("whole")
    assert crew.submitted.count(1) == 3
    lost = [e for e in events(tmp_path, "lossy") if e["event"] == "worker lost"]
    assert [e["number"] for e in lost] == [1, 1]
    assert "killed by the test" in lost[0]["text"] and "tried again" in lost[0]["text"]
    assert_same(tmp_path, "whole", "lossy")


def test_a_candidate_that_takes_every_worker_down_is_given_up(run, task, tmp_path):
    found = run(crew=Crew(task, lose={0: 9}))
    record = Ledger(tmp_path / "run").completed(0)
    assert record.status == "died"
    assert "accuracy" not in record.measurements
    assert found.candidate != 0
    assert "given up after 3 tries" in next(
        e["text"] for e in reversed(events(tmp_path)) if e["event"] == "worker lost"
    )


@pytest.mark.parametrize("killed_after", [0, 1, 3, 4])
def test_killed_with_two_under_way_it_goes_on_as_if_unbroken(run, task, tmp_path, killed_after):
    def strategy(designs, **kwargs):
        return Chain(designs, 6, ahead=2)

    with pytest.raises(KeyboardInterrupt):
        run("broken", crew=Crew(task, killed_after=killed_after), strategy=strategy)
    assert len(Ledger(tmp_path / "broken").records()) == killed_after
    assert len(Ledger(tmp_path / "broken").unfinished()) == min(2, 6 - killed_after)
    run("broken", crew=Crew(task), strategy=strategy)
    records = Ledger(tmp_path / "broken").records()
    assert [r.candidate.number for r in records] == list(range(6))
    told = [e["number"] for e in events(tmp_path, "broken") if e["event"] == "candidate trained"]
    assert sorted(told) == list(range(6))
    # What was proposed follows from who was told when: replaying the journal gives it again.
    again = strategy(tuple(map(tiny, STEMS)))
    for event in events(tmp_path, "broken"):
        if event["event"] == "candidate asked":
            assert again.ask() == records[event["number"]].candidate
        elif event["event"] == "candidate trained":
            again.tell(records[event["number"]].candidate, {})


def test_a_new_design_that_breaks_a_bound_on_costs_is_not_trained(run, tmp_path):
    made = []

    def strategy(designs, **kwargs):
        made.append(Chain([tiny(2, "new"), tiny(16, "huge")], 6))
        return made[-1]

    found = run(requirements=[GOOD, "params <= 200"], strategy=strategy)
    by_status = {"pruned": 0, "steps": 0}
    for record in found.records:
        by_status[record.status] += 1
        assert ("accuracy" in record.measurements) == (record.status == "steps")
        assert record.candidate.design.name.startswith("huge") == (record.status == "pruned")
        assert record.measurements["params <= 200"].value in (82, 810)
    assert all(by_status.values())
    assert sorted(made[0].told) == list(range(6))
    pruned = [e for e in events(tmp_path) if e["event"] == "candidate pruned" and "number" in e]
    assert pruned[0]["cost"] == "params 810 parameters breaks params <= 200"
    # The budget of what was pruned went to the others, and nothing is done twice.
    steps = [e["steps"] for e in events(tmp_path) if e["event"] == "candidate asked"]
    assert steps[-1] > 64 / 6
    before = len(events(tmp_path))
    run(requirements=[GOOD, "params <= 200"], strategy=strategy)
    assert len(events(tmp_path)) <= before + 2  # chosen, again


def test_when_every_new_design_is_too_large_the_nearest_is_trained(run):
    def strategy(designs, **kwargs):
        return Chain([tiny(8, "large"), tiny(16, "huge")], 4)

    found = run(requirements=[GOOD, "params <= 200"], strategy=strategy)
    assert found.design.parameters["stem"] == 8
    assert not found.choice.qualified
    assert [r.status for r in found.records].count("pruned") == 4


def test_costs_are_measured_once_in_the_life_of_a_run(run, tmp_path, monkeypatch):
    run(requirements=["params <= 200"])
    known = (tmp_path / "run" / "costs.jsonl").read_text(encoding="utf-8")
    assert len(known.splitlines()) == len(STEMS)
    run(requirements=["params <= 200"])
    assert (tmp_path / "run" / "costs.jsonl").read_text(encoding="utf-8") == known


def test_beyond_hope_designs_beyond_the_bounds_are_trained_for_the_price_list(run, tmp_path):
    found = run(requirements=[HARD, "params <= 200"], steps=400)
    asked = [e for e in events(tmp_path) if e["event"] == "candidate asked"]
    scouts = [e for e in asked if e.get("extra")]
    assert [e["design"] for e in scouts] == ["tiny 8", "tiny 16"]
    last = next(e for e in asked if e["fidelity"] == 1.0)
    assert {e["steps"] for e in scouts} <= {last["steps"], last["steps"] + 1, last["steps"] - 1}
    assert sum(e["steps"] for e in asked) <= 400
    price = next(p for p in found.choice.prices if p.requirement == "params <= 200")
    assert {rung.bound for rung in price.ladder} <= {346.0, 810.0}
    assert "costs" in price.text
    # Found already: nothing is asked again.
    run(requirements=[HARD, "params <= 200"], steps=400)
    assert sum(e["event"] == "candidate asked" for e in events(tmp_path)) == len(asked)


def test_when_no_design_is_cheap_enough_others_get_the_share_of_the_least_bad(run, tmp_path):
    found = run(requirements=[GOOD, "params <= 10"], steps=400)
    asked = [e for e in events(tmp_path) if e["event"] == "candidate asked"]
    last = next(e for e in asked if e["fidelity"] == 1.0)
    scouts = [e for e in asked if e.get("extra")]
    assert len(scouts) == 2 and all(abs(e["steps"] - last["steps"]) <= 1 for e in scouts)
    assert "tiny 2" == last["design"] == found.design.name
    assert "No trained candidate meets `params <= 10`" in found.choice.unreachable


def test_what_can_be_met_spends_nothing_beyond_the_bounds(run, tmp_path):
    run(requirements=[GOOD, "params <= 200"])
    asked = [e for e in events(tmp_path) if e["event"] == "candidate asked"]
    assert not any(e.get("extra") for e in asked)


def test_the_only_design_within_the_bounds_leaves_some_for_the_price_list(run, tmp_path):
    found = run(requirements=[HARD, "params <= 100"], steps=100)
    asked = [e for e in events(tmp_path) if e["event"] == "candidate asked"]
    assert [(e["design"], e["steps"]) for e in asked] == [
        ("tiny 2", 50), ("tiny 4", 25), ("tiny 8", 25),
    ]  # fmt: skip
    assert not found.choice.qualified
    found = run("easy", requirements=[GOOD, "params <= 100"], steps=100)
    assert len(found.records) == 1


def test_a_search_that_is_done_hires_nobody(run, task):
    class Nobody(Crew):
        def submit(self, order, inherited):
            raise AssertionError("hired")

    before = run()
    assert run(crew=Nobody(task)).records == before.records


def test_a_pruned_design_gives_its_share_away_after_a_kill_too(run, task, tmp_path):
    def strategy(designs, **kwargs):
        return Chain([tiny(2, "new"), tiny(16, "huge")], 6)

    needs = [GOOD, "params <= 200"]
    run("whole", needs, strategy=strategy, crew=Crew(task))
    with pytest.raises(KeyboardInterrupt):
        run("broken", needs, strategy=strategy, crew=Crew(task, killed_after=2))
    run("broken", needs, strategy=strategy, crew=Crew(task))
    shares = [
        {e["number"]: e["steps"] for e in events(tmp_path, name) if e["event"] == "candidate asked"}
        for name in ("whole", "broken")
    ]
    assert shares[0] == shares[1]
    assert_same(tmp_path, "whole", "broken")


def test_a_strategy_that_waits_for_nothing_is_an_error(run):
    with pytest.raises(RuntimeError, match="waiting"):
        run(strategy=lambda designs, **kwargs: Chain(designs, 2, ahead=0))


def test_a_folder_of_another_search_is_refused(run, tmp_path):
    run()
    with pytest.raises(ValueError, match="Candidate 0 is 'tiny 2' in the ledger of .*'tiny 2 #0'"):
        run(strategy=lambda designs, **kwargs: Chain(designs, 1))
    with pytest.raises(ValueError, match="its journal has candidate 0 where .* nothing more"):
        run(strategy=lambda designs, **kwargs: Chain(designs, 0))
    (tmp_path / "run" / "ledger.db").unlink()
    with pytest.raises(ValueError, match="its ledger has none. Delete the folder"):
        run()


def test_weights_are_handed_from_parent_to_child(run, tmp_path):
    class Family(SuccessiveHalving):
        """One design, trained twice: the second time from where the first ended."""

        def __init__(self, designs, **kwargs):
            self.left = [(0, None), (1, 0)]
            self.design = designs[0]

        remaining = 1.0

        def ask(self):
            from netwright.design import Candidate

            return Candidate(*self._pop()) if self.left else None

        def _pop(self):
            number, parent = self.left.pop(0)
            return number, self.design, 1.0, parent

        def tell(self, candidate, measurements):
            pass

    run(strategy=Family, steps=30)
    parent, child = (weights(tmp_path, "run", n) for n in (0, 1))
    assert any(not torch.equal(parent[k], child[k]) for k in parent)
    first = [e for e in events(tmp_path) if e["event"] == "epoch"]
    start = {n: next(e["train_loss"] for e in first if e["number"] == n) for n in (0, 1)}
    assert start[1] < start[0]


def test_a_search_of_a_space_fits(run):
    def strategy(designs, **kwargs):
        return RandomCodes(Stems(), n_candidates=3, **kwargs)

    assert len({record.candidate.design.name for record in run(strategy=strategy).records}) == 3
