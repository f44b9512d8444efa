"""The command line, run as people run it: a process, its words and its exit code."""

import json
import os
import subprocess
import sys

import pytest

from tests.command import netwright_here


def netwright(*arguments, folder=None):
    environment = {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "netwright", *map(str, arguments)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_names_every_command_and_the_exit_codes():
    done = netwright("--help")
    assert done.returncode == 0
    for word in ("build", "audit", "report", "reproduce", "doctor", "Exit codes"):
        assert word in done.stdout


def test_version():
    assert netwright("--version").stdout.strip() == "netwright 0.1.0"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build", "digits", "--require", "accuracy > 0.9"], "Compare with"),
        (["build", "digits", "--require", "size <= 200"], "unit"),
        (["build", "digits", "--require", "acuracy >= 0.9"], "Did you mean `accuracy`"),
        (["build", "digits", "--require", "rmse <= 0.9"], "does not apply"),
        (["build", "digits", "--budget", "soon"], "`budget` reads"),
        (["build", "digits", "--strategy", "controler"], "Did you mean controller"),
        (["build", "iris", "--strategy", "darts", "--space", "macro"], "cells"),
        (["build", "digitz"], "digits"),
        (["build", "./nowhere.csv", "--target", "y"], "nowhere.csv"),
        (["report", "./nowhere"], "no finished run"),
        (["compress", "./nowhere", "--require", "size <= 5 kB"], "no finished run"),
        (["reproduce", "Z9"], "No claim"),
        (["build", "digits", "--colour", "red"], "No such option"),
    ],
)
def test_wrong_use_ends_in_one_message_and_exit_code_2(arguments, says, tmp_path):
    code, _, err = netwright_here(*arguments, folder=tmp_path)
    assert code == 2
    assert says in err
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_a_process_ends_without_a_traceback(tmp_path):
    done = netwright("build", "digitz", folder=tmp_path)
    assert done.returncode == 2 and "digits" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_every_core_part():
    done = netwright("doctor", "--json")
    checks = {c["part"]: c["state"] for c in json.loads(done.stdout)}
    assert done.returncode == 0
    assert checks["torch"] == checks["onnxruntime"] == "ok"
