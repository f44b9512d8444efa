import base64
import io

import numpy as np
import pytest
import torch

from netwright.audits._picture import contact_sheet


def opened(picture):
    from PIL import Image

    data = base64.b64decode(picture.png)
    return data, Image.open(io.BytesIO(data))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels_is_drawn(channels, generator):
    images = torch.rand(5, channels, 9, 7, generator=generator)
    _, sheet = opened(contact_sheet(images, [("a",)] * 5, title="t", alt="a"))
    assert sheet.mode == ("P" if channels == 3 else "L")


def test_pixels_are_enlarged_sharply_at_their_place():
    images = torch.zeros(1, 1, 8, 8)
    images[0, 0, 2, 5] = 1.0
    _, sheet = opened(contact_sheet(images, [()], title="t", alt="a", side=112))
    pixels = np.asarray(sheet)
    # 14 x 14 screen pixels each, behind a margin of 10.
    patch = pixels[10 + 2 * 14 : 10 + 3 * 14, 10 + 5 * 14 : 10 + 6 * 14]
    assert (patch == 255).all() and pixels[10 + 14, 10 + 14] == 0


def test_captions_are_drawn_and_cut_to_the_width():
    images = torch.ones(2, 1, 8, 8)
    none, short, long = (
        np.asarray(opened(contact_sheet(images, [text] * 2, title="t", alt="a"))[1])
        for text in ((), ("ink",), ("ink " * 100,))
    )
    assert (none < 100).sum() == 0 < (short < 100).sum() < (long < 100).sum()
    assert none.shape[0] < short.shape[0] == long.shape[0]
    assert long.shape[1] <= 2 * 128 + 3 * 10  # two columns, three gaps


@pytest.mark.parametrize(("n", "side"), [(24, 32), (9, 150)])
def test_noise_still_fits_the_limit(n, side, generator):
    images = torch.rand(n, 3, side, side, generator=generator)
    sheet = contact_sheet(images, [("noise",)] * n, title="t", alt="a", most_bytes=3000 * n)
    assert len(opened(sheet)[0]) <= 3000 * n


def test_what_cannot_fit_is_refused(generator):
    images = torch.rand(4, 3, 64, 64, generator=generator)
    with pytest.raises(ValueError, match="do not fit in `most_bytes` = 2,000 bytes"):
        contact_sheet(images, [()] * 4, title="t", alt="a", most_bytes=2000)


def test_one_caption_for_each_image():
    with pytest.raises(ValueError, match="got 1 for 2"):
        contact_sheet(torch.zeros(2, 1, 4, 4), [("a",)], title="t", alt="a")
