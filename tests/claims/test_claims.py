import pytest

from netwright.claims import claim, claims


def test_the_claims_of_this_release_are_found():
    assert {"A2", "A6", "C3"} <= {c.id for c in claims()}


def test_every_claim_says_what_it_must_show():
    for found in claims():
        assert found.title and found.bar and callable(found.run)


def test_case_does_not_matter():
    assert claim("c3") is not None and claim("c3").id == "C3"


def test_an_unknown_claim_is_answered_with_the_list():
    with pytest.raises(
        ValueError, match=r"No claim is called `C33`. Did you mean `C3`\? Known: A2"
    ):
        claim("C33")
