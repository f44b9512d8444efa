"""Readers of the named data sets' files: what each file holds, and what it means."""

import gzip
import io
import itertools
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as pa_csv

from netwright.data import _pictures
from netwright.data._compute import pc
from netwright.data._errors import DataError
from netwright.data._gathered import Gathered, join, plain
from netwright.data._read_arrays import TARGET, read_pair

__all__ = [
    "adult",
    "ag_news",
    "breast_cancer",
    "california_housing",
    "cifar10",
    "cifar10_binary",
    "compas",
    "diabetes",
    "digits",
    "fashion_mnist_first",
    "fashion_mnist_idx",
    "iris",
    "mnist",
    "movie_reviews",
    "named_pair",
    "omniglot",
    "orl_faces",
    "pneumoniamnist",
    "rt_polarity",
    "splits",
    "sst",
    "wine",
]

CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
OBJECTS = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
POLARITY = ("negative", "positive")


def _bundled(name: str) -> Any:
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")()


def named_pair(
    x: np.ndarray, y: np.ndarray, classes: Iterable[object] = (), **others: Any
) -> Gathered:
    """Read a pair of arrays, and name its classes.

    Args:
        x: as in `read_pair`.
        y: likewise; numbers of classes from 0, if these have names.
        classes: their names.
        others: as `read_pair` takes them.
    """
    gathered = read_pair(x, y, **others)
    names = tuple(str(each) for each in classes)
    if not names:
        return gathered
    return replace(gathered, classes={TARGET: names}, target_kind="class")


def splits(*parts: Gathered) -> Gathered:
    """Put the official splits of a set together.

    Args:
        parts: training and test rows, or training, validation and test rows.
    """
    places = {2: (0, 3), 3: (0, 1, 3)}[len(parts)]
    return join("", dict(zip(places, parts, strict=True)))


def digits() -> Gathered:
    """Sixteen grey levels become 0, 16, ..., 255."""
    found = _bundled("digits")
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
    return named_pair(pixels, found.target, found.target_names)


def iris() -> Gathered:
    """Four lengths in cm."""
    return _measured("iris")


def wine() -> Gathered:
    """Thirteen chemical measurements."""
    return _measured("wine")


def breast_cancer() -> Gathered:
    """Thirty measurements of cell nuclei."""
    return _measured("breast_cancer")


def _measured(name: str) -> Gathered:
    found = _bundled(name)
    names = [str(each) for each in found.feature_names]
    return named_pair(found.data, found.target, found.target_names, names=names)


def diabetes() -> Gathered:
    """Ten standardised measurements."""
    found = _bundled("diabetes")
    return named_pair(found.data, found.target, names=[str(n) for n in found.feature_names])


def mnist(path: Path) -> Gathered:
    """Read the arrays x_train, y_train, x_test and y_test.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        train = named_pair(file["x_train"], file["y_train"], range(10))
        return splits(train, named_pair(file["x_test"], file["y_test"], range(10)))


def fashion_mnist_first(path: Path) -> Gathered:
    """Read the first 3,614 training images; they come without a split.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        gathered = named_pair(file["images"], file["labels"], CLOTHES)
    note = "The packed file holds the first 3,614 training images; the official test is not in it."
    return replace(gathered, notes=(note,))


def fashion_mnist_idx(*paths: Path) -> Gathered:
    """Read the official files: images and labels of the training set, then of the test set.

    Args:
        paths: the official files.
    """
    arrays = [_idx(path) for path in paths]
    train = named_pair(arrays[0], arrays[1], CLOTHES)
    return splits(train, named_pair(arrays[2], arrays[3], CLOTHES))


