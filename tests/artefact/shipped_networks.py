"""Small networks and schemas that the tests of this folder share."""

from torch import nn

from netwright._rng import seeded
from netwright.data import Column, Input, Schema, Target

DIGITS = Schema(
    Input("image", (1, 8, 8), mean=(0.3,), std=(0.4,)),
    Target("class", ("digit",), tuple("0123456789")),
)
PEOPLE = Schema(
    Input(
        "table",
        (4,),
        columns=(
            Column("age", "number", mean=40.0, std=10.0, minimum=17.0, quantiles=(20.0, 30.0)),
            Column("town", "category", ("Köln", "Rome", "a,b")),
            Column("member", "boolean", has_missing=True),
            Column("since", "date"),
        ),
    ),
    Target("value", ("income",), mean=(3.0,), std=(2.0,)),
)
WORDS = ("the", "good", "it's", "é", "!", "日", "ω", "å")
REVIEWS = Schema(
    Input("text", (6,), text_columns=("text",), vocabulary=WORDS),
    Target("labels", ("tags",), ("short", "kind")),
)


def small_cnn():
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )


class WithoutMissing(nn.Module):
    """A table network must itself deal with NaN."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.nan_to_num())


def table_mlp():
    with seeded(0):
        return WithoutMissing(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))


class Bag(nn.Module):
    def __init__(self, n_words, width, n_outputs):
        super().__init__()
        self.embed = nn.Embedding(n_words, width, padding_idx=0)
        self.head = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.head(self.embed(x).sum(1))


def bag_of_words():
    with seeded(0):
        return Bag(len(WORDS) + 2, 4, 2)


def sequence_schema(channels, length):
    names = tuple(f"x{place}" for place in range(channels))
    numbers = Input("sequence", (channels, length), channels=names, mean=(0.0,), std=(1.0,))
    return Schema(numbers, Target("class", ("motion",), ("still", "walking")))


class Averages(nn.Module):
    """A sequence network must itself deal with NaN."""

    def __init__(self, channels):
        super().__init__()
        self.filter = nn.Conv1d(channels, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.filter(x.nan_to_num()).relu().mean(2))


def sequence_network(channels):
    with seeded(0):
        return Averages(channels)
