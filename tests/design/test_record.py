import dataclasses

import pytest

from netwright.design import Candidate, Record

from .samples import design, exactly


def test_a_record_is_a_value():
    candidate = Candidate(0, design("a"))
    assert Record(candidate) == Record(candidate, {}, 0.0, "steps")
    assert Record(candidate, {"size": exactly(1.0)}) != Record(candidate)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Record(candidate).seconds = 3.0
