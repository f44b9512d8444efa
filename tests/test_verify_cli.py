"""`netwright verify` as people run it: words, files and exit codes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from netwright.audits.verify import AffineReLU, check_proof, read_affine, read_vnnlib
from tests.command import netwright_here

from .audits.verify.conftest import make_network, write_onnx, write_property

BOX = [-1.0, -1.0], [1.0, 1.0]


def start(*arguments, folder=None):
    environment = {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "netwright", "verify", *map(str, arguments)],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def netwright(*arguments, folder=None):
    process = start(*arguments, folder=folder)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    import numpy as np

    folder = tmp_path_factory.mktemp("verify")
    draw = np.random.default_rng(0)
    write_onnx(make_network(draw, [2, 4, 1]), folder / "n.onnx")
    write_property(folder / "holds.vnnlib", *BOX, ["(assert (<= Y_0 -100))"], 1)
    write_property(folder / "fails.vnnlib", *BOX, ["(assert (<= Y_0 100))"], 1)
    write_onnx(make_network(draw, [6, 60, 60, 60, 60, 1]), folder / "hard.onnx")
    write_property(folder / "hard.vnnlib", [-3.0] * 6, [3.0] * 6, ["(assert (<= Y_0 -1e5))"], 1)
    return folder


def test_unsat_with_a_proof(files, tmp_path):
    proof = tmp_path / "proof.json"
    code, out, err = netwright(files / "n.onnx", files / "holds.vnnlib", "--proof", proof)
    assert (code, out) == (0, "unsat\n")
    assert "holds" in err and "Proof of" in err
    prop = read_vnnlib(files / "holds.vnnlib")
    assert check_proof(proof, read_affine(files / "n.onnx"), prop, exact=True).n_leaves >= 1


def test_sat_prints_the_input_as_the_competition_does(files):
    code, out, err = netwright(files / "n.onnx", files / "fails.vnnlib")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "sat" and lines[1].startswith("((X_0 ") and lines[-1].startswith("(Y_0 ")
    assert "violated" in err


def test_undecided_is_exit_code_1(files):
    code, out, err = netwright(
        files / "hard.onnx", files / "hard.vnnlib", "--timeout", 0.5, "--workers", 1
    )
    assert (code, out) == (1, "timeout\n")
    assert "undecided" in err


def test_json_is_all_that_is_printed(files):
    code, out, err = netwright(files / "n.onnx", files / "fails.vnnlib", "--json")
    found = json.loads(out)
    assert code == 0 and found["outcome"] == "sat"
    assert len(found["counterexample"]["inputs"]) == 2
    assert "violated" not in err


def test_a_list(files):
    listing = files / "instances.csv"
    listing.write_text("n.onnx,holds.vnnlib,10\nn.onnx,fails.vnnlib,10\n")
    code, out, err = netwright(listing)
    assert code == 0
    words = [line.split()[:3] for line in out.splitlines()]
    assert words == [["n", "holds", "unsat"], ["n", "fails", "sat"]]
    assert "2 problems" in err and "1 sat" in err and "1 unsat" in err
    code, out, _ = netwright(listing, "--json", "--workers", 1)
    assert code == 0 and [one["outcome"] for one in json.loads(out)] == ["unsat", "sat"]


def test_a_nnet_file(tmp_path):
    path = tmp_path / "n.nnet"
    path.write_text("1,1,1,1,\n1,1,\n0,\n-1,\n1,\n0,0,\n1,1,\n2,\n1,\n")  # y = 2 x + 1
    prop = write_property(tmp_path / "p.vnnlib", [0.0], [1.0], ["(assert (<= Y_0 0.5))"], 1)
    code, out, _ = netwright(path, prop)
    assert (code, out) == (0, "unsat\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["n.onnx"], "A VNN-LIB property of n.onnx is needed"),
        (["none.onnx", "holds.vnnlib"], "none.onnx"),
        (["n.onnx", "none.vnnlib"], "none.vnnlib"),
        (["holds.vnnlib", "holds.vnnlib"], "holds.vnnlib"),
        (["n.onnx", "n.onnx"], "not a VNN-LIB text file"),
        (["n.onnx", "hard.vnnlib"], "6 inputs"),
        (["n.onnx", "holds.vnnlib", "--timeout", "-1"], "`timeout` must be positive"),
        (["n.onnx", "holds.vnnlib", "--workers", "0"], "workers"),
        (["n.onnx", "holds.vnnlib", "--proof", "no/where.json"], "folder that exists"),
        (["none.csv"], "none.csv"),
        (["missing.csv"], "2 files that do not exist"),
        (["missing.csv", "holds.vnnlib"], "leave PROPERTY and --proof out"),
    ],
)
def test_wrong_use_ends_in_one_message_and_exit_code_2(files, arguments, says):
    (files / "missing.csv").write_text("a.onnx,b.vnnlib,5\n")
    code, out, err = netwright_here("verify", *arguments, folder=files)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_it_and_its_processes(files, workers):
    listing = files / "long.csv"
    listing.write_text("n.onnx,holds.vnnlib,10\n" + "hard.onnx,hard.vnnlib,100\n" * 3)
    process = start(listing, "--workers", workers)
    try:
        assert "unsat" in process.stdout.readline()  # it is at work
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Stopped." in err and "Traceback" not in err
        with pytest.raises(ProcessLookupError):  # nothing of its group is left
            for _ in range(100):
                os.killpg(process.pid, 0)
                time.sleep(0.1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_layers_of_the_fixture_are_what_the_files_hold(files):
    assert isinstance(read_affine(files / "n.onnx"), AffineReLU)
