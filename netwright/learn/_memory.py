"""Go on with smaller pieces when memory runs out."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["is_out_of_memory", "with_smaller_pieces"]

Result = TypeVar("Result")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that an accelerator or the machine has no memory left.

    Args:
        error: as raised by torch.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU allocator and some CUDA libraries raise a plain RuntimeError.
    signs = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def with_smaller_pieces(run: Callable[[int], Result], size: int) -> tuple[Result, int]:
    """Call `run(size)`; while memory runs out, again with half the size.

    Args:
        run: does the whole work in pieces of at most `size` examples; it must start afresh when it
            is called again.
        size: examples in a piece, at least 1.

    Returns:
        The result, and the size that worked.

    Raises:
        RuntimeError: if memory runs out with one example at a time.
    """
    while True:
        try:
            return run(size), size
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise RuntimeError(
                    "Memory ran out with a batch of one example. Choose a smaller network or "
                    "smaller inputs, or free memory."
                ) from error
        # Outside the handler: the traceback, which holds the failed call's tensors, is gone.
        size = (size + 1) // 2
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()
