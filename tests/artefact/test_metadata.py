import pytest

from netwright.artefact import ArtefactError
from netwright.artefact._metadata import describe, restore
from tests.artefact.shipped_networks import DIGITS, PEOPLE, REVIEWS, WORDS


def test_words_are_not_written_twice():
    text = "".join(describe(REVIEWS, version="1").values())
    assert "good" not in text
    assert "Rome" not in "".join(describe(PEOPLE, version="1").values())
    about = describe(DIGITS, version="1")
    assert "classes" not in about["schema"]


def test_description_is_small():
    assert sum(len(k) + len(v) for k, v in describe(DIGITS, version="0.1.0").items()) < 350


def test_restored_schema_is_the_same():
    assert restore(describe(DIGITS, version="1"), {}) == DIGITS
    assert restore(describe(REVIEWS, version="1"), {"text": WORDS}) == REVIEWS


def test_another_origin_has_no_schema():
    assert restore({}, {}) is None
    assert restore({"schema": "theirs"}, {}) is None


@pytest.mark.parametrize(
    "damage", [{"schema": "{"}, {"schema": "{}"}, {"classes": "[1]"}, {"temperature": "warm"}]
)
def test_damage_is_an_error(damage):
    with pytest.raises(ArtefactError, match="metadata is damaged"):
        restore({**describe(DIGITS, version="1"), **damage}, {})
