"""The designs that are tried first: strong defaults at several sizes, for each kind of input."""

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.learn._recipe import Recipe

__all__ = ["portfolio"]


def portfolio(schema: Schema, n_train: int) -> tuple[Design, ...]:
    """Propose designs for a task, smallest first.

    Args:
        schema: of the task.
        n_train: rows of the training split.

    Raises:
        ValueError: if the schema's input kind is unknown or `n_train` is not positive.
    """
    if n_train < 1:
        raise ValueError(f"`n_train` must be positive; got {n_train}.")
    if schema.input.kind == "image":
        return _images(schema, n_train)
    if schema.input.kind == "table":
        return _tables(schema, n_train)
    if schema.input.kind == "text":
        return _texts(schema, n_train)
    raise ValueError(f"`schema.input.kind` must be image, table or text; got {schema.input.kind}.")


def _images(schema: Schema, n_train: int) -> tuple[Design, ...]:
    side = max(schema.input.shape[1:])
    grey = schema.input.shape[0] == 1
    augment = ("shift", "rotate_scale") if grey else ("flip", "shift", "cutout")
    batch = 64 if n_train < 5_000 else 128 if n_train < 20_000 else 256
    recipe = Recipe(
        learning_rate=6e-3, weight_decay=0.05, batch_size=batch, augment=augment, average=0.0
    )
    stride = 1 if side <= 40 else 2
    small = {"stem_stride": stride}
    return (
        Design(
            "separable CNN, tiny",
            "small_cnn",
            {"stem": 8, "widths": [16, 24], "strides": [2, 1], **small},
            recipe,
        ),
        Design(
            "separable CNN, small",
            "small_cnn",
            {"stem": 16, "widths": [32, 64, 64], "strides": [2, 1, 2], **small},
            recipe,
        ),
        Design(
            "residual CNN, small",
            "residual_cnn",
            {"widths": [12, 24, 48], "blocks": [0, 1, 1], **small},
            recipe,
        ),
        Design(
            "residual CNN, medium",
            "residual_cnn",
            {"widths": [16, 32, 64, 128], "blocks": [0, 1, 1, 1], **small},
            recipe,
        ),
    )


def _tables(schema: Schema, n_train: int) -> tuple[Design, ...]:
    batch = 64 if n_train < 2_000 else 256
    recipe = Recipe(learning_rate=2.5e-3, weight_decay=5e-2, batch_size=batch)
    return (
        Design("linear", "table_mlp", {"depth": 0, "numbers": "standard"}, recipe),
        Design("MLP, small", "table_mlp", {"width": 32, "depth": 1, "number_width": 4}, recipe),
        Design("TabM, small", "tabm", {"width": 64, "n_members": 16, "depth": 2}, recipe),
        Design("TabM, medium", "tabm", {"width": 96, "n_members": 16, "depth": 3}, recipe),
    )


def _texts(schema: Schema, n_train: int) -> tuple[Design, ...]:
    recipe = Recipe(learning_rate=5e-3, weight_decay=1e-2, batch_size=64)
    slow = Recipe(learning_rate=1e-3, weight_decay=1e-2, batch_size=64)
    return (
        Design("bag of words", "text_bag", {"longest": 1, "width": 8}, recipe),
        Design("bag of n-grams", "text_bag", {"longest": 2, "width": 16}, recipe),
        Design("text CNN", "text_cnn", {}, slow),
        Design("GRU", "text_gru", {}, slow),
        Design("Transformer", "text_transformer", {}, slow),
    )
