import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import TensorSplit

DIGIT = Target("class", ("digit",), tuple("0123456789"))


@pytest.fixture(scope="session")
def digits():
    """Real handwriting, 8x8: train, validation and test splits."""
    data = load_digits()
    x = torch.tensor(data.images * (255 / 16)).round().to(torch.uint8)[:, None]
    y = torch.tensor(data.target)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    return tuple(TensorSplit(x[p], y[p], p) for p in order.split([1000, 300, len(y) - 1300]))


@pytest.fixture
def small_cnn():
    """Make a small convolutional network with BatchNorm and dropout, its weights by seed."""

    def make(seed=0):
        with _rng.seeded(seed):
            return nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1, bias=False),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.Conv2d(8, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
                nn.Dropout(0.1),
                nn.Linear(256, 10),
            )

    return make
