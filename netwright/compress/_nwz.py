"""Write the tensors of a network into one `.nwz` file, without losing a bit.

Paper:    Han, Mao, Dally. Deep Compression: Compressing Deep Neural Networks with Pruning, Trained
          Quantization and Huffman Coding. ICLR 2016, arXiv:1510.00149. Section 2 (gaps in place of
          indices), 3 (codes in place of values), 4 (Huffman coding of both).
Departs:  where a gap is too wide, nothing stands in for it: a symbol says "skip so many, no value",
          where the paper stores a weight of zero. The widest gap is chosen for each tensor, by the
          size that results, where the paper has 5 bits for dense layers and 8 for convolutions.
          Biases are coded like weights. Small tensors whose values are multiples of a step may take
          an adaptive arithmetic code instead, which needs no tables: it estimates a code's share by
          those before it (Krichevsky, Trofimov. The Performance of Universal Encoding. IEEE Trans.
          Inf. Theory 27(2), 1981).
Notation: widest = 2^bits - 1 of the paper's relative index.

The format stands in docs/nwz.md, its decoder in `_nwz_decode.py`.
"""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from netwright.compress._huffman import code_lengths, huffman
from netwright.compress._nwz_decode import _DENSE, _GRID, _MAGIC, _SPARSE, _TYPES, _Cursor

__all__ = ["encode", "from_arrays", "read_about", "to_arrays"]

_VALUES = 4096  # more different values than these are not worth a code book
_SMALL = 1 << 15  # elements; arithmetic coding goes one by one, in Python


def encode(tensors: Mapping[str, Tensor | np.ndarray], *, about: bytes = b"") -> bytes:
    """Encode tensors; `decode` gives the same bits again.

    Each tensor is stored in the shortest of the ways that the format has: plain, as codes into a
    book of its values, with or without its zeros, or as multiples of a step. What makes tensors
    short is done before: few values that are not zero (`prune_global`), few different ones
    (`share_weights`, `learn_steps`).

    Args:
        tensors: by name, for example a network's `state_dict()`.
        about: anything to travel with them, for example the graph of the network.

    Raises:
        TypeError: if a tensor has a type that the format lacks, for example complex.

    Example:
        >>> from netwright.compress import decode
        >>> file = encode({"weight": np.float32([[0, 0, 1.5], [0, -1.5, 0]])})
        >>> decode(file)["weight"].tolist()
        [[0.0, 0.0, 1.5], [0.0, -1.5, 0.0]]
    """
    arrays = to_arrays(tensors)
    body = _number(len(about)) + about + _number(len(arrays))
    for name, array in arrays.items():
        title = name.encode()
        shape = bytes([array.ndim]) + b"".join(_number(n) for n in array.shape)
        kind, content = _shortest(name, array)
        body += _number(len(title)) + title + bytes([kind]) + shape + content
    return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def read_about(data: bytes) -> bytes:
    """Return what the writer put before the tensors.

    Args:
        data: the whole file.

    Raises:
        NwzError: if the file is damaged, or of another format or version.
    """
    cursor = _Cursor(data)
    return cursor.take(cursor.number())


