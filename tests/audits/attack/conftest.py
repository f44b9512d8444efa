import pytest
import torch
from torch import nn

from netwright._rng import seeded

WEIGHT = torch.tensor([[3.0, -4.0, 0.0, 1.0], [-1.0, 2.0, 2.0, 1.0]])


class Plane:
    """Two classes parted by a plane: the distance of every point to it is known in every norm."""

    def __init__(self, n=200, width=4):
        generator = torch.Generator().manual_seed(1)
        # Far enough from 0 and 1 that the range never binds.
        self.x = 0.3 + 0.4 * torch.rand(n, width, generator=generator)
        with seeded(0), torch.no_grad():
            self.network = nn.Linear(width, 2)
            if width == 4:
                self.network.weight.copy_(WEIGHT)
            difference = self.network.weight[0] - self.network.weight[1]
            centre = torch.full((width,), 0.5)
            self.network.bias.zero_()
            self.network.bias[1] = difference @ centre
        self.network.eval()
        self.normal = difference
        self.y = self.network(self.x).argmax(1)

    def distance(self, dual):
        """Distance of each point to the plane; `dual` is the norm dual to the ball's."""
        logits = self.network(self.x).detach()
        gap = (logits[:, 0] - logits[:, 1]).abs()
        return gap / torch.linalg.vector_norm(self.normal, dual)


@pytest.fixture(scope="session")
def plane():
    return Plane()


@pytest.fixture(scope="session")
def wide_plane():
    return Plane(n=60, width=64)