def _idx(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        content = file.read()
    n_axes = content[3]  # after two zero bytes and the type, 8 for unsigned bytes
    shape = np.frombuffer(content, ">i4", n_axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def cifar10(train: Path, test: Path) -> Gathered:
    """Read the packed mosaics of 25 x 40 tiles.

    Args:
        train: the packed training file.
        test: the packed test file.
    """
    contents, labels = [], []
    for path in (train, test):
        with np.load(path) as file:
            mosaics, offsets = file["mosaics"], file["offsets"]
            contents += [mosaics[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
            labels.append(file["labels"])
    pixels = np.empty((len(contents), 25, 40, 3, 32, 32), np.uint8)  # of 25 x 40 tiles each
    places = range(len(contents))
    _pictures.in_threads(lambda i: _cut(contents[i], pixels[i]), places, run=1)
    pixels = pixels.reshape(-1, 3, 32, 32)
    gathered = named_pair(pixels, np.concatenate(labels), OBJECTS)
    return replace(gathered, official=np.repeat(np.array([0, 3], np.int8), list(map(len, labels))))


def _cut(content: bytes, tiles: np.ndarray) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as mosaic:
        pixels = np.asarray(mosaic.convert("RGB"))
    tiles[:] = pixels.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3)


def cifar10_binary(path: Path) -> Gathered:
    """Read the official archive: a label byte, then 3 x 32 x 32 pixels, for each image.

    Args:
        path: the official archive.
    """
    parts: dict[str, np.ndarray] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".bin"):
                rows = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
                parts[member.name.rpartition("/")[2]] = rows
    train = np.concatenate([parts[name] for name in sorted(parts) if name.startswith("data")])

    def pair(rows: np.ndarray) -> Gathered:
        return named_pair(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0], OBJECTS)

    return splits(pair(train), pair(parts["test_batch.bin"]))


def omniglot(path: Path) -> Gathered:
    """Read the background set: 964 characters, each drawn by 20 people.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        bits = np.unpackbits(file["images_background"], axis=-1).reshape(-1, 28, 28)
        y = file["character_background"].astype(np.int64)
    y = np.unique(y, return_inverse=True)[1]
    note = "The characters of the official evaluation set have no training rows and are left out."
    gathered = named_pair(bits * np.uint8(255), y, range(int(y.max()) + 1))
    return replace(gathered, notes=(note,))


def orl_faces(path: Path) -> Gathered:
    """Read ten photographs each of subjects 3 to 40.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        gathered = read_pair(file["images"], file["subject"])
    return replace(gathered, target_kind="class")


def pneumoniamnist(path: Path) -> Gathered:
    """Read the official train, validation and test arrays.

    Args:
        path: the packed file.
    """
    names = ("normal", "pneumonia")
    with np.load(path) as file:
        parts = [(file[f"{s}_images"], file[f"{s}_labels"]) for s in ("train", "val", "test")]
    return splits(*(named_pair(x, y, names) for x, y in parts))


def _csv(path: Path) -> pa.Table:
    return pa_csv.read_csv(
        path, parse_options=pa_csv.ParseOptions(newlines_in_values=True)
    ).combine_chunks()


def adult(path: Path) -> Gathered:
    """Read 14 attributes; a question mark is a missing value.

    Args:
        path: the packed file.
    """
    table = _csv(path)
    places = pc.if_else(pc.equal(table["split"], "test"), 3, 0).to_numpy().astype(np.int8)
    gathered = plain("", table.drop_columns(["split"]), path.name, official=places)
    return replace(gathered, target=("income",), target_kind="class")


def california_housing(path: Path) -> Gathered:
    """Read 9 attributes; the target is in units of 100,000 dollars.

    Args:
        path: the packed file.
    """
    table = _csv(path)
    place = table.column_names.index("median_house_value")
    value = pc.divide(table["median_house_value"].cast(pa.float64()), 100_000.0)
    table = table.set_column(place, "median_house_value", value)
    target = ("median_house_value",)
    return plain("", table, path.name, target=target, target_kind="value")


def compas(path: Path) -> Gathered:
    """Read the defendants whom ProPublica's analysis keeps, and what was known at screening.

    Args:
        path: the packed file.
    """
    table = _csv(path)
    days = pc.abs(table["days_b_screening_arrest"])
    kept = pc.and_(pc.less_equal(days, 30), pc.not_equal(table["is_recid"], -1))
    kept = pc.and_(kept, pc.not_equal(table["c_charge_degree"], "O"))
    kept = pc.fill_null(pc.and_(kept, pc.not_equal(table["score_text"], "N/A")), False)
    known = ["sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count"]
    table = table.select([*known, "priors_count", "c_charge_degree", "two_year_recid"])
    rows = np.flatnonzero(kept.to_numpy())
    notes = (
        f"{len(rows):,} of {table.num_rows:,} rows, as in ProPublica's analysis.",
        "Columns that were written after the screening, and the COMPAS scores, are left out.",
    )
    fields: dict[str, Any] = {"target": ("two_year_recid",), "row": rows, "notes": notes}
    return plain("", table.filter(kept), path.name, target_kind="class", **fields)


def _labelled(path: Path, table: pa.Table, classes: Sequence[str], **others: Any) -> Gathered:
    return plain(
        "",
        table.select(["text", "label"]),
        path.name,
        target=("label",),
        target_kind="class",
        text=("text",),
        classes={"label": tuple(classes)},
        **others,
    )


def rt_polarity(path: Path) -> Gathered:
    """Read sentences; 1 is positive.

    Args:
        path: the packed file.
    """
    return _labelled(path, _csv(path), POLARITY)


def movie_reviews(path: Path) -> Gathered:
    """Read whole reviews; 1 is positive.

    Args:
        path: the packed file.
    """
    return _labelled(path, _csv(path), POLARITY)


def sst(path: Path) -> Gathered:
    """Read sentences with degrees from 0, very negative, to 4, very positive.

    Args:
        path: the packed file.
    """
    table = _csv(path)
    places = {"train": 0, "dev": 1, "val": 1, "valid": 1, "validation": 1, "test": 3}
    try:
        official = np.array([places[word] for word in table["split"].to_pylist()], np.int8)
    except KeyError as error:
        raise DataError(f"{path} names the unknown split {error}.") from error
    degrees = ("very negative", "negative", "neutral", "positive", "very positive")
    return _labelled(path, table, degrees, official=official)


def ag_news(train: Path, test: Path) -> Gathered:
    """Read title and description as one text; 1 to 4 are the kinds of news.

    Args:
        train: the packed training file.
        test: the packed test file.
    """
    kinds = ("World", "Sports", "Business", "Sci/Tech")
    first, second = _csv(train), _csv(test)
    joined = pc.binary_join_element_wise(second["title"], second["description"], " ")
    second = second.append_column("text", joined)
    parts = []
    for path, table in ((train, first), (test, second)):
        codes = pc.subtract(table["label"], 1)
        table = table.set_column(table.column_names.index("label"), "label", codes)
        parts.append(_labelled(path, table, kinds))
    return splits(*parts)
