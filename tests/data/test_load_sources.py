import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from netwright.data import ArrowSplit, DataError, TensorSplit, load
from tests.data.conftest import parts, png_bytes, reviews, sizes, write_csv

# Texts


@pytest.mark.parametrize("kind", ["csv", "jsonl", "folder", "rows", "columns"])
def test_texts_from_every_source(tmp_path, rng, kind):
    rows = reviews(rng)
    if kind == "csv":
        source = tmp_path / "t.csv"
        source.write_text("review,label\n" + "\n".join(f'"{x}",{y}' for x, y in rows))
        task = load(source, target="label", text="review")
    elif kind == "jsonl":
        source = tmp_path / "t.jsonl"
        source.write_text("\n".join(json.dumps({"text": x, "label": y}) for x, y in rows))
        task = load(source)
    elif kind == "folder":
        for i, (x, y) in enumerate(rows):
            (tmp_path / "d" / y).mkdir(parents=True, exist_ok=True)
            (tmp_path / "d" / y / f"{i:03}.txt").write_text(x)
        task = load(tmp_path / "d")
    elif kind == "rows":
        task = load(rows)
    else:
        source = tmp_path / "t.csv"
        halves = [(x.split(" ", 6), y) for x, y in rows]
        lines = (f"{' '.join(h[:6])},{h[6]},{y}" for h, y in halves)
        source.write_text("head,tail,label\n" + "\n".join(lines))
        task = load(source, target="label", text=["head", "tail"])
    assert task.schema.input.kind == "text" and task.train.x.dtype == torch.int64
    assert task.schema.target.classes == ("bad", "good") and sum(sizes(task)) == 120
    assert {"fine", "dull", "film", "no"} <= set(task.schema.input.vocabulary)
    assert task.train.x.shape[1] == task.schema.input.shape[0] == 14


def test_empty_texts_are_left_out(rng):
    rows = reviews(rng)
    rows[5] = ("  ", "good")
    assert load(rows).quarantine.rows == (("", 5, "the text is empty"),)


def test_a_leaked_sentence_is_reported(rng):
    rows = reviews(rng)
    task = load(rows)
    test_row, train_row = int(task.test.rows[0]), int(task.train.rows[0])
    rows[test_row] = (rows[train_row][0].upper() + "  ", rows[test_row][1])
    found = load(rows).duplicates.rows
    assert [row[:5] for row in found] == [("exact", "test", test_row, "train", train_row)]


# Larger than memory


@pytest.mark.parametrize("kind", ["image", "arrays", "table", "text"])
def test_streamed_tasks_equal_those_in_memory(tmp_path, image_folder, table, rng, kind):
    source, options = {
        "image": (image_folder, {}),
        "arrays": ((rng.integers(0, 9, (90, 5, 5)).astype(np.uint8), np.arange(90) % 3), {}),
        "table": (table, {"target": "bought", "by": "colour"}),
        "text": (reviews(rng), {}),
    }[kind]
    memory = load(source, **options)
    file = load(source, **options, memory_limit=100, cache=tmp_path / "cache", workers=0)
    assert isinstance(memory.train, TensorSplit) and isinstance(file.train, ArrowSplit)
    assert file.fingerprint == memory.fingerprint and file.schema == memory.schema
    assert file.duplicates == memory.duplicates
    for one, two in zip(parts(memory), parts(file), strict=True):
        generators = [torch.Generator().manual_seed(3) for _ in range(2)]
        batches = [
            list(split.batches(16, generator=generator))
            for split, generator in zip((one, two), generators, strict=True)
        ]
        for (x1, y1), (x2, y2) in zip(*batches, strict=True):
            assert torch.equal(x1.nan_to_num(), x2.nan_to_num()) and torch.equal(y1, y2)
        assert one.groups == two.groups and torch.equal(one.rows, two.rows)


