"""C11, second half: a controller searches the language of update rules for an optimiser.

Every rule trains a small network on handwritten digits, at each of a few learning rates; the rules
of a batch are trained together, as rows of one tensor. The best rules found, and the rivals, are
then tuned on finer learning rates with the same seeds, and compared on other rows with other seeds.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from netwright import _rng
from netwright.data import load
from netwright.design import Candidate, Design
from netwright.design.spaces import Code, Decision, require_code
from netwright.design.strategies import Reinforce
from netwright.finding import Bars, Cell, Finding, Judgement, Lines, Measurement, Series, Table
from netwright.learn._update_rules import (
    BINARY,
    OPERANDS,
    UNARY,
    Moments,
    Term,
    UpdateRule,
    apply_rule,
    formula,
)

__all__ = ["BAR", "ID", "TITLE", "RuleSpace", "run"]

ID = "optimizer-search"
TITLE = "Neural optimiser search: a controller writes update rules (C11)"
BAR = (
    "a rule found by the search beats tuned SGD on its task with the whole 95 % interval, and its "
    "loss is no higher than tuned Adam's; the rule is printed as maths"
)
_QUICK, _FULL = 480, 3000  # rules that are tried
_TOGETHER = 16  # rules trained at once
_STEPS, _BATCH = 100, 64
_COARSE = (3e-3, 1.5e-2, 0.1, 0.5, 1.5)
_FINE = tuple(10.0 ** (k / 4) for k in range(-14, 4))
_FINALISTS, _TUNING, _REPEATS = 5, 3, 20
_WIDTHS = (64, 32, 32, 10)
_RIVALS = {
    "SGD": UpdateRule((Term("g"),)),
    "SGD with momentum": UpdateRule((Term("m"),)),
    "RMSProp": UpdateRule((Term("g", "v", on_right="sqrt", joined="/"),)),
    "Adam": UpdateRule((Term("m", "v", on_right="sqrt", joined="/"),)),
    "sign of the gradient": UpdateRule((Term("sign(g)"),)),
    "sign of momentum": UpdateRule((Term("sign(m)"),)),
    "PowerSign": UpdateRule(
        (Term("sign(g)", "sign(m)", joined="·"), Term("u", "g", "exp", joined="·"))
    ),
}


class RuleSpace:
    """Update rules of one or two terms, as a space that any strategy can search."""

    def __init__(self) -> None:
        """List the decisions."""
        first = tuple(name for name in OPERANDS if name != "u")
        self._decisions = tuple(
            Decision(f"term {term}: {what}", options)
            for term, operands in ((1, first), (2, OPERANDS))
            for what, options in (
                ("left", operands),
                ("on the left", tuple(UNARY)),
                ("joined by", tuple(BINARY)),
                ("right", operands),
                ("on the right", tuple(UNARY)),
            )
        )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Two operands, their functions and what joins them, twice."""
        return self._decisions

    def rule(self, code: Code) -> UpdateRule:
        """Read a code as a rule; a first term that the second does not use is left out.

        Args:
            code: an option of each decision.
        """
        require_code(self, code)
        chosen = [d.options[place] for d, place in zip(self._decisions, code, strict=True)]
        terms = []
        for left, on_left, joined, right, on_right in (chosen[:5], chosen[5:]):
            left, on_left = _simplest(left, on_left)
            right, on_right = _simplest(right, on_right)
            if joined == "x":
                right = on_right = None
            elif joined in ("+", "·") and (right, on_right) < (left, on_left):
                left, on_left, right, on_right = right, on_right, left, on_left
            terms.append(Term(left, right or "1", on_left, on_right or "x", joined))
        return UpdateRule(tuple(terms) if terms[1].uses_last else (terms[1],))

    def design(self, code: Code) -> Design:
        """Describe a rule; its name is the formula.

        Args:
            code: an option of each decision.
        """
        rule = self.rule(code)
        terms = [dataclasses.asdict(term) for term in rule.terms]
        return Design(formula(rule), "update_rule", {"terms": terms})

    def canonical(self, code: Code) -> Code:
        """Return the one code of all that are read as the same rule.

        Args:
            code: an option of each decision.
        """
        terms = list(self.rule(code).terms)
        if len(terms) == 1:
            terms.insert(0, Term("g"))
        names = [name for t in terms for name in (t.left, t.on_left, t.joined, t.right, t.on_right)]
        pairs = zip(self._decisions, names, strict=True)
        return tuple(decision.options.index(name) for decision, name in pairs)


