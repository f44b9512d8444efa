"""Strong defaults for texts that are chains of characters: DNA, proteins, SMILES."""

from dataclasses import replace
from typing import Any

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.learn._recipe import Recipe

__all__ = ["chains"]

_WINDOWS = [3, 6, 9, 12]  # characters: a few bonds of a molecule, a motif of DNA
_LONGEST_WALK = 400  # characters that a recurrence walks one by one
_LONGEST_RUN = 5
_RUNS = 50  # distinct runs that a chain adds, about


def chains(schema: Schema, n_train: int) -> tuple[Design, ...]:
    """Propose designs for texts of characters, in any order.

    Args:
        schema: of a task with texts that are cut into characters.
        n_train: rows of the training split.
    """
    batch = 64 if n_train < 50_000 else 256
    # Classes start from counts, and are done when these are weighed; values start blank.
    counted = schema.target.kind in ("class", "labels")
    linear = Recipe(learning_rate=2e-2, weight_decay=0.0, batch_size=batch, epochs=15)
    linear = linear if counted else replace(linear, learning_rate=5e-3, epochs=0)
    deep = Recipe(learning_rate=1e-2, weight_decay=1e-2, batch_size=batch)

    def cnn(size: str, width: int, n_filters: int, recipe: Recipe) -> Design:
        drop = {"p_drop_word": 0.05, "p_drop": 0.1}
        parameters = {"width": width, "n_filters": n_filters, "windows": _WINDOWS, **drop}
        return Design(f"character CNN, {size}", "text_cnn", parameters, recipe)

    runs: dict[str, Any] = {
        "longest": _LONGEST_RUN,
        "n_buckets": 1 << min(16, max(10, (_RUNS * n_train).bit_length())),
        "p_drop": 0.7 if counted else 0.5,
    }
    found = [
        Design("linear in runs of characters", "text_linear", runs, linear),
        cnn("small", 8, 16, deep),
        cnn("medium", 16, 48, deep),
        cnn("large", 24, 96, replace(deep, learning_rate=5e-3)),
    ]
    if schema.input.shape[0] <= _LONGEST_WALK:
        gru = {"width": 24, "hidden": 64, "p_drop_word": 0.02, "p_drop": 0.1}
        found.append(Design("character GRU", "text_gru", gru, replace(deep, learning_rate=3e-3)))
    return tuple(found)
