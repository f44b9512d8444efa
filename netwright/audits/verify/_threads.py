"""Keep numpy's matrix products on one thread: thousands of small ones gain nothing from more."""

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager:
    """Hold BLAS to one thread inside the block.

    Where two processes share the cores, threads that wait for each other make a search ten times
    slower.
    """
    return _controller().limit(limits=1, user_api="blas")
