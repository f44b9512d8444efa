import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.data._wav import Recording, read_recording, read_samples
from tests.data.wav_files import BROKEN, DATA, SOUND, chunk, extensible, form, riff, wav


def samples_of(item, most=1 << 20):
    header = read_recording(item)
    assert isinstance(header, Recording), header
    return read_samples(item, header, most)


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_what_the_standard_library_writes_comes_back(tmp_path, rng, bits, channels):
    low, high = (0, 256) if bits == 8 else (-(1 << (bits - 1)), 1 << (bits - 1))
    samples = rng.integers(low, high, (50, channels))
    samples[0], samples[1] = low, high - 1
    path = tmp_path / "a.wav"
    path.write_bytes(wav(samples, bits=bits, rate=11025))
    header = read_recording(path)
    with wave.open(str(path)) as file:
        assert (header.channels, header.rate, header.frames, header.bits) == (
            *(file.getnchannels(), file.getframerate(), file.getnframes()),
            8 * file.getsampwidth(),
        )
    middle, scale = (128, 128) if bits == 8 else (0, 1 << (bits - 1))
    found = samples_of(path)
    assert found.dtype == np.float32 and found.shape == (channels, 50)
    # Half a unit in the last place of float32.
    np.testing.assert_allclose(found.T, (samples - middle) / scale, rtol=6e-8)
    assert found.min() == -1 and found.max() <= 1
    np.testing.assert_array_equal(samples_of(path, 7), found[:, :7])


def test_silence_is_zero():
    assert samples_of(wav(np.full(3, 128), bits=8)).tolist() == [[0, 0, 0]]
    assert samples_of(wav(np.zeros(3), bits=24)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("bits", [32, 64])
def test_floats_are_taken_as_they_are(bits):
    numbers = np.array([0.5, -2.5, 1e-20], f"<f{bits // 8}")
    block = bits // 8
    for header in (form(3, block=block, bits=bits), extensible(bits, 3)):
        found = samples_of(riff(header, chunk(b"data", numbers.tobytes())))
        np.testing.assert_array_equal(found[0], numbers)


def test_other_chunks_are_passed_over():
    other = chunk(b"LIST", b"odd")
    plain = samples_of(SOUND)
    assert (plain * 32768).tolist() == [[1, -2, 3, -4]]
    for content in (riff(other, form(), other, DATA, other), riff(extensible(16), DATA)):
        np.testing.assert_array_equal(samples_of(content), plain)
    cut_frame = riff(form(channels=2, block=4), chunk(b"data", bytes(6)))
    assert samples_of(cut_frame).shape == (2, 1)


@pytest.mark.parametrize("place", range(len(BROKEN)))
def test_what_is_broken_has_a_reason(tmp_path, place):
    content, why = list(BROKEN.items())[place]
    found = read_recording(content)
    assert isinstance(found, str) and why in found
    (tmp_path / "a.wav").write_bytes(content)
    assert read_recording(tmp_path / "a.wav") == found


def test_what_is_no_file_has_a_reason(tmp_path):
    assert read_recording(tmp_path / "a.wav") == "the file does not exist"
    assert "cannot be read" in read_recording(tmp_path)


def test_a_file_of_nothing_but_chunks_is_given_up():
    assert "no data chunk" in read_recording(riff(*[chunk(b"junk", b"")] * 1001, form(), DATA))
    assert samples_of(riff(*[chunk(b"junk", b"")] * 900, form(), DATA)).shape == (1, 4)


def test_a_file_that_shrinks_is_noticed(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(SOUND)
    header = read_recording(path)
    path.write_bytes(SOUND[:-4])
    with pytest.raises(OSError, match="has become shorter"):
        read_samples(path, header, 100)


@given(st.data())
def test_no_damage_goes_further_than_a_reason(data):
    content = bytearray(data.draw(st.sampled_from([SOUND, riff(extensible(24, 1, 2), DATA)])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    found = read_recording(content)
    if not isinstance(found, str):
        samples = read_samples(content, found, 1 << 20)
        assert samples.shape == (found.channels, found.frames)
        assert samples.size * found.bits // 8 <= len(content)