def _simplest(operand: str, unary: str) -> tuple[str, str]:
    """Write the sign of a gradient, or of its average, in one way."""
    if unary == "sign" and operand in ("g", "g³", "sign(g)"):
        return "sign(g)", "x"
    if unary == "sign" and operand in ("m", "sign(m)"):
        return "sign(m)", "x"
    return operand, unary


@dataclass(frozen=True, eq=False)
class _Rows:
    # One part of the digits: what networks see, and what is right.
    x: Tensor
    y: Tensor


def run(*, full: bool, seed: int) -> Finding:
    """Search for a rule, tune it and its rivals alike, and compare them on other rows and seeds.

    Args:
        full: try 3,000 rules instead of 480.
        seed: of the search and of all trainings.

    Returns:
        The loss of the best rule found less that of SGD, and of Adam; a table of all; how the
        search went; the controller's choices over time.
    """
    began = time.monotonic()
    task = load("digits", seed=seed)
    train, validation = _rows(task.train), _rows(task.validation)
    test = _rows(task.test.open(f"claim {ID}"))
    space = RuleSpace()
    search = Reinforce(
        space,
        n_candidates=_FULL if full else _QUICK,
        metric="log_loss",
        seed=seed,
        batch=_TOGETHER,
    )
    losses = _search(search, train, validation, seed)
    distinct: dict[float, str] = {}  # two formulas of one function have one loss
    for name in sorted(losses, key=lambda name: (losses[name][1], len(name))):
        distinct.setdefault(round(losses[name][1], 5), name)
    found = {name: losses[name][0] for name in list(distinct.values())[:_FINALISTS]}
    rules = {**{f"found: {name}": rule for name, rule in found.items()}, **_RIVALS}
    rates = {name: _tune(rule, train, validation, seed) for name, rule in rules.items()}
    results = {
        name: _losses([rule] * _REPEATS, [rates[name][0]] * _REPEATS, train, test, seed, "test")
        for name, rule in rules.items()
    }
    # Chosen among the finalists where the search could see: on validation rows, after tuning.
    winner = min((name for name in rules if name.startswith("found")), key=lambda n: rates[n][1])
    over_sgd = _difference(results["SGD"][0], results[winner][0])
    over_adam = _difference(results["Adam"][0], results[winner][0])
    good = over_sgd.low > 0 and over_adam.value >= 0
    summary = (
        f"w ← w − rate · ({winner.removeprefix('found: ')}): log loss "
        f"{statistics.mean(results[winner][0]):.3f} against {_mean(results['SGD']):.3f} for SGD "
        f"and {_mean(results['Adam']):.3f} for Adam, each at its best rate; lower than Adam's by "
        f"{over_adam.value:.3f} [{over_adam.low:.3f}, {over_adam.high:.3f}] nats."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=over_adam,
        requirement=BAR,
        judgement=Judgement("met" if good else "broken", summary),
        evidence=(_table(rules, rates, results), *_charts(search, losses, results)),
        seconds=time.monotonic() - began,
    )


def _rows(split) -> _Rows:
    return _Rows(split.take(torch.arange(len(split))).flatten(1), split.y)


