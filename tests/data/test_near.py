import io

import numpy as np
import pytest
from PIL import Image

from netwright.data import Column, Input, load
from netwright.data._near import (
    near_pictures,
    near_sequences,
    near_tables,
    near_texts,
    row_keys,
)
from netwright.data._text import number_tokens


def test_equal_rows_have_equal_keys_and_others_not(rng):
    for dtype in (np.uint8, np.int64, np.float32):
        rows = rng.integers(0, 3, (5000, 4)).astype(dtype)
        keys = row_keys(rows)
        assert len(np.unique(keys)) == len(np.unique(rows, axis=0))
        assert all((keys[i] == keys)[(rows[i] == rows).all(axis=1)].all() for i in range(20))


def test_one_changed_byte_changes_the_key(rng):
    rows = np.repeat(rng.integers(0, 255, (1, 3, 16, 16)).astype(np.uint8), 769, axis=0)
    flat = rows.reshape(769, -1)
    flat[np.arange(768), np.arange(768)] ^= 1
    assert len(np.unique(row_keys(rows))) == 769


def test_nan_and_negative_zero_have_one_key_each():
    rows = np.array([[0.0, np.nan], [-0.0, -np.nan]], np.float32)
    assert len(set(row_keys(rows).tolist())) == 1


def pairs_of(found):
    return {tuple(sorted(pair)) for pair in found.tolist()}


def change(kind, image, rng):
    if kind == "noise":
        return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).round().astype(np.uint8)
    if kind == "brighter":
        return np.clip(image.astype(int) + 12, 0, 255).astype(np.uint8)
    if kind == "one pixel":
        image = image.copy()
        image[0, 0, 0] ^= 255
        return image
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=90, subsampling=0)
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1)


def scenes(rng, n):
    """Smooth random colour pictures, 32 x 32."""
    small = rng.integers(0, 256, (n, 6, 6, 3)).astype(np.uint8)
    big = [Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC) for each in small]
    return np.stack([np.asarray(each).transpose(2, 0, 1) for each in big])


@pytest.mark.parametrize("kind", ["noise", "brighter", "one pixel", "jpeg"])
def test_planted_pictures_are_found_and_nothing_else(rng, kind):
    base = scenes(rng, 3000)
    planted = np.stack([change(kind, image, rng) for image in base[:300]])
    x = np.concatenate([base, planted])
    split = np.array([0] * 3000 + [3] * 300)
    found = pairs_of(near_pictures(x, split))
    wanted = {(i, 3000 + i) for i in range(300)}
    assert found <= wanted  # no false alarm
    assert len(found) >= 0.98 * len(wanted)


@pytest.mark.parametrize("kind", ["noise", "one step", "missing", "waves"])
def test_planted_sequences_are_found_and_nothing_else(rng, kind):
    base = rng.normal(50, 4, (2000, 2, 150)).astype(np.float32)
    if kind == "waves":  # what averages over neighbouring steps would not see
        base[:, :, ::2] += 20
        base[:, :, 1::2] -= 20
    planted = base[:100].copy()
    if kind == "one step":
        planted[:, 0, 7] += 1
    elif kind == "missing":
        planted[:, 1, 9] = np.nan
        base[:100, 1, 9] = 50.1
    else:
        planted += rng.normal(0, 0.02, planted.shape).astype(np.float32)
    x = np.concatenate([base, planted])
    inputs = Input("sequence", (2, 150), mean=(50.0, 50.0), std=(4.0, 4.0))
    split = np.repeat([0, 3], [2000, 100])
    expected = {(i, 2000 + i) for i in range(100)}
    assert pairs_of(near_sequences(x, inputs, split)) == expected
    assert not len(near_sequences(x, inputs, np.zeros(2100, int)))


def test_sequences_that_differ_by_a_tenth_are_no_twins(rng):
    x = rng.normal(size=(200, 1, 80)).astype(np.float32)
    x[100:] = x[:100] + 0.1 * rng.normal(size=(100, 1, 80))
    inputs = Input("sequence", (1, 80), mean=(0.0,), std=(1.0,))
    assert not len(near_sequences(x, inputs, np.repeat([0, 3], 100)))


