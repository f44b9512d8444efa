"""Small sources, made on disk, that several tests read."""

import io
import zlib

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def png_bytes(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def huge_png(width, height):
    """A sound PNG header of a huge image, and hardly any pixels behind it."""

    def chunk(name, data):
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = chunk(b"IHDR", size + bytes([8, 0, 0, 0, 0]))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.fixture
def image_folder(tmp_path, rng):
    """60 grey pictures in three classes, each brighter than the one before."""
    folder = tmp_path / "photos"
    for place, name in enumerate(("ant", "bee", "cat")):
        for i in range(20):
            pixels = rng.integers(0, 60, (12, 10)) + 60 * place
            write_png(folder / name / f"{i:02}.png", pixels.astype(np.uint8))
    return folder


def parts(task):
    return [task.train, task.validation, task.calibration, task.test.open("test")]


def sizes(task):
    return [len(part) for part in parts(task)]


def all_rows(task):
    return sorted(torch.cat([part.rows for part in parts(task)]).tolist())


@pytest.fixture
def table(rng):
    """200 rows: a number, a category, a date, a boolean and a class that follows the number."""
    n = 200
    amount = rng.normal(10, 3, n).round(3)
    return pa.table(
        {
            "amount": amount,
            "colour": rng.choice(["red", "green", "blue"], n),
            "day": np.datetime64("2024-01-01") + np.arange(n) // 2,
            "member": rng.choice([True, False], n),
            "patient": [f"p{i // 4}" for i in range(n)],
            "bought": np.where(amount > 10, "yes", "no"),
        }
    ).to_pandas()


def write_csv(path, table):
    table.to_csv(path, index=False)
    return path


def reviews(rng, n=120):
    words = {"good": ["fine", "great", "moving"], "bad": ["dull", "weak", "noisy"]}
    labels = rng.choice(["good", "bad"], n)
    return [
        (" ".join(rng.choice([*words[y], "the", "film", "is", "a"], 12)) + f" no {i}", str(y))
        for i, y in enumerate(labels)
    ]
