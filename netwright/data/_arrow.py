"""Splits that do not fit in memory: rows in a memory-mapped Arrow file, batches by workers."""

import json
import multiprocessing
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

__all__ = ["ArrowRows", "ArrowSplit", "write_rows"]

_ASKED = 1 << 22  # bytes that a worker is asked for at a time


def write_rows(
    path: Path,
    blocks: Iterable[np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    block_bytes: int = 1 << 23,
) -> "ArrowRows":
    """Write rows of one shape to an Arrow file, and map it.

    Args:
        path: the file; written under a temporary name first.
        blocks: consecutive rows, (k, *shape) each.
        shape: the shape of a row.
        dtype: the type of its numbers.
        block_bytes: size of a record batch.
    """
    row_bytes = int(np.prod(shape)) * dtype.itemsize
    size = max(1, block_bytes // row_bytes)
    metadata = {"shape": json.dumps(shape), "dtype": dtype.str, "size": str(size)}
    schema = pa.schema([pa.field("x", pa.binary(row_bytes))], metadata)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for rows in _regular(blocks, size):
                data = pa.py_buffer(np.ascontiguousarray(rows, dtype))
                column = pa.Array.from_buffers(pa.binary(row_bytes), len(rows), [None, data])
                writer.write_batch(pa.record_batch([column], schema=schema))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return ArrowRows(path)


def _regular(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    # Cut into blocks of `size` rows, the last one shorter: a row's block is then a division away.
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= size:
            together = np.concatenate(waiting)
            whole = len(together) - len(together) % size
            for start in range(0, whole, size):
                yield together[start : start + size]
            waiting = [together[whole:]]
    rest = np.concatenate(waiting) if waiting else np.zeros((0,))
    if len(rest):
        yield rest


class ArrowRows:
    """The rows of an Arrow file, read where they lie.

    Args:
        path: a file written by `write_rows`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            known = {k.decode(): v.decode() for k, v in reader.schema.metadata.items()}
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        self.shape: tuple[int, ...] = tuple(json.loads(known["shape"]))
        self.dtype = np.dtype(known["dtype"])
        self._size = int(known["size"])
        self._blocks = [
            np.frombuffer(batch.column(0).buffers()[1], self.dtype).reshape(-1, *self.shape)
            for batch in batches
        ]

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __reduce__(self) -> tuple:  # a worker maps the file itself
        return ArrowRows, (self.path,)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Copy rows out of the file.

        Args:
            rows: row numbers, int64 (k,).
        """
        found = np.empty((len(rows), *self.shape), self.dtype)
        block = rows // self._size
        order = np.argsort(block, kind="stable")
        numbers, first = np.unique(block[order], return_index=True)
        for number, places in zip(numbers, np.split(order, first[1:]), strict=True):
            found[places] = self._blocks[number][rows[places] - number * self._size]
        return found


class _Batches(Dataset):
    """Gives the inputs of whole batches for a tensor of places; runs in the workers."""

    def __init__(self, rows: ArrowRows, index: np.ndarray) -> None:
        self.rows = rows
        self.index = index

    def __getitem__(self, places: Tensor) -> Tensor:
        return torch.from_numpy(self.rows[self.index[places.numpy()]])


@dataclass(frozen=True, eq=False)
class ArrowSplit:
    """A split that is streamed from an Arrow file; the same batches as `TensorSplit` gives.

    Attributes:
        source: the rows of all splits.
        index: for each row of this split its place in `source`, int64 (n,).
        y: targets, as in `Target`.
        rows: row numbers in the source, int64 (n,).
        groups: for each group column, the group's name of each row.
        workers: processes that read batches ahead; 0 reads in this one.
    """

    source: ArrowRows
    index: np.ndarray
    y: Tensor
    rows: Tensor
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    workers: int = 2

    def __len__(self) -> int:
        return len(self.y)

    def take(self, places: Tensor | Sequence[int] | slice) -> Tensor:
        """Return inputs as the network receives them: images become float in [0, 1].

        Args:
            places: positions in this split.
        """
        if isinstance(places, slice):
            chosen = self.index[places]
        else:
            chosen = self.index[torch.as_tensor(places).numpy()]
        return _received(torch.from_numpy(self.source[chosen]))

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x, y) batches.

        Args:
            batch_size: rows in a batch; the last may have fewer.
            generator: draws the order of the rows; None keeps their order.
            drop_last: leave out a last batch that is not full.
        """
        n = len(self)
        drawn = None if generator is None else torch.randperm(n, generator=generator)
        order = torch.arange(n) if drawn is None else drawn
        stop = n - batch_size + 1 if drop_last else n
        places = [order[start : start + batch_size] for start in range(0, stop, batch_size)]
        # A worker is asked for several small batches at a time, so that asking costs little.
        row_bytes = int(np.prod(self.source.shape)) * self.source.dtype.itemsize
        several = max(1, _ASKED // (batch_size * row_bytes))
        runs = [places[start : start + several] for start in range(0, len(places), several)]
        for run, x in zip(runs, self._read([torch.cat(run) for run in runs]), strict=True):
            for chosen, part in zip(run, x.split([len(each) for each in run]), strict=True):
                yield _received(part), self.y[chosen]

    def _read(self, places: list[Tensor]) -> Iterator[Tensor]:
        batches = _Batches(self.source, self.index)
        if not self.workers or len(places) < 2:
            yield from map(batches.__getitem__, places)
            return
        # Forked workers start at once and share the mapped pages; they only copy memory.
        forks = "fork" in multiprocessing.get_all_start_methods()
        loader = DataLoader(
            batches,
            batch_size=None,
            sampler=places,  # type: ignore[arg-type]  # any iterable of indices will do
            num_workers=min(self.workers, len(places)),
            multiprocessing_context="fork" if forks else None,
            generator=torch.Generator().manual_seed(0),  # else it would draw from the global one
        )
        with warnings.catch_warnings():
            # Python 3.12 warns that a forked child of a threaded process may deadlock when it
            # takes locks; these children take none of torch's.
            warnings.simplefilter("ignore", DeprecationWarning)
            reader = iter(loader)
        yield from reader


def _received(x: Tensor) -> Tensor:
    return x.float().div_(255) if x.dtype == torch.uint8 else x
