import pytest

from netwright._rng import seeded
from netwright.design.families._numbers import encoder_of_numbers
from netwright.nn import Periodic, PiecewiseLinear, Standardise

from ..samples import MIXED


@pytest.mark.parametrize(
    ("name", "kind", "out"),
    [("standard", Standardise, 2), ("piecewise", PiecewiseLinear, 10), ("periodic", Periodic, 10)],
)
def test_names_of_encodings(name, kind, out):
    with seeded(0):
        encoder = encoder_of_numbers(name, 5)(MIXED[:2], device=None, dtype=None)
    assert type(encoder) is kind
    assert encoder.out_features == out


def test_an_unknown_encoding_is_told_the_nearest():
    with pytest.raises(ValueError, match="got 'periodc'. Did you mean `periodic`?"):
        encoder_of_numbers("periodc", 5)
