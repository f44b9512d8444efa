"""Strong defaults for numeric sequences, from sensors of ten steps to sound."""

from dataclasses import replace
from typing import Any

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.learn._recipe import Recipe

__all__ = ["sequences"]

_AUDIO = 2_000  # steps a second from which bands of pitch say more than the steps themselves
_SHORTEST_SOUND = 256  # steps: fewer make no picture
_TINY, _FEW, _SOME = 100, 200, 5_000  # rows
_LONGEST_WALK = 400  # steps that a recurrence walks one by one
_LONGEST_INCEPTION = 1_000  # steps: its kernels are long, and none of them has a stride
_LONGEST_BANK = 4_000  # steps times channels over which hundreds of kernels go


def sequences(schema: Schema, n_train: int) -> tuple[Design, ...]:
    """Propose designs for sequences, in any order.

    Args:
        schema: of a task with sequences.
        n_train: rows of the training split.
    """
    is_sound = schema.input.rate >= _AUDIO and schema.input.shape[1] >= _SHORTEST_SOUND
    return _sounds(n_train, schema) if is_sound else _sensors(n_train, schema)


def _sensors(n_train: int, schema: Schema) -> tuple[Design, ...]:
    channels, steps = schema.input.shape
    batch = 16 if n_train < _FEW else 64 if n_train < _SOME else 128
    recipe = Recipe(learning_rate=3e-3, weight_decay=5e-2, batch_size=batch, augment=("rescale",))
    # Solved by ridge regression before the first step: training only confirms it.
    solved = Recipe(learning_rate=1e-5, weight_decay=0.0, batch_size=batch, epochs=2)

    def resnet(size: str, widths: list[int], strides: list[int]) -> Design:
        strides = [1, 1, 1] if steps <= 64 else strides if steps <= 1_000 else [2, 2, 2]
        parameters = {"widths": widths, "strides": strides, "p_drop": 0.2}
        return Design(f"residual CNN over steps, {size}", "sequence_resnet", parameters, recipe)

    def bank(size: str, n_biases: int, n_dilations: int) -> Design:
        parameters = {"n_biases": n_biases, "n_dilations": n_dilations}
        return Design(f"fixed kernels, {size}", "sequence_kernels", parameters, solved)

    found = []
    if channels * steps <= _LONGEST_BANK and n_train < _SOME:
        found = [bank("few dilations", 6, 3), bank("many dilations", 6, 5)]
    if found and n_train < _TINY:  # so few validation rows let chance choose among unequal designs
        return tuple(found)
    found += [resnet("small", [12, 16, 16], [2, 2, 1]), resnet("medium", [32, 64, 64], [1, 2, 2])]
    if n_train >= _FEW and steps <= _LONGEST_INCEPTION:
        inception = {"width": 16, "n_blocks": 2, "p_drop": 0.2}
        found.append(Design("InceptionTime", "sequence_inception", inception, recipe))
    if n_train >= _FEW and steps <= _LONGEST_WALK:
        found.append(Design("GRU over steps", "sequence_gru", {}, recipe))
    return tuple(found)


def _sounds(n_train: int, schema: Schema) -> tuple[Design, ...]:
    batch = 16 if n_train < _FEW else 64
    recipe = Recipe(learning_rate=5e-3, weight_decay=5e-2, batch_size=batch, augment=("slide",))
    hasty = replace(recipe, learning_rate=1e-2)
    # A power of two of a sixtieth to a thirtieth of a second, but at most 512: the waves take the
    # square of it in numbers. Frames overlap by half.
    window = 1 << min(9, max(5, round(schema.input.rate / 60).bit_length()))

    def spectrogram(size: str, recipe: Recipe, **parameters: Any) -> Design:
        named = {"window": window, "hop": window // 2, **parameters}
        return Design(f"CNN over a spectrogram, {size}", "sequence_spectrogram", named, recipe)

    tiny = {"window": window // 2, "hop": window // 2, "n_bands": 24}
    return (
        spectrogram("tiny", hasty, **tiny, widths=[8, 12, 16], blocks=[0, 0, 0]),
        spectrogram("small", hasty, n_bands=32, widths=[12, 16, 24], blocks=[0, 0, 0]),
        spectrogram("medium", recipe, n_bands=32, widths=[16, 32, 64], blocks=[1, 1, 1]),
    )
