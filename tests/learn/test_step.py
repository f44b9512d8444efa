import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import TensorSplit
from netwright.learn import Recipe, fit

CLASS = Target("class", ("y",), ("a", "b"))


@pytest.fixture
def rows():
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    return TensorSplit(x, (x[:, 0] > 0).long(), torch.arange(100))


def line():
    with _rng.seeded(0):
        return nn.Linear(3, 2)


@pytest.mark.oracle
@pytest.mark.parametrize("clip_norm", [1e-3, 1e3])
def test_a_step_follows_the_clipped_gradient(rows, clip_norm):
    network, start = line(), line()
    recipe = Recipe("sgd", 0.5, 0.0, "cosine", batch_size=100, clip_norm=clip_norm)
    fit(network, rows, rows, target=CLASS, recipe=recipe, steps=1, seed=0)
    nn.functional.cross_entropy(start(rows.x), rows.y).backward()
    norm = torch.stack([p.grad.norm() for p in start.parameters()]).norm()
    scale = min(1.0, clip_norm / norm.item())
    for moved, before in zip(network.parameters(), start.parameters(), strict=True):
        # Nesterov's first step is 1.9 times the gradient.
        expected = before.detach() - 0.5 * 1.9 * scale * before.grad
        assert torch.allclose(moved.detach(), expected, atol=1e-6)  # float32 rounding


class Hungry(nn.Module):
    def __init__(self, inner, most):
        super().__init__()
        self.inner, self.most, self.sizes = inner, most, []

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes.append(len(x))
        return self.inner(x)


def test_pieces_of_a_batch_give_the_gradient_of_the_whole(rows):
    call = {"target": CLASS, "recipe": Recipe(batch_size=100), "steps": 50, "seed": 0}
    hungry = Hungry(line(), most=30)
    fit(hungry, rows, rows, **call)
    plain = fit(line(), rows, rows, **call).network
    assert max(hungry.sizes) == 25  # 100, then 50, then 25
    # the same sums in another order: float32 rounding over 50 steps of AdamW
    assert torch.allclose(hungry.inner.weight, plain.weight, atol=1e-4)


def test_memory_that_never_suffices_is_an_error(rows):
    with pytest.raises(RuntimeError, match="Memory ran out with a batch of one example"):
        fit(Hungry(line(), 0), rows, rows, target=CLASS, recipe=Recipe(), steps=1, seed=0)
