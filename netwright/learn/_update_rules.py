"""Update rules as formulas: what a search for optimisers searches, and torch can run.

Paper:    Bello, Zoph, Vasudevan, Le. Neural Optimizer Search with Reinforcement Learning. ICML
          2017, arXiv:1709.07417, section 4 and table 1 of its appendix.
Departs:  without the operands Adam and RMSProp, which would be the answers, and without random ones
          (noise, drop), so that a rule is a function. Averages decay by 0.9 (m) and 0.999 (v, s).
Notation: g = gradient, m, v, s = bias-corrected averages of g, g^2, g^3, w = weights, u = the term
          before; the step is w - learning_rate * update.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "BINARY",
    "OPERANDS",
    "UNARY",
    "Moments",
    "RuleOptimizer",
    "Term",
    "UpdateRule",
    "apply_rule",
    "formula",
]

_TINY = 1e-8
_DECAYS = (0.9, 0.999, 0.999)

# What a term works on; "u", the term before, stands for nothing in the first.
OPERANDS = ("g", "g²", "g³", "m", "v", "s", "sign(g)", "sign(m)", "1", "1e-4 w", "1e-3 w", "u")
UNARY: Mapping[str, Callable[[Tensor], Tensor]] = {
    "x": lambda x: x,
    "-x": lambda x: -x,
    "exp": lambda x: x.exp(),
    "log": lambda x: (x.abs() + _TINY).log(),
    "sqrt": lambda x: x.abs().sqrt(),
    "clip": lambda x: x.clamp(-1e-3, 1e-3),
    "sign": lambda x: x.sign(),
}
BINARY: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "x": lambda x, y: x,
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "·": lambda x, y: x * y,
    "/": lambda x, y: x / (y + _TINY),
}
_WRITTEN = {
    "x": "{}",
    "-x": "−{}",
    "exp": "exp({})",
    "log": "log|{}|",
    "sqrt": "√|{}|",
    "clip": "clip({})",
    "sign": "sign({})",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A binary function of two operands, each under a unary function.

    Attributes:
        left: an operand.
        right: an operand; not looked at under the binary function "x".
        on_left: the left one's unary function.
        on_right: the right one's.
        joined: the binary function.
    """

    left: str
    right: str = "1"
    on_left: str = "x"
    on_right: str = "x"
    joined: str = "x"

    def __post_init__(self) -> None:
        """Reject names that the language does not have."""
        for name, known in (
            (self.left, OPERANDS),
            (self.right, OPERANDS),
            (self.on_left, UNARY),
            (self.on_right, UNARY),
            (self.joined, BINARY),
        ):
            if name not in known:
                raise ValueError(f"An update rule has no {name!r}; known: {', '.join(known)}.")

    @property
    def uses_last(self) -> bool:
        """Whether the term before has a part in this one."""
        return self.left == "u" or (self.right == "u" and self.joined != "x")


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """Terms, of which each may use the one before; the last is the update.

    Attributes:
        terms: at least one; "u" in the first is an error.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        """Reject rules without a beginning."""
        if not self.terms or self.terms[0].uses_last:
            raise ValueError("`terms` must not be empty, nor the first one use the one before.")

    def __str__(self) -> str:
        """Write the rule as a formula."""
        return formula(self)


class Moments:
    """Averages of the gradient and its powers, for tensors of any shape."""

    def __init__(self, weights: Tensor) -> None:
        """Begin with zeros.

        Args:
            weights: whose gradients will come.
        """
        self._averages = [torch.zeros_like(weights) for _ in _DECAYS]
        self._n = 0

    def operands(self, weights: Tensor, gradient: Tensor) -> dict[str, Tensor]:
        """Take the next gradient in, and return what rules may use.

        Args:
            weights: before the step.
            gradient: at them.
        """
        self._n += 1
        square = gradient * gradient
        powers = (gradient, square, square * gradient)
        corrected = []
        for average, power, decay in zip(self._averages, powers, _DECAYS, strict=True):
            average.lerp_(power, 1 - decay)
            corrected.append(average / (1 - decay**self._n))
        m, v, s = corrected
        return {
            "g": gradient,
            "g²": square,
            "g³": powers[2],
            "m": m,
            "v": v,
            "s": s,
            "sign(g)": gradient.sign(),
            "sign(m)": m.sign(),
            "1": torch.ones_like(gradient),
            "1e-4 w": 1e-4 * weights,
            "1e-3 w": 1e-3 * weights,
        }


def apply_rule(rule: UpdateRule, operands: Mapping[str, Tensor]) -> Float[Tensor, "*shape"]:
    """Compute an update.

    Args:
        rule: the formula.
        operands: as `Moments.operands` returns them, or rows of them.
    """
    last: Tensor | None = None
    for term in rule.terms:

        def value(name: str, unary: str, before: Tensor | None = last) -> Tensor:
            operand = before if name == "u" else operands[name]
            assert operand is not None
            return UNARY[unary](operand)

        left = value(term.left, term.on_left)
        if term.joined == "x":
            last = left
        else:
            last = BINARY[term.joined](left, value(term.right, term.on_right))
    assert last is not None
    return last


class RuleOptimizer(torch.optim.Optimizer):
    """A torch optimiser that follows a rule."""

    def __init__(
        self, parameters: Iterable[Tensor], rule: UpdateRule, *, learning_rate: float
    ) -> None:
        """Set up the averages.

        Args:
            parameters: to change.
            rule: the formula of the update.
            learning_rate: what the update is multiplied by before it is taken off the weights.

        Raises:
            ValueError: if `learning_rate` is not positive.
        """
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive; got {learning_rate}.")
        super().__init__(parameters, {"lr": learning_rate})
        self.rule = rule
        self._moments: dict[Tensor, Moments] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step.

        Args:
            closure: evaluates the loss anew, with its gradients, and returns it.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                moments = self._moments.setdefault(weight, Moments(weight))
                update = apply_rule(self.rule, moments.operands(weight, weight.grad))
                weight.sub_(group["lr"] * update)
        return loss


def formula(rule: UpdateRule) -> str:
    """Write a rule as people do.

    Args:
        rule: any rule.

    Example:
        >>> power_sign = (Term("sign(g)", "sign(m)", joined="·"), Term("u", "g", "exp", joined="·"))
        >>> formula(UpdateRule(power_sign))
        'exp(sign(g) · sign(m)) · g'
        >>> formula(UpdateRule((Term("m", "v", on_right="sqrt", joined="/"),)))
        'm / √|v|'
    """
    last = ""
    for term in rule.terms:

        def written(name: str, unary: str, *, alone: bool, before: str = last) -> str:
            text = before if name == "u" else name
            if unary == "x":
                needs_brackets = name == "u" and not alone and " " in text
            else:
                needs_brackets = unary == "-x" and " " in text
            return _WRITTEN[unary].format(f"({text})" if needs_brackets else text)

        if term.joined == "x":
            last = written(term.left, term.on_left, alone=True)
        else:
            left = written(term.left, term.on_left, alone=False)
            right = written(term.right, term.on_right, alone=False)
            last = f"{left} {term.joined} {right}"
    return last
