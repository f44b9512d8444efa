import pytest

import netwright as nw

from .small_compression import tiny_run


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """One small build in steps, so that it is the same on every machine of a kind."""
    return nw.build(
        "digits",
        require=["accuracy >= 0.9", "size <= 200 kB", "latency_p95 <= 50 ms @batch=1,threads=1"],
        budget="600 steps",
        seed=0,
        out=tmp_path_factory.mktemp("run") / "digits",
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A run whose network was not searched for, small enough to be compressed in seconds."""
    return tiny_run(tmp_path_factory.mktemp("tiny"))
