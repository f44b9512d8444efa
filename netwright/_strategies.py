"""Which search a build runs: the default for its budget."""

from collections.abc import Callable, Sequence

from netwright import _rng
from netwright.data import Task
from netwright.design import Design, Strategy, SuccessiveHalving
from netwright.learn import Budget
from netwright.requirement import Requirement

__all__ = ["strategy_for"]

# A long search looks at so many seconds' worth of each of at least so many codes, and compares the
# best, both in shares of the last training.
_GLANCE, _FEWEST_CODES, _EXPLORE, _COMPARE = 20.0, 16, 0.4, 0.4


def strategy_for(task: Task, limit: Budget, seed: int) -> Callable[..., Strategy]:
    """Choose the search: among strong defaults, or, where there is time, in a space around them.

    Args:
        task: what is to be learned.
        limit: of the whole job.
        seed: of the whole job.

    Returns:
        What takes designs, `requirements=` and `metric=`, and returns a search.
    """
    n_more = int((limit.seconds or 0.0) * _EXPLORE / (1 + _EXPLORE + _COMPARE) / _GLANCE)
    if n_more < _FEWEST_CODES:
        return SuccessiveHalving
    from netwright.design._harden import HardenedSpace
    from netwright.design.spaces import joined, macro_space, recipe_decisions
    from netwright.design.strategies import PortfolioEvolution

    space = joined(macro_space(task.schema), recipe_decisions(task.schema))

    def evolve(
        designs: Sequence[Design], *, requirements: Sequence[Requirement], metric: str
    ) -> Strategy:
        return PortfolioEvolution(
            HardenedSpace(space, requirements), n_candidates=len(designs) + n_more,
            portfolio=designs, explore=_EXPLORE, compare=_COMPARE, requirements=requirements,
            metric=metric, seed=_rng.child_seed(seed, "strategy"),
        )  # fmt: skip

    return evolve