def test_digits_hold_no_near_twins_but_planted_ones_are_found(rng):
    task = load("digits")
    x = task.train.x.numpy()
    split = rng.integers(0, 4, len(x))
    assert len(near_pictures(x, split)) == 0
    planted = x[:50].copy()
    planted[:, 0, 4, 4] ^= 4
    both = np.concatenate([x, planted])
    split = np.array([0] * len(x) + [3] * 50)
    assert pairs_of(near_pictures(both, split)) == {(i, len(x) + i) for i in range(50)}


def test_twins_inside_one_split_and_rows_to_pass_over_do_not_count(rng):
    x = np.concatenate([scenes(rng, 30)] * 3)
    split = np.array([0] * 60 + [-1] * 30)
    assert len(near_pictures(x, split)) == 0


def test_blank_pictures_are_no_near_twins():
    x = np.repeat(np.arange(100, dtype=np.uint8)[:, None, None, None], 64, axis=3)
    assert len(near_pictures(x.reshape(100, 1, 8, 8), np.arange(100) % 4)) == 0


def table(n_columns):
    columns = tuple(Column(f"c{i}", "number", std=1.0) for i in range(n_columns))
    return Input("table", (n_columns,), columns=columns)


def test_planted_table_rows_are_found_and_nothing_else(rng):
    x = rng.normal(size=(4000, 6)).astype(np.float32)
    close = x[:200] + rng.normal(0, 2e-5, (200, 6)).astype(np.float32)
    far = x[200:400] + 0.01
    both = np.concatenate([x, close, far])
    split = np.array([0] * 4000 + [3] * 400)
    found, expected = near_tables(both, table(6), split)
    assert pairs_of(found) <= {(i, 4000 + i) for i in range(200)}
    # A coordinate crosses a border of both grids at once never; of one, for 12 chances of 2 %.
    assert len(found) >= 190 and expected < 0.01


def test_categories_must_be_equal(rng):
    columns = (Column("n", "number", std=100.0), Column("c", "category", categories=("a", "b")))
    inputs = Input("table", (2,), columns=columns)
    x = np.array([[5.0, 1], [5.001, 1], [5.001, 2]], np.float32)
    assert pairs_of(near_tables(x, inputs, np.array([0, 3, 3]))[0]) == {(0, 1)}


def test_a_table_of_few_values_expects_twins():
    x = np.random.default_rng(0).integers(0, 2, (1000, 2)).astype(np.float32)
    columns = tuple(Column(name, "boolean") for name in "ab")
    _, expected = near_tables(x, Input("table", (2,), columns=columns), np.arange(1000) % 2)
    assert expected == pytest.approx(500 * 500 / 4, rel=0.05)


def sentence(rng, n=30):
    return [f"w{i}" for i in rng.integers(0, 2000, n)]


def test_planted_texts_are_found_and_nothing_else(rng):
    texts = [sentence(rng) for _ in range(1500)]
    close = [[*text[:-1], "changed"] for text in texts[:150]]  # 27 of 29 shingles in both
    half = [[*text[:15], *sentence(rng, 15)] for text in texts[150:300]]
    corpus = number_tokens([" ".join(text) for text in [*texts, *close, *half]])
    found = pairs_of(near_texts(corpus, np.array([0] * 1500 + [3] * 300)))
    wanted = {(i, 1500 + i) for i in range(150)}
    assert found <= wanted and len(found) >= 0.99 * len(wanted)


def test_short_and_empty_texts():
    corpus = number_tokens(["a", "a", "", "", "a b", "b a"])
    split = np.array([0, 3, 0, 3, 0, 3])
    assert pairs_of(near_texts(corpus, split)) == {(0, 1)}


@pytest.mark.oracle
def test_text_pairs_agree_with_comparing_all_of_them(rng):
    words = [[f"w{i}" for i in rng.integers(0, 4, 12)] for _ in range(300)]
    corpus = number_tokens([" ".join(each) for each in words])
    split = rng.integers(0, 2, 300)
    shingles = [{tuple(each[i : i + 3]) for i in range(10)} for each in words]
    alike = {
        (i, j)
        for i in range(300)
        for j in range(i)
        if split[i] != split[j]
        and len(shingles[i] & shingles[j]) >= 0.8 * len(shingles[i] | shingles[j])
    }
    assert {(j, i) for i, j in alike} >= pairs_of(near_texts(corpus, split))
