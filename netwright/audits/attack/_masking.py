"""Ask whether a gradient attack can be believed on this network at all.

Paper:    Athalye, Carlini, Wagner. Obfuscated Gradients Give a False Sense of Security. ICML 2018,
          arXiv:1802.00420. Section 3.1, the behaviours that give masked gradients away.
          Carlini et al. On Evaluating Adversarial Robustness. 2019, arXiv:1902.06705, section 4
          (sanity tests: unbounded attacks, black-box against white-box, more iterations).
Departs:  the behaviours are rungs with bars of our own, on a sample of the rows; passing all of
          them is no proof that nothing is masked.
Notation: none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._apgd import apgd
from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._fgsm import fgsm
from netwright.audits.attack._logit_ratio import logit_ratio
from netwright.audits.attack._outcome import (
    fooled_by,
    gradient_of,
    margin,
    scale_free_cross_entropy,
)
from netwright.audits.attack._square_l2 import square_l2
from netwright.audits.attack._square_linf import square_linf

__all__ = ["Masking", "Rung", "gradient_masking"]

_MOST_ZERO = 0.1
_MOST_FALSE = 0.1
_MOST_SURVIVORS = 0.05
_MOST_MISSED = 0.05
_N_RANDOM = 20
_N_QUERIES = 50
_EXPLODED = 100.0  # times all that the logits of the sample span, promised by a small step
_MORE = 2  # times the steps


@dataclass(frozen=True, slots=True)
class Rung:
    """One thing that must hold if gradient attacks work on a network.

    Attributes:
        name: what must hold, in words.
        value: share of rows that contradict it.
        bar: largest share that passes.
    """

    name: str
    value: float
    bar: float

    @property
    def passed(self) -> bool:
        """Whether the share is within the bar."""
        return self.value <= self.bar


@dataclass(frozen=True, slots=True)
class Masking:
    """Outcome of `gradient_masking`.

    Attributes:
        rungs: what was checked, in order.
        n: rows it was checked on: those that are classified rightly.
    """

    rungs: tuple[Rung, ...]
    n: int

    @property
    def reason(self) -> str:
        """Why attacks on this network must not be believed; empty when nothing speaks against."""
        failed = [r for r in self.rungs if not r.passed]
        if not failed:
            return ""
        parts = (
            f"{r.name} (contradicted by {r.value:.0%} of {self.n} rows; at most {r.bar:.0%} may)"
            for r in failed
        )
        return "gradients masked, this should hold but does not: " + "; ".join(parts)


def gradient_masking(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 20,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Masking:
    """Climb a ladder of sanity checks for gradient attacks.

    The rungs: the same input gives the same output; the margin's gradient is not zero, and does not
    explode; a step of a quarter of the radius along it raises the margin by at least a twentieth of
    what it promises; an attack that may change everything fools every row (another class is known
    to exist, since some row has it); iterated attacks fool what one step fools, what fewer steps
    fool, what random points of the ball fool, and what a search without gradients fools; and what
    they return lies inside ball and range.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`]; about a hundred suffice.
        y: their true classes.
        ball: the ball whose attacks are in doubt.
        n_steps: gradient steps of the iterated attacks.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The rungs; `reason` is empty when all passed.

    Raises:
        ValueError: as `pgd` does.

    Cost: about `8 * n_steps` passes forward and back over the rows, and 70 forward.

    Example:
        >>> rounds = lambda x: torch.stack([x, 1 - x], dim=1).round().sum(2)
        >>> x, y = torch.tensor([[0.1, 0.2], [0.9, 0.7]]), torch.tensor([1, 0])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> print(gradient_masking(rounds, x, y, ball=LinfBall(0.1), generator=seeded).rungs[1])
        Rung(name='the input gradient is not zero', value=1.0, bar=0.1)
    """
    with torch.no_grad():
        logits, again = network(x), network(x)
    right = logits.argmax(1) == y
    n = int(right.sum())
    if not n:
        return Masking(rungs=(), n=0)
    several = len(logits.argmax(1).unique()) > 1
    x, y = x[right], y[right]

    def share(mask: Tensor) -> float:
        return mask.float().mean().item()

    # Kernels may sum in another order; noise on purpose is far larger.
    scale = logits[right].abs().amax(1) + 1e-12
    unsteady = (logits - again)[right].abs().amax(1) > 1e-3 * scale
    start = gradient_of(network, x, y, margin)
    gradient = start.gradient
    flat = gradient.flatten(1).abs().amax(1) == 0
    step = (x + ball.step(gradient, ball.radius / 4)).clamp(low, high) - x
    promised = (gradient * step).flatten(1).sum(1)
    span = (logits.max() - logits.min()).item()
    exploded = (promised > _EXPLODED * span) | ~start.finite
    with torch.no_grad():
        gained = margin(network(x + step), y) - margin(start.logits, y)
    bounds = {"low": low, "high": high, "levels": levels}

    def gradient_attacks(within: Ball, steps: int) -> tuple[Tensor, Tensor]:
        # Inputs that withstand both losses, and all attacked inputs.
        found, stands = x.clone(), torch.ones_like(y, dtype=torch.bool)
        settings = {"ball": within, "n_steps": steps, "generator": generator, **bounds}
        for loss in (scale_free_cross_entropy, logit_ratio):
            if stands.any():
                tried = apgd(network, x[stands], y[stands], loss=loss, **settings)
                found[stands] = tried.x
                stands[stands.clone()] = ~tried.fooled
        return stands, found

    rungs = [
        Rung("the same input gives the same output", share(unsteady), 0.0),
        Rung("the input gradient is not zero", share(flat), _MOST_ZERO),
        Rung("the input gradient does not explode", share(exploded), _MOST_FALSE),
        Rung("a step along the gradient goes up", share(gained < promised / 20), _MOST_FALSE),
    ]
    if several:  # a network that always says the same cannot be fooled by any change
        survivors, _ = gradient_attacks(LinfBall(high - low), n_steps)
        name = "a change without bound changes the class"
        rungs.append(Rung(name, share(survivors), _MOST_SURVIVORS))
    survivors, found = gradient_attacks(ball, n_steps)
    one_step = torch.zeros_like(survivors)
    if isinstance(ball, LinfBall):
        one_step = fgsm(network, x, y, radius=ball.radius, **bounds).fooled
    after_more, _ = gradient_attacks(ball, _MORE * n_steps)
    by_chance = torch.zeros_like(survivors)
    for _ in range(_N_RANDOM):
        far = ball.step(ball.random(x, generator), ball.radius)  # on the ball's surface
        moved = (x + far).clamp(low, high)
        if levels is not None:
            moved = (x + ball.round(moved - x, levels)).clamp(low, high)
        by_chance |= fooled_by(network, moved, y)
    outside = ball.length(found - x) > ball.radius * (1 + 1e-4) + 1e-6  # float32
    outside |= ((found < low) | (found > high)).flatten(1).any(1)
    missed = {
        "iterated attacks fool what one step fools": survivors & one_step,
        "more steps fool what fewer steps fool": after_more & ~survivors,
        "gradient attacks fool what random points fool": survivors & by_chance,
    }
    square = {LinfBall: square_linf, L2Ball: square_l2}.get(type(ball))
    if square is not None:
        settings = {"n_queries": _N_QUERIES, "generator": generator, **bounds}
        by_search = square(network, x, y, radius=ball.radius, **settings).fooled
        name = "gradient attacks fool what a search without gradients fools"
        missed[name] = survivors & by_search
    rungs += [Rung(name, share(rows), _MOST_MISSED) for name, rows in missed.items()]
    rungs.append(Rung("attacked inputs lie in ball and range", share(outside), 0.0))
    return Masking(rungs=tuple(rungs), n=n)
