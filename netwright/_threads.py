"""Use as many threads as a call is worth.

Sharing out a call that takes a few milliseconds costs more than it saves; on a machine that others
use as well, threads that wait for each other make tiny networks a hundred times slower.
"""

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["threads_worth"]

# About ten milliseconds of one core's work: below that, one thread is faster or as fast.
_WORTH_SHARING = 3e8


@contextlib.contextmanager
def threads_worth(macs: float) -> Iterator[None]:
    """Let torch use one thread inside the block if one call is too small to share out.

    The rule depends on the work alone, never on a timing, so results stay reproducible.

    Args:
        macs: multiply-accumulates of one call, the batch (and the backward pass) included.
    """
    before = torch.get_num_threads()
    if macs < _WORTH_SHARING:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
