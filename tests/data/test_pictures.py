import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.data import DataError, Input, encode_images
from netwright.data._pictures import as_arrays, common_shape, decode, headers
from tests.data.conftest import huge_png, png_bytes


def header(item):
    return headers([item])[0]


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = np.arange(80, dtype=np.uint8).reshape(8, 10)


def test_pixels_of_the_right_size_are_untouched():
    assert (decode(png_bytes(GREY), (1, 8, 10))[0] == GREY).all()
    colour = np.stack([GREY, GREY // 2, 255 - GREY], axis=2)
    assert (decode(png_bytes(colour), (3, 8, 10)) == colour.transpose(2, 0, 1)).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot|not a picture"),
        (b"not a picture at all", "not a picture in one of the formats"),
        (png_bytes(GREY)[:-30], "the picture cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (huge_png(30_000, 30_000), "30,000 x 30,000 pixels|too many pixels"),
        (huge_png(30_000, 10), "30,000 x 10 pixels; at most 20,000 a side"),
        (huge_png(15_000, 15_000), "at most .* in all are decoded|too many pixels"),
    ],
)
def test_what_cannot_be_used_gives_its_reason(content, reason):
    found = header(content)
    trouble = found.trouble or decode(content, (1, 8, 10))
    assert re.search(reason, trouble), trouble


def test_a_huge_picture_is_never_decoded(monkeypatch):
    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert "30,000" in header(huge_png(30_000, 300)).trouble


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_looking_at_a_header_decodes_nothing(monkeypatch, kind):
    content = encoded(Image.fromarray(GREY), kind)

    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    found = header(content)
    assert (found.trouble, found.height, found.width) == ("", 8, 10)


def test_a_missing_file_and_an_empty_one(tmp_path):
    (tmp_path / "empty.png").touch()
    assert header(tmp_path / "none.png").trouble == "the file does not exist"
    assert header(tmp_path / "empty.png").trouble == "the file is empty"


def test_sixteen_bits_become_eight():
    deep = Image.fromarray((np.arange(80).reshape(8, 10) * 800).astype(np.uint16))
    content = encoded(deep)
    assert header(content).deep
    wanted = np.round(np.arange(80).reshape(8, 10) * 800 / 257)
    assert (decode(content, (1, 8, 10))[0] == wanted).all()


def test_transparent_pixels_show_white():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    found = decode(png_bytes(rgba), (3, 4, 4))
    assert found[:, 0, 0].tolist() == [10, 20, 30] and (found[:, 1:] == 255).all()


def test_a_camera_held_upright_is_turned():
    image = Image.fromarray(GREY)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(image, exif=exif)
    found = header(content)
    assert (found.height, found.width) == (10, 8)
    assert (decode(content, (1, 10, 8))[0] == np.rot90(GREY, -1)).all()


def test_the_first_frame_counts():
    frames = [Image.fromarray(np.full((6, 6), value, np.uint8)) for value in (7, 200)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert header(content).frames == 2
    assert (decode(content, (1, 6, 6)) == 7).all()


def test_aspect_is_kept_by_black_borders():
    wide = np.full((10, 20), 255, np.uint8)
    found = decode(png_bytes(wide), (1, 20, 20))[0]
    assert (found[5:15] == 255).all() and (found[:5] == 0).all() and (found[15:] == 0).all()


def test_large_jpegs_decode_small():
    image = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 4)).repeat(3, 0))
    found = decode(encoded(image, "JPEG", quality=95), (1, 48, 64))[0].astype(int)
    assert found.shape == (48, 64) and np.abs(np.diff(found[24, :15])).max() > 5


def test_the_common_shape_is_the_median_capped_at_96():
    def shape(*sizes):
        return common_shape(headers([np.zeros(size, np.uint8) for size in sizes]))

    assert shape((8, 8)) == (1, 8, 8)
    assert shape((10, 20), (12, 24), (500, 20)) == (1, 12, 20)
    assert shape((480, 640)) == (1, 72, 96)
    assert shape((8, 8), (8, 8, 3)) == (3, 8, 8)


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.full((2, 4, 5), 51, np.uint8), 51),
        (np.full((2, 4, 5), 0.2), 51),
        (np.full((2, 4, 5), 51.0), 51),
        (np.full((2, 4, 5), 51 * 257, np.uint16), 51),
        (np.ones((2, 4, 5), bool), 255),
        (np.full((2, 1, 4, 5), 51, np.uint8), 51),
        (np.full((2, 4, 5, 1), 51, np.uint8), 51),
    ],
)
def test_arrays_of_every_customary_range(array, first):
    pixels, bad, _ = as_arrays(array)
    assert pixels.shape == (2, 1, 4, 5) and (pixels == first).all() and not bad.any()


def test_channels_are_found_on_either_side():
    assert as_arrays(np.zeros((2, 5, 6, 3), np.uint8))[0].shape == (2, 3, 5, 6)
    assert as_arrays(np.zeros((2, 3, 5, 6), np.uint8))[0].shape == (2, 3, 5, 6)
    assert as_arrays(np.full((2, 5, 6, 4), 255, np.uint8))[0].shape == (2, 3, 5, 6)


def test_numbers_that_are_no_pixels_are_refused():
    with pytest.raises(DataError, match="whole numbers in .0, 255.; got float64 from -1 to 1"):
        as_arrays(np.linspace(-1, 1, 40).reshape(2, 4, 5))
    with pytest.raises(DataError, match="neither its second nor its last axis"):
        as_arrays(np.zeros((2, 5, 6, 7)))


def test_a_pixel_that_is_not_finite_makes_its_picture_bad():
    array = np.zeros((3, 4, 5))
    array[1, 2, 3] = np.nan
    assert as_arrays(array)[1].tolist() == [False, True, False]


def test_new_pictures_take_the_schemas_shape(tmp_path):
    inputs = Input("image", (1, 8, 10))
    Image.fromarray(GREY).save(tmp_path / "a.png")
    found = encode_images([tmp_path / "a.png", GREY, torch.from_numpy(GREY)[None]], inputs)
    assert found.shape == (3, 1, 8, 10) and (found == torch.from_numpy(GREY)).all()
    with pytest.raises(DataError, match="Picture 1: not a picture"):
        encode_images([GREY, b"nothing"], inputs)
