"""Turn a design into a network."""

import difflib
import importlib
import inspect
from collections.abc import Callable

from torch import nn

from netwright import _rng
from netwright.data._schema import Schema
from netwright.design._design import Design

__all__ = ["build_network", "family"]


def family(name: str) -> Callable[..., nn.Module]:
    """Find a family by name in the catalogue `design.families`.

    Args:
        name: for example "residual_cnn".

    Returns:
        The function that builds its networks.

    Raises:
        ValueError: if no family has this name.
    """
    catalogue = importlib.import_module("netwright.design.families")
    if name in catalogue.__all__:
        return getattr(catalogue, name)
    near = difflib.get_close_matches(name, catalogue.__all__, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise ValueError(
        f"No family is called `{name}`.{hint} Known: {', '.join(sorted(catalogue.__all__))}."
    )


def build_network(design: Design, schema: Schema, *, seed: int) -> nn.Module:
    """Build the network that a design describes, freshly initialised, on the CPU in float32.

    Args:
        design: what to build.
        schema: of the task.
        seed: of the initial weights; the same seed gives the same weights.

    Returns:
        A plain module: one tensor in, as `data.Input` describes it, one tensor out (logits, or
        values in the target's units).

    Raises:
        ValueError: if the design names no family, gives an argument that the family does not have,
            or does not fit the schema.

    Example:
        >>> from netwright.data import Input, Schema, Target
        >>> schema = Schema(Input("image", (1, 8, 8)), Target("class", ("digit",), ("one", "two")))
        >>> network = build_network(Design("tiny", "small_cnn", {"stem": 4}), schema, seed=0)
        >>> network.head.out_features
        2
    """
    build = family(design.family)
    known = [name for name in inspect.signature(build).parameters if name != "schema"]
    for name in design.parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise ValueError(
                f"Family `{design.family}` takes no `{name}` (design {design.name!r}).{hint} "
                f"Known: {', '.join(known)}."
            )
    with _rng.seeded(seed):
        return build(schema, **design.parameters)
