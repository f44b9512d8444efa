"""Sources that tests of several claims share."""

from dataclasses import replace

import pytest

from netwright.data import SealedSplit, TensorSplit, load


@pytest.fixture(scope="session")
def mnist_of(shared_data):
    """Make mnist tasks with only so many test rows."""
    task = load("mnist", seed=0)
    test = task.test.open("tests")

    def few(n):
        return replace(task, test=SealedSplit(TensorSplit(test.x[:n], test.y[:n], test.rows[:n])))

    return few