def _search(
    search: Reinforce, train: _Rows, validation: _Rows, seed: int
) -> dict[str, tuple[UpdateRule, float]]:
    losses: dict[str, tuple[UpdateRule, float]] = {}
    while asked := _ask(search):
        rules = [UpdateRule(tuple(Term(**t) for t in c.design.parameters["terms"])) for c in asked]
        each = [rule for rule in rules for _ in _COARSE]
        found, _ = _losses(each, list(_COARSE) * len(rules), train, validation, seed, "search")
        for place, (candidate, rule) in enumerate(zip(asked, rules, strict=True)):
            n = len(_COARSE)
            loss = min(found[place * n : (place + 1) * n])
            losses[candidate.design.name] = (rule, loss)
            usable = {"log_loss": Measurement(loss, loss, loss, 1)} if math.isfinite(loss) else {}
            search.tell(candidate, usable)
    return losses


def _ask(search: Reinforce) -> list[Candidate]:
    asked = []
    while len(asked) < _TOGETHER and (candidate := search.ask()) is not None:
        asked.append(candidate)
    return asked


def _tune(rule: UpdateRule, train: _Rows, validation: _Rows, seed: int) -> tuple[float, float]:
    """Return the best learning rate of a fine grid, and its mean validation loss."""
    rates = [rate for rate in _FINE for _ in range(_TUNING)]
    found, _ = _losses([rule] * len(rates), rates, train, validation, seed, "tune", _TUNING)
    means = [statistics.mean(found[k * _TUNING : (k + 1) * _TUNING]) for k in range(len(_FINE))]
    best = min(range(len(_FINE)), key=means.__getitem__)
    return _FINE[best], means[best]


def _losses(
    rules: Sequence[UpdateRule],
    rates: Sequence[float],
    train: _Rows,
    judged: _Rows,
    seed: int,
    name: str,
    n_seeds: int | None = None,
) -> tuple[list[float], list[float]]:
    """Train a network with each rule and rate, all together; return losses and accuracies.

    Rows that follow each other differ in first weights and batches, in a cycle of `n_seeds`; all
    rows that the search compares share them.
    """
    n = len(rules)
    cycle = n_seeds or (1 if name == "search" else n)
    weights = torch.stack(
        [_first_weights(_rng.child(seed, f"{name}/weights/{k}")) for k in range(cycle)]
    )[torch.arange(n) % cycle].clone()
    order = [_rng.child(seed, f"{name}/batches/{k}") for k in range(cycle)]
    scale = torch.tensor(rates)[:, None]
    groups: dict[UpdateRule, list[int]] = {}
    for place, rule in enumerate(rules):
        groups.setdefault(rule, []).append(place)
    places = {rule: torch.tensor(where) for rule, where in groups.items()}
    moments = Moments(weights)
    for _ in range(_STEPS):
        drawn = torch.stack([torch.randint(len(train.y), (_BATCH,), generator=g) for g in order])[
            torch.arange(n) % cycle
        ]
        weights.requires_grad_(True)
        logits = _forward(weights, train.x[drawn])
        loss = functional.cross_entropy(
            logits.flatten(0, 1), train.y[drawn].flatten(), reduction="sum"
        )
        (gradient,) = torch.autograd.grad(loss / _BATCH, weights)
        with torch.no_grad():
            weights = weights.detach()
            operands = moments.operands(weights, gradient)
            for rule, where in places.items():
                rows = {key: value[where] for key, value in operands.items()}
                weights[where] -= scale[where] * apply_rule(rule, rows)
    with torch.no_grad():
        logits = _forward(weights, judged.x.expand(n, -1, -1))
        answers = judged.y.expand(n, -1)
        found = functional.cross_entropy(logits.transpose(1, 2), answers, reduction="none")
        right = (logits.argmax(dim=2) == answers).double().mean(dim=1)
    found = found.mean(dim=1).double().nan_to_num(nan=math.inf, posinf=math.inf)
    return found.tolist(), right.tolist()


