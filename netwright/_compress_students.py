"""A smaller design that learns from the network before: found by the search of designs.

Designs within the bounds on costs are taught briefly, the best of them longer, the best of those in
full: strong defaults first, then those of a space of whole networks.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from netwright import _rng
from netwright._compress_candidates import COSTS
from netwright._compress_passes import CannotCut
from netwright._compress_shape import Shaped
from netwright._compress_training import Retraining
from netwright._costs import Costs
from netwright._evaluate import score
from netwright._files import write_atomically
from netwright._journal import Journal
from netwright.data import Task
from netwright.design import (
    Candidate,
    Design,
    Strategy,
    asks_for_proof,
    build_network,
    harden,
    portfolio,
    provable_portfolio,
)
from netwright.design._harden import HardenedSpace
from netwright.design.spaces import Code, Space, macro_space
from netwright.finding import Measurement, format_value
from netwright.learn import Recipe
from netwright.requirement import Requirement

__all__ = ["bounds_of", "study"]

_A_BYTE = 2.0  # weights that a byte of `model.nwz` holds: four bits each, zeros among them
_EXPLORE, _COMPARE = 0.4, 0.4  # of the budget, in trainings of the last
_GLANCE_STEPS, _GLANCE = 30.0, 1.5  # steps, or seconds, that the briefest lesson should have
_FEWEST, _MOST = 4, 24  # designs
_STARTS, _DRAWS = 4, 60  # codes that evolution begins with, of so many that are drawn


def study(
    before: Shaped,
    task: Task,
    requirements: Sequence[Requirement],
    *,
    train: Retraining,
    units: float,
    folder: Path,
    journal: Journal,
    name: str,
    seed: int,
) -> Shaped:
    """Search a smaller design and teach it; what an earlier call has learned is only read.

    Args:
        before: the network before.
        task: supplies rows.
        requirements: what is demanded.
        train: teaches.
        units: of the plan, for all lessons together.
        folder: keeps what came of each design, and what it costs.
        journal: is told of each.
        name: of the search, from which seeds derive.
        seed: of the search.

    Returns:
        The best, taught in full.

    Raises:
        CannotCut: if no design that was looked at keeps to the bounds.
    """
    n_parameters = sum(p.numel() for p in before.network.parameters())
    folder.mkdir(parents=True, exist_ok=True)
    costs = Costs(task, bounds_of(requirements, n_parameters), folder)
    taught = before.base.recipe
    is_provable = bool(taught.certified) or asks_for_proof(requirements)
    propose = provable_portfolio if is_provable else portfolio
    designs = harden(propose(task.schema, len(task.train)), requirements)
    amount = train.amount(units)
    strategy = _strategy(task, requirements, designs, costs, amount, train.in_steps, seed)
    left = units
    while (candidate := strategy.ask()) is not None:
        part = left * candidate.fidelity / strategy.remaining
        design, known = _as_robust(candidate.design, taught), _read(folder, candidate)
        if known is not None:
            found, train.spent = known
            if found.keys() - costs.of(design, until_broken=True).keys():
                train.skip(part)
                left -= part
        elif costs.broken(design, until_broken=True) is not None:
            found = costs.of(design, until_broken=True)
            _write(folder, candidate, found, train.spent)
        else:
            lesson = f"{name}/{candidate.number}"
            network = build_network(design, task.schema, seed=_rng.child_seed(seed, lesson))
            train.teach(network, design.recipe, part, name=lesson)
            left -= part
            metric = task.schema.target.metric
            measured = score(network, task, task.validation)
            found = {**costs.of(design, until_broken=True), metric: measured}
            _say(journal, candidate, found, metric)
            if candidate.fidelity == 1:
                return Shaped(network.eval(), design)
            _write(folder, candidate, found, train.spent)
        strategy.tell(candidate, found)
    raise CannotCut("No smaller design that was looked at keeps to the bounds on costs.")


def bounds_of(requirements: Sequence[Requirement], n_parameters: int) -> tuple[Requirement, ...]:
    """Say what a smaller design may cost.

    Args:
        requirements: what is demanded.
        n_parameters: of the network before.

    Returns:
        The demands on costs, that on bytes as one on parameters; a student has at most half of the
        parameters in any case.
    """
    most = n_parameters / 2
    found = []
    for requirement in requirements:
        if requirement.quantity == "size":
            most = min(most, _A_BYTE * requirement.bound)
        elif requirement.quantity in COSTS and requirement.quantity != "memory":
            found.append(requirement)
    return (*found, Requirement.parse(f"params <= {most:.0f}"))


def _strategy(
    task: Task,
    requirements: Sequence[Requirement],
    designs: Sequence[Design],
    costs: Costs,
    amount: float,
    in_steps: bool,
    seed: int,
) -> Strategy:
    from netwright.design.strategies import PortfolioEvolution

    designs = [d for d in designs if costs.broken(d, until_broken=True) is None]
    space = HardenedSpace(macro_space(task.schema), requirements)
    seed = _rng.child_seed(seed, "students")
    brief = amount * _EXPLORE / (1 + _EXPLORE + _COMPARE)
    n = int(brief / (_GLANCE_STEPS if in_steps else _GLANCE))
    return PortfolioEvolution(
        space,
        n_candidates=min(max(n, len(designs) + 1, _FEWEST), max(_MOST, len(designs) + 1)),
        portfolio=designs,
        start=_starts(space, costs, seed),
        explore=_EXPLORE,
        compare=_COMPARE,
        requirements=(),
        metric=task.schema.target.metric,
        seed=seed,
    )


def _as_robust(design: Design, taught: Recipe) -> Design:
    """Let a student train against changed inputs if the network before did."""
    own = design.recipe
    if not (taught.adversarial or taught.certified) or own.adversarial or own.certified:
        return design
    return replace(
        design,
        recipe=replace(
            own,
            adversarial=taught.adversarial,
            certified=taught.certified,
            radius=taught.radius,
            attack_norm=taught.attack_norm,
            attack_steps=taught.attack_steps,
            augment=taught.augment,
            mixup=0.0,
        ),
    )


def _starts(space: Space, costs: Costs, seed: int) -> list[Code]:
    # Of codes drawn at random, those that use the bounds up, as far as these allow.
    drawn, generator = list[tuple[float, Code]](), random.Random(seed)
    for _ in range(_DRAWS):
        options = (len(decision.options) for decision in space.decisions)
        code = space.canonical(tuple(generator.randrange(n) for n in options))
        design = space.design(code)
        if costs.broken(design, until_broken=True) is None:
            drawn.append((costs.of(design, until_broken=True)["params"].value, code))
    best = sorted(set(drawn), reverse=True)[:_STARTS]
    return [code for _, code in best]


def _say(
    journal: Journal, candidate: Candidate, found: Mapping[str, Measurement], metric: str
) -> None:
    reached, n = format_value(found[metric].value, found[metric].unit), found["params"].value
    share = f"{100 * candidate.fidelity:.0f} %"
    text = f"student, {share} of the lessons: {candidate.design.name}"
    journal.record("student", text=f"{text}: validation {metric} {reached}, {n:,.0f} parameters")


def _write(
    folder: Path, candidate: Candidate, found: Mapping[str, Measurement], spent: float
) -> None:
    about = {
        "design": candidate.design.name,
        "measurements": {name: asdict(measured) for name, measured in found.items()},
        "spent": spent,
    }
    write_atomically(folder / f"{candidate.number:03d}.json", json.dumps(about, indent=1))


def _read(folder: Path, candidate: Candidate) -> tuple[dict[str, Measurement], float] | None:
    path = folder / f"{candidate.number:03d}.json"
    if not path.is_file():
        return None
    about = json.loads(path.read_text(encoding="utf-8"))
    found = {name: Measurement(**fields) for name, fields in about["measurements"].items()}
    return found, about["spent"]