def to_arrays(tensors: Mapping[str, Tensor | np.ndarray]) -> dict[str, np.ndarray]:
    """Return tensors as contiguous little-endian arrays.

    Args:
        tensors: of torch or of numpy.
    """
    found = {}
    for name, tensor in tensors.items():
        array = tensor.detach().cpu().numpy() if isinstance(tensor, Tensor) else tensor
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        found[name] = np.ascontiguousarray(little).reshape(array.shape)
    return found


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return arrays as torch tensors, for `load_state_dict`.

    Args:
        arrays: as `decode` gives them.
    """
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _shortest(name: str, array: np.ndarray) -> tuple[int, bytes]:
    if array.dtype.str not in _TYPES:
        listed = ", ".join(np.dtype(t).name for t in _TYPES)
        raise TypeError(f"`{name}` is {array.dtype}; a .nwz file holds {listed}.")
    plain = _TYPES.index(array.dtype.str), array.tobytes()
    if array.dtype.str != "<f4" or not array.size:
        return plain
    bits = array.reshape(-1).view("<u4")  # so that -0.0 and every NaN keep theirs
    values, codes = np.unique(bits, return_inverse=True)
    if len(values) > _VALUES + 1:
        return plain
    ways = [plain, (_DENSE, _book(values) + _stream(codes))]
    grid = _multiples(values)
    if grid is not None and len(bits) <= _SMALL:
        step, whole = grid
        low, n = int(whole.min()), int(whole.max()) - int(whole.min()) + 1
        stream = _adaptive((whole[codes].astype(int) - low).tolist(), n)
        if n < 256 and len(bits) <= 64 * len(stream):  # as its reader demands
            head = step.tobytes() + np.int8(low).tobytes() + bytes([n]) + _number(len(stream))
            ways.append((_GRID, head + stream))
    places = np.flatnonzero(bits)
    if len(places) < len(bits):
        rest = codes[places] - (values[0] == 0)  # zero has the smallest bits, and needs no code
        widest = min((2**w - 1 for w in range(1, 9)), key=lambda w: _cost(places, len(bits), w))
        gaps = bytes([widest]) + _stream(_gaps(places, len(bits), widest))
        ways.append((_SPARSE, _book(values[values != 0]) + gaps + _stream(rest)))
    return min(ways, key=lambda way: len(way[1]))


def _cost(places: np.ndarray, size: int, widest: int) -> int:
    # Bits of the gaps: their words, and four for the length of each.
    counts = np.bincount(_gaps(places, size, widest), minlength=1)
    return int(counts @ code_lengths(counts)) + 4 * len(counts)


def _gaps(places: np.ndarray, size: int, widest: int) -> np.ndarray:
    # The zeros before each value, and those after the last one, without their own last `widest`.
    zeros = np.diff(np.concatenate([[-1], places, [size]])) - 1
    skips, rest = np.divmod(zeros, widest)
    symbols = np.full(int((skips + 1).sum()), widest)
    symbols[np.cumsum(skips + 1) - 1] = rest
    return symbols[:-1]


def _multiples(values: np.ndarray) -> tuple[np.float32, np.ndarray] | None:
    # The widest step, and the whole numbers that give exactly these bits with it.
    floats = values.view("<f4")
    if not 0 < len(floats) <= 256 or not np.isfinite(floats).all():
        return None
    largest = np.abs(floats).max()
    with np.errstate(all="ignore"):
        for k in range(1, 128):
            near = np.float32(largest / k)
            for step in (near, np.nextafter(near, np.float32(0)), np.nextafter(near, largest)):
                whole = np.rint(floats / step).clip(-128, 127).astype("<i1")
                if np.array_equal((step * whole.astype("<f4")).view("<u4"), values):
                    return step, whole
    return None


def _adaptive(codes: list[int], n: int) -> bytes:
    # Arithmetic coding; `_grid` of the decoder follows the same steps. `low` grows to all bits.
    low, span, counts, n_bytes = 0, 1 << 48, [1] * n, 6
    for k, code in enumerate(codes):
        unit = span // (n + 2 * k)
        low, span = low + unit * sum(counts[:code]), unit * counts[code]
        counts[code] += 2
        while span < 1 << 40:
            low, span, n_bytes = low << 8, span << 8, n_bytes + 1
    # Of all numbers in the span the one that ends on most zeros, which the reader adds.
    rounded = (-(-low >> n_zeros) << n_zeros for n_zeros in range(48, -1, -1))
    whole = next(number for number in rounded if number < low + span)
    return whole.to_bytes(n_bytes, "big").rstrip(b"\0")


def _book(values: np.ndarray) -> bytes:
    floats = values.view("<f4")
    n = _number(len(values))
    grid = _multiples(values)
    if grid is not None:
        return b"\2" + n + grid[0].tobytes() + grid[1].tobytes()
    with np.errstate(all="ignore"):
        half = floats.astype("<f2")
    if np.array_equal(half.astype("<f4").view("<u4"), values):
        return b"\1" + n + half.tobytes()
    return b"\0" + n + floats.tobytes()


def _stream(symbols: np.ndarray) -> bytes:
    lengths, bits = huffman(symbols)
    padded = np.append(lengths, [0]) if len(lengths) % 2 else lengths
    packed = (padded[0::2] << 4 | padded[1::2]).astype(np.uint8).tobytes()
    return _number(len(symbols)) + _number(len(lengths)) + packed + _number(len(bits)) + bits


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes(found + bytes([value]))
