"""Decode a `.nwz` file, in numpy alone: this one file can be copied and used anywhere.

The format stands in docs/nwz.md. `python _nwz_decode.py model.nwz weights.npz` unpacks a file. What
is damaged or hostile raises `NwzError`; no file gives more than 2,048 elements for each byte.
"""

import math
import sys
import zlib

import numpy as np

__all__ = ["NwzError", "decode"]

_MAGIC, _DENSEST = b"NWZ\x01", 2048  # elements a byte; the densest code has 255 a bit
_TYPES = "<f4 <f2 <f8 <i8 <i4 <i2 |i1 |u1 |b1".split()
_DENSE, _SPARSE, _GRID, _CHUNK = 16, 17, 18, 1 << 16  # kinds; bytes decoded together


class NwzError(ValueError):
    """The bytes are no `.nwz` file, or a damaged one."""


@np.errstate(all="ignore")  # of what a hostile book holds
def decode(data: bytes, *, most: int = 1 << 30) -> dict[str, np.ndarray]:
    """Return the tensors of a file, bit for bit as they were encoded.

    Args:
        data: the whole file.
        most: bytes that the tensors may take together.

    Raises:
        NwzError: if the file is damaged, of another format or version, or takes more than `most`.
    """
    cursor, left, tensors = _Cursor(data), _DENSEST * len(data), dict[str, np.ndarray]()
    cursor.take(cursor.number())
    for _ in range(cursor.number()):
        name = cursor.take(cursor.number()).decode(errors="replace")
        kind, shape = cursor.take(1)[0], tuple(cursor.number() for _ in range(cursor.take(1)[0]))
        size = math.prod(shape)
        _require(name not in tensors, f"`{name}` stands there twice")
        known = kind < len(_TYPES) or kind in (_DENSE, _SPARSE, _GRID)
        _require(known and len(shape) <= 16, f"`{name}` has the kind {kind}, {len(shape)} axes")
        dtype = np.dtype(_TYPES[kind] if kind < len(_TYPES) else "<f4")
        left, most = left - size, most - size * dtype.itemsize
        fits = min(left, most) >= 0 and max(shape, default=0) <= _DENSEST * len(data)
        _require(fits, f"`{name}` claims more elements than the file can hold or the reader allows")
        if kind < len(_TYPES):
            flat = np.frombuffer(cursor.take(size * dtype.itemsize), dtype).copy()
        else:
            flat = _grid(cursor, size) if kind == _GRID else _coded(cursor, size, kind == _SPARSE)
        tensors[name] = flat.reshape(shape)
    _require(cursor.place == len(data), "bytes are left over at its end")
    return tensors


def _require(fine: object, otherwise: str) -> None:
    if not fine:
        raise NwzError(f"The .nwz file is damaged: {otherwise[:200]}. Copy or write it again.")


class _Cursor:
    def __init__(self, data: bytes) -> None:
        _require(data[:4] == _MAGIC, "it does not begin with `NWZ` and the version 1")
        whole = len(data) > 8 and zlib.crc32(data[8:]) == int.from_bytes(data[4:8], "little")
        _require(whole, "its checksum is wrong")
        self.data, self.place = data, 8

    def take(self, n: int) -> bytes:
        _require(n <= len(self.data) - self.place, f"it is cut short at byte {self.place}")
        self.place += n
        return self.data[self.place - n : self.place]

    def number(self) -> int:  # seven bits a byte, the lowest first
        value, shift, byte = 0, 0, 128
        while byte & 128:
            _require(shift < 63, f"a number at byte {self.place} does not end")
            byte = self.take(1)[0]
            value, shift = value | (byte & 127) << shift, shift + 7
        return value


