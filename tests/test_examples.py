"""Every script of `examples/` runs, and shows what its first line asks."""

import importlib.util
from pathlib import Path

import pytest

from netwright import _rng

FOLDER = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_test_here():
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert names == {"attack_a_network", "audit_your_module", "build_against_requirements"}


def test_attack_a_network():
    assert load("attack_a_network").main() == {0.05: False, 0.15: False, 0.25: True}


def test_audit_your_module():
    with _rng.seeded(0):
        findings = load("audit_your_module").main(n_steps=100)
    assert findings[0].judgement.verdict in ("met", "undecided")  # about 0.93 after 100 steps


@pytest.mark.slow
def test_build_against_requirements():
    run = load("build_against_requirements").main(budget="60 steps")
    assert run.report.is_file()
