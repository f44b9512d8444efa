import pytest

from netwright.design._bundle import Bundle, _names_in


def test_what_is_used_comes_before_what_uses_it():
    bundle = Bundle()
    bundle.add("Residual", "netwright.nn")
    names = list(bundle.definitions)
    assert names.index("ConvNorm") < names.index("Residual")
    assert names.index("StochasticDepth") < names.index("Residual")
    assert "Separable" not in names
    assert bundle.text().startswith("import torch\nfrom torch import Tensor, nn\n")


def test_axis_names_and_uncalled_methods_are_left_out():
    bundle = Bundle()
    bundle.add("NaiveBayesBag", "netwright.nn")
    text = bundle.definitions["NaiveBayesBag"]
    assert "def forward(self, tokens: Tensor) -> Tensor:" in text
    assert "def initialise" not in text and "def _of_subwords" not in text
    assert "log_count_ratios" not in bundle.definitions
    assert "_PulledBack" in bundle.definitions  # which training calls


def test_names_of_arguments_are_not_looked_up():
    text = "def f(a, *, b=c):\n    d = a + e\n    return [g for g in d if h(g)]"
    assert _names_in(text) == ["c", "e", "h"]


def test_what_does_not_stand_alone_is_refused():
    with pytest.raises(ValueError, match="`np` comes from `numpy`, which a text"):
        Bundle().add("np", "netwright.design._arguments")
    with pytest.raises(ValueError, match="`xyz` is not defined at the top of `netwright.nn`"):
        Bundle().add("xyz", "netwright.nn")
