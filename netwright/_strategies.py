"""Which search a build runs: the default for its budget, or one that is asked for by name."""

import difflib
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from netwright import _rng
from netwright.data import Schema, Task
from netwright.design import Design, Strategy, SuccessiveHalving, harden
from netwright.design._harden import HardenedSpace
from netwright.learn import Budget
from netwright.requirement import Requirement

__all__ = ["SPACES", "STRATEGIES", "strategy_for"]

# A long search looks at so many seconds' worth of each of at least so many codes, and compares the
# best, both in shares of the last training.
_GLANCE, _FEWEST_CODES, _EXPLORE, _COMPARE = 20.0, 16, 0.4, 0.4
_MOST_CODES = 400
_GLANCE_STEPS = 30  # where the budget counts steps
# What trains all cells at once gets so much of the budget: steps of it, or steps a second of it, of
# images of up to 28 x 28 pixels, for which a step takes about a second; and proposes so many cells.
_SHARED, _SHARED_A_SECOND, _FEWEST_SHARED, _PROPOSED = 0.3, 0.25, 20, 4
_PIXELS = 28 * 28
_WORD = 3  # a word, or a step of a sequence, costs about as much as so many pixels
_CHEAPEST = 0.1  # of such a step
_SHORTEST = 300.0  # seconds

STRATEGIES = {
    "portfolio": "strong defaults, with half an hour or more evolution that begins with them",
    "random": "designs drawn at random",
    "evolution": "regularised evolution",
    "controller": "an RNN controller with REINFORCE",
    "ppo": "the same with proximal policy optimisation",
    "progressive": "progressive search with a learned surrogate",
    "bayesian": "Optuna's tree-structured Parzen estimator",
    "darts": "a gradient through the choice of operations; cells",
    "enas": "a controller over weights that all designs share; cells",
}
SPACES = ("macro", "cells")


def strategy_for(
    task: Task, limit: Budget, seed: int, *, name: str = "portfolio", space: str | None = None
) -> Callable[..., Strategy]:
    """Choose the search.

    The default tries strong defaults, and, where there is time, a space around them. Of the others
    each explores a space by short trainings, compares the best for longer, and trains one in full.

    Args:
        task: what is to be learned.
        limit: of the whole job.
        seed: of the whole job.
        name: of `STRATEGIES`.
        space: of `SPACES`: whole networks, or cells that are stacked; by default whole networks,
            but for "darts" and "enas".

    Returns:
        What takes designs, `requirements=` and `metric=`, and returns a search.

    Raises:
        ValueError: if there is no such strategy or space, or they do not fit each other, the task
            or the budget.
    """
    _require(name, STRATEGIES, "strategy")
    if space is not None:
        _require(space, SPACES, "space")
    if name in ("darts", "enas"):
        if space == "macro":
            raise ValueError(
                f"`{name}` trains all cells of a space at once, so `space` must be cells; got "
                f"{space}. The other strategies search whole networks too."
            )
        return _shared(task, limit, seed, name)
    if name == "portfolio":
        if space == "cells":
            raise ValueError(
                "`portfolio` evolves from whole networks, so `space` must be macro; got cells. "
                "`evolution` or `controller` search cells."
            )
        return _default(task, limit, seed)
    return _exploring(task, limit, seed, name, space or "macro")


def _default(task: Task, limit: Budget, seed: int) -> Callable[..., Strategy]:
    n_more = int((limit.seconds or 0.0) * _EXPLORE / (1 + _EXPLORE + _COMPARE) / _GLANCE)
    if n_more < _FEWEST_CODES:
        return SuccessiveHalving
    from netwright.design.strategies import PortfolioEvolution

    space = _space(task.schema, "macro")

    def evolve(
        designs: Sequence[Design], *, requirements: Sequence[Requirement], metric: str
    ) -> Strategy:
        return PortfolioEvolution(
            HardenedSpace(space, requirements), n_candidates=len(designs) + n_more,
            portfolio=designs, explore=_EXPLORE, compare=_COMPARE, requirements=requirements,
            metric=metric, seed=_rng.child_seed(seed, "strategy"),
        )  # fmt: skip

    return evolve


