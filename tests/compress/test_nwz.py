import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as some_numpy

import netwright.compress
from netwright import _rng
from netwright.compress import NwzError, decode, encode, from_arrays, read_about
from tests.compress.nwz_files import same, signed, tensors

DECODER = Path(netwright.compress.__file__).parent / "_nwz_decode.py"
FILE = encode(tensors(), about=b"about")


def read_or_refuse(data):
    """Decode; what is refused must be refused by name."""
    try:
        return decode(data)
    except NwzError as error:
        assert "damaged" in str(error)
        return None


def test_every_kind_of_tensor_comes_back_bit_for_bit():
    found = decode(FILE)
    assert list(found) == list(tensors())
    assert [name for name, array in tensors().items() if not same(found[name], array)] == []
    assert read_about(FILE) == b"about"


@given(
    some_numpy.arrays(
        np.float32,
        some_numpy.array_shapes(max_dims=3, max_side=12, min_side=0),
        elements=some.sampled_from([0.0, 0.0, 0.0, -0.0, 1.5, -2.0, 0.1, float("nan")]),
    )
)
@settings(max_examples=60, deadline=None)
def test_any_tensor_comes_back_bit_for_bit(array):
    assert same(decode(encode({"x": array}))["x"], array)


def test_a_network_comes_back():
    with _rng.seeded(0):
        network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3))
    back = from_arrays(decode(encode(network.state_dict())))
    assert all(torch.equal(back[name], tensor) for name, tensor in network.state_dict().items())
    network.load_state_dict(back)


def test_few_values_and_many_zeros_make_a_short_file():
    rng = np.random.default_rng(0)
    weight = rng.choice(np.float32([-0.3, -0.1, 0.1, 0.4]), size=(300, 300))
    weight[rng.random((300, 300)) > 0.05] = 0
    # Entropy: 0.286 bits a place for where, 2 bits a value for what: 4.3 kB.
    assert len(encode({"w": weight})) < 1.06 * 90_000 * (0.2864 + 0.05 * 2) / 8


def test_a_step_and_halves_make_short_books():
    grid = (np.float32(0.037) * np.arange(-100, 101).astype("f4")).astype("f4")
    half = np.arange(1024).astype("f4") / 1024
    plain = np.arange(1024).astype("f4") / 1023
    assert len(encode({"x": np.repeat(grid, 20)})) < 20 * 201 + 201 * 2 + 40
    saved = len(encode({"x": np.repeat(plain, 20)})) - len(encode({"x": np.repeat(half, 20)}))
    assert saved == 2 * 1024


def on_a_grid(n):
    drawn = np.random.default_rng(0).normal(size=n) * 1.5
    return np.float32(0.0373) * (np.rint(drawn) + 0.0).astype("f4")  # no -0.0, which is off it


def test_small_tensors_on_a_grid_take_little_more_than_their_entropy():
    for n in (60, 1000):
        weight = on_a_grid(n)
        _, counts = np.unique(weight, return_counts=True)
        entropy = -(counts * np.log2(counts / n)).sum() / 8
        # 10 bytes of the file and at most 13 of the tensor come on top, and half the logarithm of
        # the elements for each count that is learned.
        learned = len(counts) / 2 * np.log2(n) / 8
        assert entropy < len(encode({"w": weight})) < entropy + learned + 23


def test_a_grid_is_written_as_the_format_says():
    # One tensor `w` of kind 18, one axis of 16; step 0.5, from -1 on, 3 codes, 4 bytes of stream.
    file = encode({"w": np.float32([0.0, 0.5, 0.5, -0.5] * 4)})
    assert file[8:].hex() == "0001017712" + "0110" + "0000003f" + "ff03" + "04a3c25d90"
    assert decode(file)["w"].tolist() == [0.0, 0.5, 0.5, -0.5] * 4


def test_a_stream_that_ends_early_or_late_is_refused():
    file = encode({"w": on_a_grid(60)})
    size = file.index(b"\xfd\x07") + 2  # where the stream's size stands: from -3 on, 7 codes
    short = file[:size] + bytes([file[size] - 20]) + file[size + 1 : -20]
    for stream, match in (
        (file[:size] + bytes([file[size] + 9]) + file[size + 1 :] + b"\1" * 9, "goes on after"),
        (file[:size] + bytes([0]), "too short"),
        (file[: size + 1] + b"\xff" * file[size], "leaves its codes"),
    ):
        with pytest.raises(NwzError, match=match):
            decode(signed(stream))
    found = read_or_refuse(signed(short))  # what is missing reads as zeros: other numbers
    assert found is None or not same(found["w"], on_a_grid(60))


