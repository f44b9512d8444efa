import pytest

from netwright.learn import _augment, _schedules, cosine
from netwright.learn._names import resolve


def test_name_is_found():
    assert resolve("cosine", _schedules, "schedule") is cosine


def test_unknown_name_gives_the_nearest_and_the_list():
    known = "cutout, flip, noise, rotate_scale, shift"
    message = f"No augmentation is called `shifts`. Did you mean `shift`\\? Known: {known}."
    with pytest.raises(ValueError, match=message):
        resolve("shifts", _augment, "augmentation")


def test_what_a_module_merely_imports_has_no_name():
    with pytest.raises(ValueError, match="No augmentation is called `functional`. Known"):
        resolve("functional", _augment, "augmentation")
