"""Lists of problems, and the processes that share them."""

import os
import signal
import time

import pytest

from netwright.audits.verify import read_instances, verify_instances, with_timeout
from netwright.audits.verify._workers import Lost, call_all

from .conftest import make_network, write_onnx, write_property


def work(task):
    """What a test process is told to do."""
    kind, value = task
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "sleep":
        time.sleep(value)
    if kind == "fail":
        raise ValueError("as asked")
    return value * 2


def test_every_call_is_answered_whatever_the_others_do():
    tasks = [("double", 1), ("die", 0), ("double", 2), ("sleep", 600), ("double", 3)]
    limits = [300.0, 300.0, 300.0, 5.0, 300.0]
    found = dict(call_all(work, tasks, workers=2, limits=limits))
    assert [found[i] for i in (0, 2, 4)] == [2, 4, 6]
    assert isinstance(found[1], Lost) and "-9" in found[1].reason and not found[1].late
    assert isinstance(found[3], Lost) and found[3].late


def test_what_a_call_raises_is_raised():
    with pytest.raises(ValueError, match="as asked"):
        list(call_all(work, [("fail", 0)], workers=1))


def test_leaving_the_loop_ends_the_processes():
    calls = call_all(work, [("double", 1), ("sleep", 600)], workers=2)
    assert next(calls) == (0, 2)
    began = time.monotonic()
    calls.close()
    assert time.monotonic() - began < 30


@pytest.fixture
def listing(tmp_path, draw):
    network = make_network(draw, [2, 4, 1])
    write_onnx(network, tmp_path / "n.onnx")
    box = [-1.0, -1.0], [1.0, 1.0]
    write_property(tmp_path / "holds.vnnlib", *box, ["(assert (<= Y_0 -100))"], 1)
    write_property(tmp_path / "fails.vnnlib", *box, ["(assert (<= Y_0 100))"], 1)
    write_property(tmp_path / "other.vnnlib", [0.0], [1.0], ["(assert (<= Y_0 0))"], 1)
    path = tmp_path / "instances.csv"
    path.write_text(
        "n.onnx,holds.vnnlib,10\n\n./onnx/n.onnx, fails.vnnlib, 20\nn.onnx,other.vnnlib,5\n"
    )
    return path


def test_a_list_is_read(listing):
    found = read_instances(listing)
    assert [one.timeout for one in found] == [10.0, 20.0, 5.0]
    assert all(one.network == listing.parent / "n.onnx" for one in found)  # also beside the list
    assert {one.timeout for one in with_timeout(found, 3.0)} == {3.0}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_list_is_decided(listing, workers):
    made = dict(verify_instances(read_instances(listing), workers=workers))
    assert [made[i].outcome for i in range(3)] == ["unsat", "sat", "unknown"]
    assert "1 inputs" in made[2].note


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.onnx,b.vnnlib\n", "line 1: a line holds"),
        ("a.onnx,b.vnnlib,5\na.onnx,b.vnnlib,soon\n", "line 2"),
        ("a.onnx,b.vnnlib,-1\n", "must be positive"),
        ("a.onnx,b.vnnlib,inf\n", "finite"),
        ("\n", "no problem"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path, text, says):
    path = tmp_path / "instances.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_instances(path)
