"""Strong defaults for numeric sequences, from sensors of ten steps to sound."""

from typing import Any

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.learn._recipe import Recipe

__all__ = ["sequences"]

_AUDIO = 2_000  # steps a second from which bands of pitch say more than the steps themselves
_LONGEST_WALK = 400  # steps that a recurrence walks one by one


def sequences(schema: Schema, n_train: int) -> tuple[Design, ...]:
    """Propose designs for sequences, in any order.

    Args:
        schema: of a task with sequences.
        n_train: rows of the training split.
    """
    return _sounds(schema, n_train) if schema.input.rate >= _AUDIO else _sensors(schema, n_train)


def _sensors(schema: Schema, n_train: int) -> tuple[Design, ...]:
    steps = schema.input.shape[1]
    batch = 16 if n_train < 200 else 64
    recipe = Recipe(learning_rate=3e-3, weight_decay=5e-2, batch_size=batch, augment=("rescale",))
    strides = [1, 1, 1] if steps <= 300 else [2, 2, 2]

    def resnet(size: str, widths: list[int]) -> Design:
        parameters = {"widths": widths, "strides": strides, "p_drop": 0.2}
        return Design(f"residual CNN over steps, {size}", "sequence_resnet", parameters, recipe)

    inception = {"width": 16, "n_blocks": 2, "p_drop": 0.2}
    found = [
        resnet("small", [12, 16, 16]),
        resnet("medium", [32, 64, 64]),
        Design("InceptionTime", "sequence_inception", inception, recipe),
    ]
    if steps <= _LONGEST_WALK:
        found.append(Design("GRU over steps", "sequence_gru", {}, recipe))
    return tuple(found)


def _sounds(schema: Schema, n_train: int) -> tuple[Design, ...]:
    batch = 16 if n_train < 200 else 64
    recipe = Recipe(learning_rate=5e-3, weight_decay=5e-2, batch_size=batch, augment=("slide",))
    window = 1 << max(5, round(schema.input.rate / 60).bit_length())

    def spectrogram(size: str, **parameters: Any) -> Design:
        named = {"window": window, "hop": window // 2, **parameters}
        return Design(f"CNN over a spectrogram, {size}", "sequence_spectrogram", named, recipe)

    return (
        spectrogram("small", n_bands=24, widths=[12, 16, 24], blocks=[0, 0, 0]),
        spectrogram("medium", n_bands=32, widths=[16, 32, 64], blocks=[1, 1, 1]),
    )