def test_loading_twice_leaves_one_file(tmp_path, image_folder):
    for _ in range(2):
        task = load(image_folder, memory_limit=100, cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    assert path.name == f"{task.fingerprint[:32]}.arrow"


def test_refused_data_leave_no_file(tmp_path, image_folder):
    for i in range(10):
        path = image_folder / "ant" / f"{i:02}.png"
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="10 of 60 rows"):
        load(image_folder, memory_limit=100, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_csv_beyond_memory(tmp_path, table):
    path = write_csv(tmp_path / "t.csv", table)
    whole = load(path, target="bought")
    mapped = load(path, target="bought", memory_limit=1000, cache=tmp_path / "cache")
    assert mapped.fingerprint == whole.fingerprint


# Sources in memory


def test_one_table_in_every_guise(tmp_path, table, rng):
    import pyarrow.parquet

    x, y = rng.normal(size=(100, 3)), rng.integers(0, 3, 100)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    pair = load((x, y))
    rows = load(list(zip(x, y.tolist(), strict=True)))
    tensors = load((torch.from_numpy(x), torch.from_numpy(y)))
    data = load(torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)))
    assert len({t.fingerprint for t in (pair, rows, tensors, data, load(tmp_path / "a.npz"))}) == 1
    plain = table.drop(columns="day")
    pyarrow.parquet.write_table(pa.Table.from_pandas(plain), tmp_path / "t.parquet")
    loaded = [
        load(plain, target="bought"),
        load(tmp_path / "t.parquet", target="bought"),
        load(write_csv(tmp_path / "t.csv", plain), target="bought"),
    ]
    assert len({task.fingerprint for task in loaded}) == 1


def test_arrow_tables(table):
    arrow = pa.Table.from_pandas(table)
    assert load(arrow, target="bought").fingerprint == load(table, target="bought").fingerprint
    nested = arrow.append_column("z", pa.array([{"a": i} for i in range(200)]))
    with pytest.raises(DataError, match="The target `z` holds struct"):
        load(nested, target="z")
    assert "Column `z` left out" in " ".join(load(nested, target="bought").notes)


def test_numbers_beyond_what_networks_receive(table):
    table.loc[3, "amount"] = 1e39
    task = load(table, target="bought")
    assert task.quarantine.rows == (("", 3, "column `amount` is not finite: 1e+39"),)


def test_splits_in_a_mapping(table):
    task = load({"train": table.iloc[:150], "test": table.iloc[150:]}, target="bought")
    assert task.test.rows.tolist() == list(range(150, 200)) and sizes(task) == [120, 15, 15, 50]


def test_hugging_face(rng):
    datasets = pytest.importorskip("datasets")  # honest: an extra; CI has it
    texts, labels = zip(*reviews(rng), strict=True)
    names = ["bad", "good"]
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    rows = {"text": list(texts), "label": [names.index(y) for y in labels]}
    data = datasets.Dataset.from_dict(rows, features=features)
    both = datasets.DatasetDict({"train": data, "test": data.select(range(20))})
    task = load(both)
    assert task.schema.target.classes == ("bad", "good") and sizes(task) == [96, 12, 12, 20]
    assert len(task.duplicates.rows) >= 20  # the test rows are training rows, and it says so


def test_pictures_in_bytes(rng):
    pictures = [png_bytes(rng.integers(0, 255, (7, 7)).astype(np.uint8)) for _ in range(40)]
    task = load([(picture, i % 2) for i, picture in enumerate(pictures)])
    assert task.schema.input.shape == (1, 7, 7)


# Real data


def test_official_test_splits(shared_data):
    adult = load("adult")
    assert sizes(adult) == [26_049, 3256, 3256, 16_281]
    assert adult.test.rows.tolist() == list(range(32_561, 48_842))
    columns = {column.name: column for column in adult.schema.input.columns}
    assert columns["workclass"].has_missing and "?" not in columns["workclass"].categories
    mnist = load("mnist")
    assert sizes(mnist) == [50_000, 5000, 5000, 10_000]
    assert mnist.test.open("test").y[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.duplicates.rows == ()


def test_rows_planted_in_mnist_are_found_and_nothing_else(shared_data, rng):
    with np.load(shared_data / "images" / "mnist.npz") as file:
        x, y, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    x_test[:40] = x[1000:1040]
    noisy = x[2000:2040] + rng.normal(0, 3, (40, 28, 28))
    x_test[40:80] = np.clip(noisy, 0, 255).round()
    x, y = x[:20_000], y[:20_000]
    task = load({"train": (x, y), "test": (x_test, y_test)})
    found = [(row[0], row[2] - 20_000) for row in task.duplicates.rows if row[3] == "train"]
    assert sorted(i for kind, i in found if kind == "exact") == [
        i for i in range(40) if 1000 + i in set(task.train.rows.tolist())
    ]
    near = {i for kind, i in found if kind == "near"}
    wanted = {40 + i for i in range(40) if 2000 + i in set(task.train.rows.tolist())}
    assert near <= wanted and len(near) >= len(wanted) - 1


def test_the_twins_that_pneumoniamnist_is_known_for(shared_data):
    # The packed file's description counts 8 train images that occur in val or test too.
    rows = load("pneumoniamnist").duplicates.rows
    official = [row for row in rows if row[1] in ("validation", "test")]
    assert len(official) == 8 and {row[0] for row in official} == {"exact"}
