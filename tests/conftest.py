import os
import signal
from pathlib import Path

import pytest
import torch

from tests import type_checks

type_checks.install("netwright")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what runs in its background so, and the programs under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Put files with slow tests first, so that none is left for one process alone in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def global_rng_untouched():
    """Library code draws from the generator it is given, never from the global one."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data sets; tests that need more than the bundled sets ask for it."""
    folder = os.environ.get("NETWRIGHT_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip(
            "NETWRIGHT_DATA is not set"
        )  # honest: these sets are not part of the repository
    return Path(folder)
