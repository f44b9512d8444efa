import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from netwright.design.strategies._surrogate import Surrogate
from netwright.finding import Measurement

from .type_checks import checked

ROWS, STANDINGS = torch.zeros(4, 3), torch.zeros(4)


def test_sizes_of_one_axis_agree():
    Surrogate(3).fit(ROWS, STANDINGS, steps=1)
    with pytest.raises(TypeError, match="standings"):
        Surrogate(3).fit(ROWS, STANDINGS[:3], steps=1)


def test_kinds_of_numbers_are_checked():
    with pytest.raises(TypeError, match="rows"):
        Surrogate(3).fit(ROWS.long(), STANDINGS, steps=1)


def test_what_is_no_array_is_checked():
    with pytest.raises(TypeError, match="members"):
        Surrogate(3, members="5")  # type: ignore[arg-type]


def test_a_dataclass_checks_its_fields():
    with pytest.raises(TypeError, match="unit"):
        Measurement(0.5, 0.4, 0.6, 10, unit=3)  # type: ignore[arg-type]


def test_results_are_checked():
    @checked
    def shortened(x: Float[Tensor, "rows"]) -> Float[Tensor, "rows"]:
        return x[1:]

    with pytest.raises(TypeError, match="return"):
        shortened(STANDINGS)


def test_generators_of_arrays_are_refused():
    def each(x: Float[Tensor, "rows"]):
        yield from x

    with pytest.raises(TypeError, match="no axes"):
        checked(each)