def _exploring(
    task: Task, limit: Budget, seed: int, name: str, space: str
) -> Callable[..., Strategy]:
    from netwright.design.strategies import (
        Bayesian,
        PortfolioEvolution,
        Progressive,
        RandomCodes,
        RegularizedEvolution,
        Reinforce,
    )

    samplers: dict[str, Callable[..., Strategy]] = {
        "random": RandomCodes,
        "evolution": RegularizedEvolution,
        "controller": Reinforce,
        "ppo": partial(Reinforce, clip=0.2),
        "progressive": Progressive,
        "bayesian": Bayesian,
    }
    searched = _space(task.schema, space)
    share = _EXPLORE / (1 + _EXPLORE + _COMPARE)
    if limit.steps is not None:
        n = int(limit.steps * share / _GLANCE_STEPS)
    else:
        assert limit.seconds is not None
        n = int(limit.seconds * share / _GLANCE)
    n = min(max(n, _FEWEST_CODES), _MOST_CODES)

    def explore(
        designs: Sequence[Design], *, requirements: Sequence[Requirement], metric: str
    ) -> Strategy:
        return PortfolioEvolution(
            HardenedSpace(searched, requirements), n_candidates=n, explore=_EXPLORE,
            compare=_COMPARE, requirements=requirements, metric=metric,
            seed=_rng.child_seed(seed, "strategy"), make_sampler=samplers[name],
        )  # fmt: skip

    return explore


def _shared(task: Task, limit: Budget, seed: int, name: str) -> Callable[..., Strategy]:
    from netwright.design.spaces import cell_space
    from netwright.design.strategies import Darts, Enas, PortfolioEvolution

    makers: dict[str, Callable[..., Strategy]] = {"darts": Darts, "enas": Enas}
    plain = cell_space(task.schema)
    if limit.steps is not None:
        steps = limit.steps * _SHARED
    else:
        assert limit.seconds is not None
        if limit.seconds < _SHORTEST:
            raise ValueError(
                f"`{name}` trains all cells at once before it proposes any; give `budget` at least "
                f"{_SHORTEST:.0f}s (an hour is better), or take another strategy."
            )
        steps = limit.seconds * _SHARED_A_SECOND / _cost_of_sharing(task.schema)
    steps = max(_FEWEST_SHARED, round(steps))

    def share(
        designs: Sequence[Design], *, requirements: Sequence[Requirement], metric: str
    ) -> Strategy:
        (taught,) = harden((Design("", plain.family, recipe=plain.recipe),), requirements)
        space = cell_space(task.schema, recipe=taught.recipe)
        make = partial(makers[name], train=task.train, schema=task.schema, steps=steps)
        return PortfolioEvolution(
            space, n_candidates=_PROPOSED, explore=_EXPLORE, compare=_COMPARE,
            requirements=requirements, metric=metric, seed=_rng.child_seed(seed, "strategy"),
            make_sampler=make,
        )  # fmt: skip

    return share


def _space(schema: Schema, name: str) -> Any:
    from netwright.design.spaces import cell_space, joined, macro_space, recipe_decisions

    if name == "macro":
        return joined(macro_space(schema), recipe_decisions(schema))
    (width,) = cell_space(schema).widths
    return joined(cell_space(schema, widths=(width, 2 * width)), recipe_decisions(schema))


def _cost_of_sharing(schema: Schema) -> float:
    """What a step of all cells at once costs, in steps on images of 28 x 28 pixels."""
    shape = schema.input.shape
    if schema.input.kind == "image":
        return max(1.0, math.prod(shape[1:]) / _PIXELS)
    length = 0 if schema.input.kind == "table" else shape[-1]
    return max(_CHEAPEST, _WORD * length / _PIXELS)


def _require(name: str, known: Sequence[str] | dict[str, str], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, list(known), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"`{kind}` must be one of {', '.join(known)}; got {name!r}.{hint}")
