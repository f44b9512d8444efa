"""The designs that are tried first: strong defaults at several sizes, for each kind of input."""

from dataclasses import replace
from typing import Any

from netwright.data._schema import Schema
from netwright.design._build_network import build_network
from netwright.design._design import Design
from netwright.design._portfolio_characters import chains
from netwright.design._portfolio_sequences import sequences
from netwright.design.families._ends import require_kind
from netwright.learn._recipe import Recipe

__all__ = ["portfolio", "provable_portfolio"]


def portfolio(schema: Schema, n_train: int) -> tuple[Design, ...]:
    """Propose designs for a task, smallest first.

    Args:
        schema: of the task.
        n_train: rows of the training split.

    Raises:
        ValueError: if the schema's input kind is unknown or `n_train` is not positive.
    """
    _check(n_train)
    propose = {"image": _images, "table": _tables, "text": _texts, "sequence": sequences}
    if schema.input.kind not in propose:
        raise ValueError(
            f"`schema.input.kind` must be {', '.join(propose)}; got {schema.input.kind!r}."
        )
    designs = propose[schema.input.kind](schema, n_train)
    return tuple(sorted(designs, key=lambda design: _n_parameters(design, schema)))


def provable_portfolio(schema: Schema, n_train: int) -> tuple[Design, ...]:
    """Propose designs whose robustness can be trained and proved, smallest first.

    They have few layers, no statistics of batches and no means over the image, so that their bounds
    stay tight.

    Args:
        schema: of a task with images.
        n_train: rows of the training split.

    Raises:
        ValueError: if the inputs are no images or `n_train` is not positive.
    """
    _check(n_train)
    require_kind(schema, "image", "plain_cnn")
    # Trained by bounds a network underfits: images come as they are, and steps are large. The small
    # one learns more a second, the medium one more in the end.
    side = min(schema.input.shape[1:])
    batch = 64 if n_train < 5_000 else 128 if n_train < 20_000 else 256
    recipe = Recipe(learning_rate=1e-2, weight_decay=0.0, batch_size=batch)
    strides = [1, 2] if side <= 14 else [2, 2] if side <= 40 else [2, 2, 2]

    def plain(size: str, widths: list[int], hidden: int) -> Design:
        widths = widths[: len(strides)]
        parameters = {"widths": widths, "strides": strides, "hidden": hidden}
        return Design(f"plain CNN, {size}", "plain_cnn", parameters, recipe)

    return plain("small", [8, 16, 32], 64), plain("medium", [16, 32, 64], 100)


def _check(n_train: int) -> None:
    if n_train < 1:
        raise ValueError(f"`n_train` must be positive; got {n_train}.")


def _n_parameters(design: Design, schema: Schema) -> int:
    network = build_network(design, schema, seed=0)
    return sum(parameter.numel() for parameter in network.parameters())


def _images(schema: Schema, n_train: int) -> tuple[Design, ...]:
    # On a CPU full convolutions of few channels learn more a second than separable ones, and on
    # digits as much a parameter (8,770 and 9,034 of them: 98.6 % and 98.6 %).
    side = max(schema.input.shape[1:])
    is_grey = schema.input.shape[0] == 1  # written signs, mostly: their mirror images are others
    recipe = Recipe(
        learning_rate=1e-2,
        weight_decay=0.05,
        batch_size=64 if n_train < 5_000 else 128 if n_train < 20_000 else 256,
        augment=("shift", "rotate_scale") if is_grey else ("flip", "shift", "cutout"),
        label_smoothing=0.1 if schema.target.kind == "class" and not is_grey else 0.0,
    )
    # A tiny network cannot overfit, and takes large steps.
    hasty = replace(recipe, learning_rate=2e-2, weight_decay=0.01)
    if side <= 14:
        return (
            _cnn("tiny", [8, 12], [0, 0], hasty),
            _cnn("small", [8, 16, 32], [0, 1, 0], hasty),
            _cnn("medium", [16, 24, 48], [0, 1, 1], recipe),
            _cnn("large", [24, 48, 96], [0, 1, 1], recipe),
        )
    stem = {"stem_stride": 1 if side <= 40 else 2}
    sizes = (
        _cnn("tiny", [8, 16, 24], [0, 0, 0], hasty, **{"stem_stride": 2}),
        _cnn("small", [8, 16, 32, 48], [0, 0, 1, 1], hasty, **stem),
        _cnn("medium", [16, 32, 64, 96], [0, 1, 1, 1], recipe, **stem),
    )
    if is_grey:
        return sizes
    return (*sizes, _cnn("large", [24, 48, 96, 192], [0, 1, 1, 1], recipe, **stem))


def _cnn(size: str, widths: list[int], blocks: list[int], recipe: Recipe, **others: Any) -> Design:
    parameters = {"widths": widths, "blocks": blocks, **others}
    return Design(f"residual CNN, {size}", "residual_cnn", parameters, recipe)


def _tables(schema: Schema, n_train: int) -> tuple[Design, ...]:
    batch = 64 if n_train < 2_000 else 256
    recipe = Recipe(learning_rate=2.5e-3, weight_decay=5e-2, batch_size=batch)
    p_drop, depth = 0.2, 2
    if schema.target.kind in ("value", "values") and n_train >= 5_000:
        # Many rows of a smooth target are underfitted first: large steps, and nothing dropped.
        recipe = replace(recipe, learning_rate=1e-2, weight_decay=1e-2)
        p_drop, depth = 0.0, 3

    def tabm(size: str, width: int) -> Design:
        ensemble = {"width": width, "n_members": 8, "depth": depth, "p_drop": p_drop}
        return Design(f"TabM, {size}", "tabm", ensemble, recipe)

    mlp = {"width": 32, "depth": 1, "number_width": 4, "p_drop": p_drop / 2}
    return (
        Design("linear", "table_mlp", {"depth": 0, "numbers": "standard"}, recipe),
        Design("MLP, small", "table_mlp", mlp, recipe),
        tabm("small", 64),
        tabm("medium", 128),
    )


def _texts(schema: Schema, n_train: int) -> tuple[Design, ...]:
    if schema.input.tokens == "characters":
        return chains(schema, n_train)
    batch = 64 if n_train < 50_000 else 256
    # It starts from counts, and is done when it has weighed them against each other.
    linear = Recipe(learning_rate=2e-2, weight_decay=0.0, batch_size=batch, epochs=15)
    deep = Recipe(learning_rate=3e-3, weight_decay=1e-2, batch_size=batch)
    slow = replace(deep, learning_rate=1e-3)
    # About as many weights for pairs as there are distinct pairs: ten a text, at most 65,536.
    n_buckets = 1 << min(16, max(10, (10 * n_train).bit_length()))
    by_words = Design("linear in words", "text_linear", {"longest": 1}, linear)
    pairs = {"longest": 2, "n_buckets": n_buckets}
    by_pairs = Design("linear in words and pairs", "text_linear", pairs, linear)
    bag = Design("bag of words", "text_bag", {"longest": 1, "p_drop_ngram": 0.7}, deep)
    cnn = Design("text CNN", "text_cnn", {"width": 32, "p_drop_word": 0.3}, deep)
    gru = Design("GRU", "text_gru", {"p_drop_word": 0.3}, slow)
    transformer = Design("Transformer", "text_transformer", {"p_drop_word": 0.3}, slow)
    if schema.target.kind in ("value", "values"):  # nothing to count: the linear ones start blank
        return (bag, cnn, gru, transformer)
    return (by_words, by_pairs, bag, cnn, gru, transformer)
