import numpy as np
import pytest
import torch

from netwright._rng import seeded
from netwright.data import TensorSplit
from netwright.nn import BandDropout, LogMel, mel_bands

NAN = float("nan")


def spectrogram(**others):
    settings = {"rate": 8000.0, "window": 64, "hop": 20, "n_bands": 10, **others}
    return LogMel((0.5,), (2.0,), **settings)


@pytest.mark.oracle
def test_powers_are_those_of_numpys_fourier_transform(generator):
    x = 0.5 + 2 * torch.randn(2, 1, 150, generator=generator)
    found = spectrogram().power(x)
    hann = np.hanning(65)[:64]
    padded = np.pad((x[:, 0].double().numpy() - 0.5) / 2, ((0, 0), (32, 31)))
    bands = mel_bands(10, 64, 8000.0).numpy()
    bands = bands / bands.sum(1, keepdims=True)
    assert found.shape == (2, 1, 10, 8)  # one frame for each 20 steps begun
    for frame in range(8):
        cut = padded[:, frame * 20 : frame * 20 + 64] * hann
        power = np.abs(np.fft.rfft(cut)) ** 2 / (hann**2).sum()
        expected = np.log(power @ bands.T + 1e-4)
        # float32 sums of 64 products; the floor keeps the logarithm's slope below 10,000
        np.testing.assert_allclose(found[:, 0, :, frame], expected, atol=2e-3)


@pytest.mark.oracle
def test_bands_are_triangles_at_equal_distances_in_mel():
    bands = mel_bands(5, 256, 8000.0, low=100.0, high=3000.0).numpy()
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (100.0, 3000.0)), 7)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.fft.rfftfreq(256, 1 / 8000)
    for number in range(5):
        expected = np.interp(hertz, edges[number : number + 3], [0, 1, 0])
        np.testing.assert_allclose(bands[number], expected, atol=1e-9)  # float64 throughout


def test_white_noise_has_the_same_level_whatever_the_window(generator):
    x = 0.5 + 2 * torch.randn(20, 1, 2000, generator=generator)
    for window in (32, 128):
        power = spectrogram(window=window, n_bands=4).power(x).exp().mean()
        assert power == pytest.approx(1.0, abs=0.1)  # some thousand frames of noise of power 1


def test_a_tone_is_heard_in_its_band():
    time = torch.arange(800) / 8000
    bands = mel_bands(10, 64, 8000.0)
    for hertz in (500.0, 1500.0, 3000.0):
        tone = 0.5 + torch.sin(2 * torch.pi * hertz * time)[None, None]
        loudest = int(spectrogram().power(tone)[0, 0, :, 20].argmax())
        assert bands[loudest, round(hertz / 8000 * 64)] > 0.3


def test_bands_without_a_bin_are_left_out():
    few = spectrogram(window=16, n_bands=40)
    assert few.n_bands == len(few.bands) < 40
    assert (few.bands.sum(1) > 0.99).all()  # each is a mean over its bins
    assert spectrogram(window=256, n_bands=20).n_bands == 20


def test_levels_are_learned_from_the_steps_of_training_rows(generator):
    x = torch.randn(40, 1, 200, generator=generator)
    x[20:, :, 120:] = NAN
    front = spectrogram()
    front.initialise(TensorSplit(x, torch.zeros(40).long(), torch.arange(40)))
    found = front(x)[:, 0]  # (rows, bands, frames)
    whole, short = (part.transpose(0, 1).flatten(1) for part in (found[:20], found[20:, :, :6]))
    inside = torch.cat([whole, short], dim=1)
    # float32 sums of 320 numbers
    torch.testing.assert_close(inside.mean(1), torch.zeros(10), atol=1e-4, rtol=0)
    torch.testing.assert_close(inside.std(1, correction=0), torch.ones(10), atol=1e-4, rtol=0)


def test_levels_are_learned_from_rows_of_every_place_of_the_split(generator):
    x = torch.full((1200, 1, 40), 0.5)  # ordered by class: silence, then noise
    x[1100:] += 2 * torch.randn(100, 1, 40, generator=generator)
    front = spectrogram(n_bands=3)
    front.initialise(TensorSplit(x, torch.arange(1200) // 1100, torch.arange(1200)))
    silence, noise = front.power(x[:1]).mean(), front.power(x[1100:]).mean()
    # 1/12 of the rows; of 1,024 at equal distances 85 or 86, whose mean strays by a few percent
    share = (front.level.mean() - silence) / (noise - silence)
    assert share == pytest.approx(1 / 12, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 15}, "`window` must be even and at least 4"),
        ({"window": 2}, "`window` must be even and at least 4, .*; got 2, 20"),
        ({"hop": 0}, "`hop` and `floor` positive; got 64, 0"),
        ({"n_bands": 0}, "`n_bands` must be positive"),
    ],
)
def test_settings_must_make_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        spectrogram(**settings)


def test_runs_of_bands_are_left_out_while_training():
    states, layer = torch.ones(200, 2, 12, 3), BandDropout(4)
    assert torch.equal(layer.eval()(states), states)
    with seeded(0):
        found = layer.train()(states)
    gone = found[:, 0, :, 0] == 0
    assert torch.equal(found, (~gone).float()[:, None, :, None].expand_as(found))
    widths = gone.sum(1)
    assert sorted(set(widths.tolist())) == [0, 1, 2, 3, 4]
    edges = (gone[:, 1:] != gone[:, :-1]).sum(1)
    assert (edges <= 2).all() and gone.any(0).all()
    with pytest.raises(ValueError, match="`n_mask` must be at least 0; got -1"):
        BandDropout(-1)