def test_a_type_that_the_format_lacks_is_refused():
    with pytest.raises(TypeError, match="`z` is complex64"):
        encode({"z": np.zeros(2, np.complex64)})


def test_the_decoder_stands_alone():
    lines = DECODER.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    imported = [line for line in lines if line.startswith(("import ", "from "))]
    assert imported == ["import math", "import sys", "import zlib", "import numpy as np"]


def test_the_decoder_runs_alone(tmp_path):
    (tmp_path / "decode.py").write_bytes(DECODER.read_bytes())
    (tmp_path / "model.nwz").write_bytes(encode({"w": np.float32([0, 0, 1])}))
    command = [sys.executable, "-I", "decode.py", "model.nwz", "weights.npz"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with np.load(tmp_path / "weights.npz") as found:
        assert found["w"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "does not begin"),
        (b"PK\3\4" + FILE[4:], "does not begin"),
        (FILE[:-1], "checksum"),
        (FILE[:6], "checksum"),
        (signed(FILE[:-1]), "cut short"),
        (signed(FILE + b"x"), "left over"),
    ],
)
def test_damage_is_named(data, match):
    with pytest.raises(NwzError, match=match):
        decode(data)


def test_each_flipped_bit_is_seen():
    small = encode({"w": np.float32([[0, 0, 1.5], [0, -1.5, 0]])})
    for place in range(8 * len(small)):
        flipped = bytearray(small)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(NwzError):
            decode(bytes(flipped))


@given(some.data())
@settings(max_examples=200, deadline=None)
def test_hostile_changes_give_tensors_or_an_error(data):
    hostile = bytearray(FILE)
    for _ in range(data.draw(some.integers(1, 4))):
        place = data.draw(some.integers(8, len(hostile) - 1))
        hostile[place] = data.draw(some.integers(0, 255))
    read_or_refuse(signed(bytes(hostile[: data.draw(some.integers(9, len(hostile)))])))


@given(some.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_tensors_or_an_error(data):
    read_or_refuse(data)
    read_or_refuse(signed(FILE[:8] + data))


def damaged(n):
    """Files of coded tensors with a few bytes changed, and a checksum that fits."""
    rng = np.random.default_rng(0)
    sparse = rng.choice(np.float32([0, 0, 0, 0, 0, 1.25, -0.1, 3]), size=(20, 15))
    arrays = {"a": sparse, "b": sparse[:2] + 1, "c": np.zeros(500, "f4"), "d": on_a_grid(80)}
    small = encode(arrays, about=b"x")
    draw = random.Random(0)
    for _ in range(n):
        hostile = bytearray(small)
        for _ in range(draw.randint(1, 8)):
            hostile[draw.randrange(8, len(hostile))] = draw.randrange(256)
        yield signed(bytes(hostile))


def test_a_thousand_damaged_files_give_no_crash():
    outcomes = [read_or_refuse(data) for data in damaged(1000)]
    assert sum(found is None for found in outcomes) > 500  # most changes hit what is checked


def test_damaged_files_take_little_memory():
    for data in damaged(60):
        tracemalloc.start()
        read_or_refuse(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Elements a byte, 4 bytes each, a few copies; and tables of 2^15 words of 8 bytes.
        assert peak < 2048 * 4 * 4 * len(data) + 3_000_000


def bomb(shape, stream):
    head = b"\0\1" + b"\1w" + bytes([17, len(shape)])
    for n in shape:
        while n > 127:
            head += bytes([n & 127 | 128])
            n >>= 7
        head += bytes([n])
    return signed(FILE[:8] + head + stream)


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (0, 2**40), (2**62, 2**62)])
def test_a_tensor_beyond_all_measure_is_refused_before_it_is_made(shape):
    empty = b"\0\0" + b"\xff" + b"\0\0\0" * 2
    tracemalloc.start()
    with pytest.raises(NwzError, match="claims more elements"):
        decode(bomb(shape, empty))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_the_reader_may_set_a_limit():
    file = encode({"w": np.zeros((1000, 100), "f4")})
    assert decode(file, most=400_000)["w"].shape == (1000, 100)
    with pytest.raises(NwzError, match="reader allows"):
        decode(file, most=399_999)


def test_emptiness_stays_within_what_a_reader_accepts():
    file = encode({"w": np.zeros(3_000_000, "f4")})
    assert 3_000_000 / len(file) < 2048
    assert not decode(file)["w"].any()
