import torch

from netwright import _rng


def test_stages_are_independent_and_reproducible():
    first = torch.rand(4, generator=_rng.child(0, "search"))
    assert torch.equal(first, torch.rand(4, generator=_rng.child(0, "search")))
    assert not torch.equal(first, torch.rand(4, generator=_rng.child(0, "fit")))
    assert not torch.equal(first, torch.rand(4, generator=_rng.child(1, "search")))


def test_seeded_restores_the_global_generator():
    before = torch.get_rng_state()
    with _rng.seeded(3):
        inside = torch.rand(2)
    with _rng.seeded(3):
        assert torch.equal(inside, torch.rand(2))
    assert torch.equal(before, torch.get_rng_state())
