"""Workers: orders go to processes, come back equal, and a killed process loses its order alone."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load

import netwright as nw
from netwright._evaluate import Order, Outcome, evaluate
from netwright._journal import Journal
from netwright._workers import Lost, OneProcess, hire
from netwright.design import Candidate, Ledger

from .search_parts import few_rows, tiny

needs_ray = pytest.mark.skipif(  # honest: an extra; CI has it
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install netwright[cluster]"
)


@pytest.fixture(scope="module")
def task():
    return few_rows(nw.load("digits", seed=0))


def order(number, steps=20, **more):
    texts = ("accuracy >= 0.5", "ece <= 0.2")
    return Order(Candidate(number, tiny(4)), texts, "accuracy", steps=steps, **more)


def ignore(order, epoch):
    pass


def test_one_process_does_one_order_at_a_time(task):
    heard = []
    crew = OneProcess(task, lambda o, epoch: heard.append((o.candidate.number, epoch.number)))
    assert (crew.size, crew.free) == (1, 1)
    assert crew.wait(0.0) == ()
    crew.submit(order(7), None)
    assert crew.free == 0
    ((done, outcome),) = crew.wait(0.0)
    assert done == order(7)
    assert crew.free == 1
    assert heard == [(7, epoch.number) for epoch in outcome.epochs]


def test_without_workers_or_with_one_no_cluster_is_started(task):
    for n in (None, 1):
        with hire(task, n, None, device="cpu", on_epoch=ignore) as crew:
            assert isinstance(crew, OneProcess)


def test_no_workers_are_no_workers(task):
    with pytest.raises(ValueError, match="`workers` must be at least 1; got 0"):
        with hire(task, 0, None, device="cpu", on_epoch=ignore):
            pass


def test_without_ray_the_message_says_how_to_get_it(task, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'netwright\[cluster\]'"):
        with hire(task, 2, None, device="cpu", on_epoch=ignore):
            pass


@needs_ray
@pytest.mark.parametrize(
    "address, message",
    [
        ("127.0.0.1:1", "No Ray cluster answers at '127.0.0.1:1'.*ray start --head"),
        ("ray://127.0.0.1:1", "No Ray cluster answers"),
        ("somewhere", 'must be "auto" or read host:port'),
    ],
)
def test_a_cluster_that_is_not_there_is_told_at_once(task, address, message):
    began = time.monotonic()
    with pytest.raises(ValueError, match=message):
        with hire(task, None, address, device="cpu", on_epoch=ignore):
            pass
    assert time.monotonic() - began < 20.0


def test_the_time_before_a_kill_counts_and_the_search_s_end_is_kept(task, tmp_path):
    folder = tmp_path / "000"
    first = evaluate(order(0, steps=None, seconds=1.0, folder=str(folder)), task)
    used = first.epochs[-1].seconds
    # The search has 0.5 s left: a share of 9 s ends then, counted from the checkpoint.
    again = order(0, steps=None, seconds=9.0, left=0.5, folder=str(folder))
    began = time.monotonic()
    outcome = evaluate(again, task)
    assert outcome.epochs[-1].seconds <= used + 0.5 + 1.0
    assert time.monotonic() - began < 5.0


def test_a_worker_elsewhere_does_without_the_run_s_folder(task, tmp_path):
    outcome = evaluate(order(0, folder=str(tmp_path / "not here" / "000")), task)
    assert outcome.status == "steps"
    assert list(tmp_path.iterdir()) == []


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves its own files open
def test_a_killed_worker_loses_its_order_and_nothing_else(task):
    import ray

    with hire(task, 2, None, device="cpu", on_epoch=ignore) as crew:
        assert (crew.size, crew.free) == (2, 2)
        victim, _ = ray.get(crew.processes())
        long = order(0, steps=200_000)  # minutes
        crew._idle.reverse()  # the first of `processes` takes the first order
        crew.submit(long, None)
        crew.submit(order(1), None)
        ended = {}
        while 1 not in ended:
            ended |= {o.candidate.number: outcome for o, outcome in crew.wait(60.0)}
        assert isinstance(ended[1], Outcome) and 0 not in ended
        os.kill(victim, signal.SIGKILL)
        while 0 not in ended:
            ended |= {o.candidate.number: outcome for o, outcome in crew.wait(60.0)}
        assert isinstance(ended[0], Lost)
        assert crew.free == 2
        assert victim not in ray.get(crew.processes())
        crew.submit(order(0), None)  # another has taken its place
        crew.submit(order(2), ended[1].weights)
        ended = {}
        while len(ended) < 2:
            ended |= {o.candidate.number: outcome for o, outcome in crew.wait(60.0)}
    assert not ray.is_initialized()
    here = evaluate(order(0), task)
    assert ended[0].measurements == here.measurements
    assert ended[0].weights == here.weights  # the same bits as in this process
    inherited = evaluate(order(2), task, inherited=evaluate(order(1), task).weights)
    assert load(ended[2].weights).keys() == load(inherited.weights).keys()
    assert ended[2].weights == inherited.weights


def workers_below(process):
    """Numbers of the Ray workers that a command has started."""
    parents, found = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status = (place / "stat").read_text().rsplit(")", 1)[1].split()
            command = (place / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        parents[int(place.name)] = int(status[1])
        if command.startswith(b"ray::_Worker.evaluate"):
            found.append(int(place.name))

    def is_below(number):
        while number in parents:
            if number == process:
                return True
            number = parents[number]
        return False

    return [number for number in found if is_below(number)]


@needs_ray
@pytest.mark.slow
@pytest.mark.claim  # a minute; the suite has a lost worker, and kills of searches, in smaller tests
def test_a_build_by_workers_survives_the_death_of_one_and_then_its_own(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable, "-m", "netwright", "build", "digits", "--workers", "2", "--budget",
        "300 steps", "-r", "accuracy >= 0.9", "--out", str(tmp_path / "run"),
    ]  # fmt: skip

    def begin():
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def seen(name):
        path = tmp_path / "run" / "log.jsonl"
        return Journal(path).find(name) if path.exists() else ()

    def until(condition, process, seconds=150.0):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found

    process = begin()
    try:
        victims = until(lambda: workers_below(process.pid), process)
        os.kill(victims[0], signal.SIGKILL)
        until(lambda: seen("worker lost"), process)
        until(lambda: seen("candidate trained"), process)
    finally:
        process.kill()
        process.communicate()
    told = {e.facts["number"] for e in seen("candidate trained")}
    process = begin()
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    records = Ledger(tmp_path / "run").records()
    numbers = [r.candidate.number for r in records]
    assert numbers == list(range(len(numbers)))  # nothing is lost, nothing stands twice
    trained = [e.facts["number"] for e in seen("candidate trained")]
    assert sorted(trained) == numbers and told <= set(trained)
    # What one process finds is what two workers, one of them killed, have found.
    nw.build("digits", require=["accuracy >= 0.9"], budget="300 steps", out=tmp_path / "alone")
    alone = Ledger(tmp_path / "alone").records()
    assert [r.measurements for r in records] == [r.measurements for r in alone]