def _first_weights(generator: torch.Generator) -> Tensor:
    parts = []
    for n_in, n_out in zip(_WIDTHS, _WIDTHS[1:], strict=False):
        parts += [torch.randn(n_in * n_out, generator=generator) * n_in**-0.5, torch.zeros(n_out)]
    return torch.cat(parts)


def _forward(weights: Tensor, x: Tensor) -> Tensor:
    """Run networks on rows of their own; (runs, weights), (runs, batch, 64) to logits."""
    begin, last = 0, len(_WIDTHS) - 2
    for layer, (n_in, n_out) in enumerate(zip(_WIDTHS, _WIDTHS[1:], strict=False)):
        matrix = weights[:, begin : begin + n_in * n_out].view(-1, n_in, n_out)
        begin += n_in * n_out
        x = torch.baddbmm(weights[:, None, begin : begin + n_out], x, matrix)
        begin += n_out
        x = x if layer == last else x.tanh()
    return x


def _difference(theirs: Sequence[float], ours: Sequence[float]) -> Measurement:
    from scipy.stats import t

    differences = [a - b for a, b in zip(theirs, ours, strict=True)]
    n, mean = len(differences), statistics.mean(differences)
    reach = float(t.ppf(0.975, n - 1)) * statistics.stdev(differences) / math.sqrt(n)
    return Measurement(mean, mean - reach, mean + reach, n, "nats", "t, paired")


def _mean(result: tuple[list[float], list[float]]) -> float:
    return statistics.mean(result[0])


def _table(rules, rates, results) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in sorted(rules, key=lambda name: _mean(results[name])):
        loss, right = results[name]
        gain = _difference(results["Adam"][0], loss)
        rows.append(
            (
                "found" if name.startswith("found") else name,
                f"w ← w − {rates[name][0]:.2g} · ({formula(rules[name])})",
                round(statistics.mean(loss), 4),
                round(100 * statistics.mean(right), 2),
                *(round(v, 4) for v in (gain.value, gain.low, gain.high)),
            )
        )
    columns = ("rule", "step", "log loss", "accuracy, %", "less than Adam's by", "low", "high")
    title = f"Rules at their best rates after {_STEPS} steps: test rows, {_REPEATS} other seeds"
    return Table(title, columns, tuple(rows))


def _charts(search: Reinforce, losses, results) -> tuple[Lines, Bars, Lines]:
    values = [loss for _, loss in losses.values()]
    shown = [min(loss, 2.5) for loss in values]
    best = [min(shown[: k + 1]) for k in range(len(shown))]
    numbers = tuple(float(k + 1) for k in range(len(shown)))
    window = 32
    recent = [statistics.median(shown[max(0, k - window + 1) : k + 1]) for k in range(len(shown))]
    progress = Lines(
        "How the search went: validation log loss of the rules tried (2.5 for worse)",
        "rules tried",
        "log loss, nats",
        (Series("best so far", numbers, tuple(best)),
         Series(f"median of the last {window}", numbers, tuple(recent))),
    )  # fmt: skip
    names = sorted((n for n in results), key=lambda name: _mean(results[name]))
    bars = Bars(
        "Test log loss at the best rate",
        "rule",
        "log loss, nats",
        (
            Series(
                "log loss",
                tuple(n.removeprefix("found: ") for n in names),
                tuple(_mean(results[n]) for n in names),
            ),
        ),
    )
    moments = search.history
    joined = RuleSpace().decisions[5].options  # what the last term works on
    likely = sorted(range(len(joined)), key=lambda k: -moments[-1].probabilities[5][k])[:5]
    chances = Lines(
        "What the controller puts first into the update, over time",
        "rules tried",
        "probability",
        tuple(
            Series(
                joined[k],
                tuple(float(m.n_told) for m in moments),
                tuple(m.probabilities[5][k] for m in moments),
            )
            for k in likely
        ),
    )
    return progress, bars, chances
