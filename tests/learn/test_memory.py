import pytest
import torch

from netwright.learn._memory import is_out_of_memory, with_smaller_pieces


def fails_above(size, error):
    def run(piece):
        run.tried.append(piece)
        if piece > size:
            raise error
        return piece * 10

    run.tried = []
    return run


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
    ids=["device", "machine"],
)
def test_pieces_are_halved_until_they_fit(error):
    run = fails_above(30, error)
    assert with_smaller_pieces(run, 100) == (250, 25)
    assert run.tried == [100, 50, 25]


def test_one_example_that_does_not_fit_is_an_error():
    with pytest.raises(RuntimeError, match="Memory ran out with a batch of one example"):
        with_smaller_pieces(fails_above(0, torch.OutOfMemoryError("full")), 3)


def test_other_errors_are_not_swallowed():
    error = RuntimeError("shapes cannot be multiplied")
    run = fails_above(0, error)
    assert not is_out_of_memory(error)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        with_smaller_pieces(run, 8)
    assert run.tried == [8]
