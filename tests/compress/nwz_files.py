"""Tensors of every kind that a `.nwz` file may hold, and ways to damage a file."""

import zlib

import numpy as np


def tensors():
    rng = np.random.default_rng(0)
    sparse = rng.normal(size=(60, 40)).astype("f4")
    sparse[np.abs(sparse) < 1.5] = 0
    shared = rng.choice(np.float32([-0.3, 0.1, 0.7]), size=(7, 5, 3))
    grid = np.float32(0.037) * rng.integers(-127, 128, size=(50, 50)).astype("f4")
    return {
        "sparse.weight": np.where(sparse == 0, 0, np.rint(sparse) + np.float32(0.1)).astype("f4"),
        "shared.weight": shared,
        "grid": grid,
        "small": np.float32(0.013) * rng.integers(-3, 4, size=(30, 7)).astype("f4"),
        "half": rng.choice(np.float32([0, 0.5, -1.25]), size=300),
        "noise": rng.normal(size=33).astype("f4"),
        "odd": np.float32([0.0, -0.0, np.nan, np.inf, 1e-42] * 30),
        "zeros": np.zeros((100, 90), "f4"),
        "ones": np.ones(17, "f4"),
        "none": np.zeros((0, 5), "f4"),
        "one": np.array(2.5, "f4"),
        "count": np.array(3, "i8"),
        "bytes": rng.integers(0, 255, 9).astype("u1"),
        "mask": rng.random(9) > 0.5,
        "double": rng.normal(size=3),
        "halves": rng.normal(size=3).astype("f2"),
    }


def signed(data: bytes) -> bytes:
    """Give a damaged file a checksum that fits, as a hostile writer would."""
    return data[:4] + zlib.crc32(data[8:]).to_bytes(4, "little") + data[8:]


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
