import multiprocessing
import pickle

import numpy as np
import pytest
import torch

from netwright.data import ArrowRows, ArrowSplit, TensorSplit
from netwright.data._arrow import write_rows

BLOCK = 100


def both(tmp_path, x, workers=0):
    """The same rows as a split in memory and as one in a file, the file in another order."""
    n = len(x)
    order = np.random.default_rng(1).permutation(n)
    rows = write_rows(
        tmp_path / "x.arrow",
        iter([x[order]]),
        x.shape[1:],
        x.dtype,
        block_bytes=BLOCK * x[0].nbytes,
    )
    y, numbers = torch.arange(n), torch.arange(n)
    groups = {"g": tuple(str(i % 2) for i in range(n))}
    index = np.argsort(order)
    return (
        TensorSplit(torch.from_numpy(x), y, numbers, groups),
        ArrowSplit(rows, index, y, numbers, groups, workers),
    )


SHAPES = {
    "image": ((3, 5, 4), np.uint8),
    "table": ((7,), np.float32),
    "text": ((6,), np.int64),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(("drop_last", "asked"), [(False, 1), (True, 1 << 15), (False, 1 << 22)])
def test_both_kinds_of_split_give_the_same_batches_to_the_bit(
    tmp_path, rng, monkeypatch, kind, workers, drop_last, asked
):
    shape, dtype = SHAPES[kind]
    monkeypatch.setattr("netwright.data._arrow._ASKED", asked)
    x = rng.integers(0, 250, (2500, *shape)).astype(dtype)
    splits = both(tmp_path, x, workers)
    for seed in (None, 0, 1):
        runs = []
        for split in splits:
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            runs.append(list(split.batches(640, generator=generator, drop_last=drop_last)))
        assert len(runs[0]) == len(runs[1]) == (3 if drop_last else 4)
        for (x1, y1), (x2, y2) in zip(*runs, strict=True):
            assert x1.dtype == x2.dtype and torch.equal(x1, x2) and torch.equal(y1, y2)


def test_taking_rows_is_the_same(tmp_path, rng):
    memory, file = both(tmp_path, rng.integers(0, 255, (2100, 2, 3, 3)).astype(np.uint8))
    for places in (slice(5, 1900), [3, 2099, 3], torch.tensor([1500, 0])):
        assert torch.equal(memory.take(places), file.take(places))
    assert len(memory) == len(file) == 2100 and memory.groups == file.groups


@pytest.mark.parametrize("sizes", [[1], [BLOCK], [1, BLOCK, 1], [7] * 400, [3 * BLOCK + 5]])
def test_rows_survive_whatever_the_blocks(tmp_path, sizes):
    x = np.arange(sum(sizes) * 3, dtype=np.float32).reshape(-1, 3)
    blocks = iter(np.split(x, np.cumsum(sizes)[:-1]))
    dtype = np.dtype(np.float32)
    rows = write_rows(tmp_path / "x.arrow", blocks, (3,), dtype, block_bytes=12 * BLOCK)
    assert len(rows._blocks) == -(-len(x) // BLOCK)
    assert len(rows) == len(x) and (rows[np.arange(len(x))] == x).all()
    assert (rows[np.array([len(x) - 1, 0])] == x[[-1, 0]]).all()


def test_a_worker_maps_the_file_itself(tmp_path):
    rows = write_rows(tmp_path / "x.arrow", iter([np.ones((4, 2))]), (2,), np.dtype(float))
    assert len(pickle.dumps(rows)) < 500
    assert (pickle.loads(pickle.dumps(rows))[np.arange(4)] == 1).all()


def test_a_half_written_file_is_never_taken_for_a_whole_one(tmp_path):
    def broken():
        yield np.ones((2000, 2))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(tmp_path / "x.arrow", broken(), (2,), np.dtype(float))
    assert not list(tmp_path.iterdir())


def test_leaving_early_leaves_no_worker_behind(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("netwright.data._arrow._ASKED", 1)
    _, split = both(tmp_path, rng.integers(0, 9, (2000, 3)).astype(np.float32), workers=2)
    batches = split.batches(10)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert not multiprocessing.active_children()


def test_the_file_is_read_where_it_lies(tmp_path):
    rows = write_rows(tmp_path / "x.arrow", iter([np.ones((4000, 2))]), (2,), np.dtype(float))
    assert not any(block.flags.owndata or block.flags.writeable for block in rows._blocks)
    assert isinstance(rows, ArrowRows)