def _coded(cursor: _Cursor, size: int, sparse: bool) -> np.ndarray:
    form, n = cursor.take(1)[0], cursor.number()
    _require(form <= 2, f"a code book has the form {form}")
    if form < 2:
        book = np.frombuffer(cursor.take((4 - 2 * form) * n), "<f2" if form else "<f4")
    else:  # whole multiples of a step
        step = np.frombuffer(cursor.take(4), "<f4")
        book = step * np.frombuffer(cursor.take(n), "<i1").astype("<f4")
    flat, places = np.zeros(size, "<f4"), np.arange(0 if sparse else size)
    if sparse:  # a gap says how many zeros to skip; no value follows the widest one
        widest, gaps = cursor.take(1)[0], _symbols(cursor)
        ends = np.cumsum(gaps + (gaps != widest))
        _require(ends[-1:].sum() <= size, "values stand beyond the end of their tensor")
        places = ends[gaps != widest] - 1
    codes = _symbols(cursor)
    _require(len(codes) == len(places), f"{len(codes)} codes stand for {len(places)} values")
    _require(codes.max(initial=-1) < n, f"a code is not among the {n} of its book")
    flat[places] = book.astype("<f4")[codes]
    return flat


def _grid(cursor: _Cursor, size: int) -> np.ndarray:
    step, first, n = np.frombuffer(cursor.take(6), "<f4,i1,u1").item()
    stream, counts, whole = cursor.take(cursor.number()), [1] * n, np.zeros(size, "<f4")
    _require(n and size <= 64 * len(stream), "a stream is too short for its tensor")
    span, left, rest = 1 << 48, int.from_bytes((stream + bytes(6))[:6], "big"), iter(stream[6:])
    for k in range(size):  # a code's share of the span follows from how often it has come before
        unit, code = span // (n + 2 * k), 0
        while code < n - 1 and left >= unit * counts[code]:
            left, code = left - unit * counts[code], code + 1
        span, whole[k], counts[code] = unit * counts[code], first + code, counts[code] + 2
        _require(left < span, "a stream leaves its codes")
        while span < 1 << 40:
            left, span = left << 8 | next(rest, 0), span << 8
    _require(next(rest, None) is None, "a stream goes on after its last code")
    return step * whole


def _symbols(cursor: _Cursor) -> np.ndarray:
    count, n = cursor.number(), cursor.number()
    packed = np.frombuffer(cursor.take((n + 1) // 2), np.uint8)
    lengths = np.stack([packed >> 4, packed & 15], 1).reshape(-1)[:n].astype(np.int64)
    stream = np.frombuffer(cursor.take(cursor.number()), np.uint8)
    order = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
    longest = int(lengths.max(initial=1))
    spans = 1 << longest - lengths[order]  # canonical: the shorter first, then by symbol
    complete = count == 0 or len(order) == 1 or spans.sum() == 1 << longest
    _require(complete and count <= 8 * len(stream), "a stream has no prefix code")
    symbol = np.resize(np.repeat(order, spans), 1 << longest)
    bits, found, place = np.append(stream, np.zeros(2, np.uint8)), [np.zeros(0, np.int64)], 0
    while count:  # read a code from every bit on, then step from code to code
        part = np.unpackbits(bits[place // 8 :][: _CHUNK + 2]).astype(np.int64)
        near = [part[i : len(part) - 16 + i] << longest - 1 - i for i in range(longest)]
        here, starts, next_symbols = place % 8, [], symbol[np.sum(near, axis=0)]
        steps = lengths[next_symbols].tolist()
        while here < len(steps) and len(starts) < count:
            starts.append(here)
            here += steps[here]
        found.append(next_symbols[starts])
        count, place = count - len(starts), place // 8 * 8 + here
        _require(starts and place <= 8 * len(stream), "a stream of codes is cut short")
    _require(place > 8 * len(stream) - 8, "a stream of codes goes on after its last")
    return np.concatenate(found)


if __name__ == "__main__":
    np.savez(sys.argv[2], **decode(np.fromfile(sys.argv[1], "u1").tobytes()))  # type: ignore
