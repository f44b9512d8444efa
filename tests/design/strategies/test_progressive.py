"""What only a progressive search promises; what all do stands in test_strategies.py."""

import torch

from netwright.claims._tiny_cells import search, space
from netwright.design.strategies import Progressive


def test_all_codes_of_a_network_have_one_prediction():
    strategy = Progressive(space(), n_candidates=12, seed=0)
    search(strategy, seed=0)
    strategy._fit()
    # An edge that never reaches the output does not matter.
    same, other = [(1, 2, 0, 0, 3), (4, 2, 0, 0, 3)], (1, 3, 0, 0, 3)
    assert space().canonical(same[0]) == space().canonical(same[1])
    first, second, third = strategy._predict([*same, other])
    assert torch.equal(first, second)
    assert first != third
