"""What every family shares: the check of its input, its first layer and its last ones."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.nn import Denormalise, Normalise, StandardiseSeries

__all__ = [
    "assemble",
    "first_image_layer",
    "first_series_layer",
    "last_layers",
    "require_kind",
    "require_one_each",
    "scale_back",
    "series_statistics",
]


def require_kind(schema: Schema, kind: str, family: str) -> None:
    """Refuse a task whose input this family cannot read.

    Args:
        schema: of the task.
        kind: the kind of input that the family reads.
        family: its name, for the message.

    Raises:
        ValueError: if the schema's input is of another kind.
    """
    if schema.input.kind != kind:
        raise ValueError(
            f"Family `{family}` reads {kind} inputs; the task's input is of kind "
            f"`{schema.input.kind}`. `portfolio(schema, n_train)` proposes designs that fit."
        )


def require_one_each(name: str, given: Sequence[object], widths: Sequence[int]) -> None:
    """Refuse a design that does not say something of every stage.

    Args:
        name: of the argument, for the message.
        given: what it says.
        widths: of the stages, one at least.

    Raises:
        ValueError: if there is not one for each, or no stage.
    """
    if len(widths) != len(given) or not widths:
        raise ValueError(
            f"`{name}` must have one number for each of the {len(widths)} `widths`; got "
            f"{len(given)}."
        )


def first_image_layer(schema: Schema) -> Normalise:
    """Make the layer that normalises images by the statistics of the training split.

    Args:
        schema: of the task; without statistics the range [0, 1] is centred on 0.5.
    """
    channels = schema.input.shape[0]
    mean = schema.input.mean or (0.5,) * channels
    std = schema.input.std or (0.25,) * channels
    return Normalise(mean, [s if s > 0 else 1.0 for s in std])


def first_series_layer(schema: Schema) -> StandardiseSeries:
    """Make the layer that standardises sequences and says which of their values are present.

    Args:
        schema: of the task.
    """
    return StandardiseSeries(*series_statistics(schema))


def series_statistics(schema: Schema) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel of sequences; 0 and 1 where none is known.

    Args:
        schema: of the task.
    """
    channels = schema.input.shape[0]
    mean = schema.input.mean or (0.0,) * channels
    std = schema.input.std or (1.0,) * channels
    return mean, tuple(s if s > 0 else 1.0 for s in std)


def last_layers(schema: Schema, features: int, p_drop: float = 0.0) -> list[tuple[str, nn.Module]]:
    """Make dropout, the linear head and, for values, the return to the target's units.

    Args:
        schema: of the task.
        features: numbers that reach the head.
        p_drop: probability that one of them is dropped while training.
    """
    layers: list[tuple[str, nn.Module]] = []
    if p_drop:
        layers.append(("drop", nn.Dropout(p_drop)))
    layers.append(("head", nn.Linear(features, schema.target.width)))
    return layers + scale_back(schema)


def scale_back(schema: Schema) -> list[tuple[str, nn.Module]]:
    """Make the layer that brings values to the target's units; nothing for classes and labels.

    Args:
        schema: of the task.
    """
    target = schema.target
    if target.kind not in ("value", "values"):
        return []
    mean = target.mean or (0.0,) * target.width
    std = [s if s > 0 else 1.0 for s in target.std or (1.0,) * target.width]
    return [("denormalise", Denormalise(mean, std))]


def assemble(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    """Chain named layers.

    Args:
        layers: pairs of name and layer, in order.
    """
    return nn.Sequential(OrderedDict(layers))
