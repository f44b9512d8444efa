"""Change a table's row, within what an attacker could do, until the class changes.

Paper:    Kireev, Kulynych, Troncoso. Adversarial Robustness for Tabular Data through Cost and
          Utility Awareness. NDSS 2023, arXiv:2208.13058. Algorithm 1 (search over feasible rows,
          best first by gain for the cost), here with a beam of one.
Departs:  it is greedy; numbers are tried at a few values along the change still allowed; a search
          by gradients over the numbers runs first where the network has them.
Notation: budget = epsilon, gain = increase of the margin.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._outcome import (
    Attacked,
    fooled_by,
    gradient_of,
    margin,
)
from netwright.audits.attack._table_rules import TableRules

__all__ = ["table_search"]

_STRIDES = (1.0, 0.5, 0.25)
_AT_ONCE = 16384  # rows put to the network together


def table_search(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch columns"],
    y: Int[Tensor, "batch"],
    *,
    rules: TableRules,
    budget: float = 1.0,
    n_changes: int = 5,
    n_steps: int = 20,
) -> Attacked:
    """Attack a classifier of table rows by changes that the rules allow.

    First the numbers move along the gradient of the margin; then, for what still stands, one column
    after the other is set to whichever of its values raises the margin most for what it costs.

    Args:
        network: maps rows to logits, each row on its own; a module must be in eval mode.
        x: rows as the network receives them: codes for categories, NaN for missing numbers.
        y: their true classes.
        rules: what may change, and what it costs.
        budget: largest total change: in standard deviations for numbers, one for a category.
        n_changes: columns or groups changed by the search, at most.
        n_steps: gradient steps over the numbers; 0 leaves them out, for networks without gradients.

    Returns:
        The changed rows, all of them feasible and within the budget, which are misclassified, and
        what was asked of the network.

    Raises:
        ValueError: if the network is in training mode, the rules have another number of columns,
            `budget` is negative or `n_changes` is not positive.

    Cost: `n_steps` passes forward and back, and `n_changes` times as many forward passes as a row
    has values to try.

    Example:
        >>> from netwright.audits.attack import rules_for
        >>> from netwright.data import Column
        >>> number = Column("a", "number", minimum=-5.0, maximum=5.0)
        >>> colour = Column("b", "category", categories=("red", "blue"))
        >>> network = lambda x: torch.stack([0.5 - x[:, 0], x[:, 0] * (x[:, 1] == 2)], dim=1)
        >>> row = torch.tensor([[0.4, 1.0]])  # blue it would need 0.25
        >>> rules = rules_for([number, colour], frozen=["a"])
        >>> table_search(network, row, torch.tensor([0]), rules=rules).x
        tensor([[0.4000, 2.0000]])
    """
    require_count("n_changes", n_changes)
    if isinstance(network, torch.nn.Module) and network.training:
        raise ValueError("`network` must be in eval mode: call `network.eval()` first.")
    if x.shape[1] != len(rules.low):
        raise ValueError(
            f"`rules` are for {len(rules.low)} columns, and the rows of `x` have {x.shape[1]}."
        )
    if not budget >= 0:
        raise ValueError(f"`budget` must not be negative; got {budget}.")
    found, fooled = x.clone(), fooled_by(network, x, y)
    n_gradients, n_queries = 0, len(x)
    left = (~fooled).nonzero()[:, 0]
    moved = x[left]
    for step in range(n_steps):
        if not len(left):
            break
        gradient = gradient_of(network, moved, y[left], margin).gradient
        n_gradients += len(left)
        stride = 2 * budget / n_steps if step else budget
        moved = _along(rules, x[left], moved, gradient, stride, budget)
        wrong = fooled_by(network, moved, y[left])
        n_queries += len(left)
        found[left[wrong]], fooled[left[wrong]] = moved[wrong], True
        left, moved = left[~wrong], moved[~wrong]
    for _ in range(n_changes):
        left = (~fooled).nonzero()[:, 0]
        if not len(left):
            break
        best, asked = _best_change(network, rules, x[left], found[left], y[left], budget)
        n_queries += asked
        if torch.equal(best.nan_to_num(), found[left].nan_to_num()):
            break
        found[left] = best
        fooled[left] = fooled_by(network, best, y[left])
    return Attacked(found, fooled, n_gradients, n_queries)


def _along(
    rules: TableRules, clean: Tensor, now: Tensor, gradient: Tensor, stride: float, budget: float
) -> Tensor:
    # A step in units of each column's scale along the steepest of them, within the budget.
    steep = gradient.nan_to_num() * rules.scale
    allowed = rules.project(now + steep.sign() * rules.scale * stride, clean) != now
    steep = torch.where(allowed & ~clean.isnan(), steep, 0.0)
    share = steep / steep.abs().sum(1, keepdim=True).clamp_min(1e-30)
    moved = rules.project(now + stride * share * rules.scale, clean)
    cost = rules.cost(moved, clean)[:, None]
    shrink = torch.where(cost > budget, budget / cost.clamp_min(1e-30), 1.0)
    return rules.project(clean + shrink * (moved - clean), clean)


@torch.no_grad()
def _best_change(
    network: Callable[[Tensor], Tensor],
    rules: TableRules,
    clean: Tensor,
    now: Tensor,
    y: Tensor,
    budget: float,
) -> tuple[Tensor, int]:
    # For each row the feasible change of one column or group that gains most for its cost.
    tries = torch.stack([now, *_options(rules, clean, now, budget)])  # (options, rows, columns)
    cost = torch.stack([rules.cost(option, clean) for option in tries])
    allowed = torch.stack([rules.feasible(option, clean) for option in tries])
    allowed &= cost <= budget * (1 + 1e-5)
    rows, truth = tries.flatten(0, 1), y.repeat(len(tries))
    reached = [
        margin(network(part), labels)
        for part, labels in zip(rows.split(_AT_ONCE), truth.split(_AT_ONCE), strict=True)
    ]
    margins = torch.cat(reached).view(len(tries), len(y))
    gain = (margins - margins[0]) / (cost - cost[0]).clamp_min(1e-2)
    # What fools counts before everything, and the cheapest of it most.
    gain = torch.where(margins > 0, 1e30 / (1 + cost), gain)
    gain = torch.where(allowed, gain, -torch.inf)
    gain[0] = 0.0
    best = gain.argmax(dim=0)
    return tries[best, torch.arange(len(y), device=y.device)], len(rows)


def _options(rules: TableRules, clean: Tensor, now: Tensor, budget: float) -> list[Tensor]:
    options = []
    grouped = {place for group in rules.one_hot for place in group}
    for place in range(now.shape[1]):
        if place in grouped or rules.frozen[place]:
            continue
        if rules.coded[place] or (rules.grid[place] and rules.high[place] - rules.low[place] <= 1):
            for value in range(int(rules.low[place]), int(rules.high[place]) + 1):
                option = now.clone()
                option[:, place] = float(value)
                options.append(option)
            continue
        spent = (
            rules.cost(now, clean)
            - (now - clean).nan_to_num().abs()[:, place] / (rules.scale[place])
        )
        room = (budget - spent).clamp_min(0.0) * rules.scale[place]
        for stride in _STRIDES:
            for sign in (1.0, -1.0):
                option = now.clone()
                option[:, place] = clean[:, place] + sign * stride * room
                options.append(rules.project(option, clean).where(_keep(now, place), now))
    for group in rules.one_hot:
        if rules.frozen[list(group)].any():
            continue
        for place in group:
            option = now.clone()
            option[:, list(group)] = 0.0
            option[:, place] = 1.0
            options.append(option)
    return options


def _keep(now: Tensor, place: int) -> Tensor:
    # Only this column changes: codes and groups that were changed before stay so.
    mask = torch.zeros(now.shape[1], dtype=torch.bool, device=now.device)
    mask[place] = True
    return mask
