"""A space whose best design is known, and searches of it, that the tests of this folder share."""

import random

from netwright.design import Candidate, Design
from netwright.design.spaces import Decision, require_code
from netwright.design.strategies import (
    Asha,
    Bayesian,
    PortfolioEvolution,
    Prefiltered,
    Progressive,
    RandomCodes,
    RegularizedEvolution,
    Reinforce,
)
from netwright.finding import Measurement
from netwright.requirement import Requirement

BEST = (2, 0, 3, 1, 4, 2)
SMALL = Requirement.parse("params <= 120")


class Hill:
    """Six decisions; accuracy falls with the distance from `BEST`, and decisions act together.

    The last decision is ordered; options 3 and 4 of the fifth are the same network.
    """

    decisions = (
        *(Decision(f"operation {n}", tuple("abcd")) for n in range(4)),
        Decision("pool", ("no", "mean", "max", "both", "two")),
        Decision("width", (4, 8, 16, 32), ordered=True),
    )

    def design(self, code):
        require_code(self, code)
        name = "".join(map(str, self.canonical(code)))
        return Design(name, "small_cnn", {"code": list(self.canonical(code))})

    def canonical(self, code):
        require_code(self, code)
        return (*code[:4], 3 if code[4] == 4 else code[4], code[5])


class Nut:
    """Two decisions of two options: four designs."""

    decisions = (Decision("a", (0, 1)), Decision("b", (0, 1)))

    def design(self, code):
        require_code(self, code)
        return Design(str(code), "small_cnn", {"code": list(code)})

    def canonical(self, code):
        return code


def accuracy(code) -> float:
    right = [a == b for a, b in zip(code[:4], BEST, strict=False)]
    value = 0.5 + 0.07 * sum(right) + 0.08 * (right[0] and right[1]) + 0.05 * (code[4] >= 3)
    return value + 0.02 * (2 - min(2, abs(code[5] - BEST[5])))


def measured(candidate: Candidate, *, fidelity: bool = True) -> dict[str, Measurement]:
    code = candidate.design.parameters["code"]
    lost = 0.1 * (1 - candidate.fidelity) if fidelity else 0.0
    value, params = accuracy(code) - lost, 100.0 + 10 * code[5]
    found = {"accuracy": exactly(value), "params": exactly(params)}
    return found | {SMALL.text: exactly(params)}


def exactly(value: float) -> Measurement:
    return Measurement(value, value, value, 1)


def prefer_wide(design: Design) -> float:
    return float(design.parameters["code"][5] == BEST[5])


def prefiltered(space, **arguments):
    return Prefiltered(space, score=prefer_wide, **{"n_scored": 4, **arguments})


STRATEGIES = {
    "random": RandomCodes,
    "evolution": RegularizedEvolution,
    "reinforce": Reinforce,
    "ppo": lambda space, **arguments: Reinforce(space, clip=0.2, **arguments),
    "progressive": Progressive,
    "bayesian": Bayesian,
    "prefiltered": prefiltered,
    "asha": Asha,
    "portfolio evolution": PortfolioEvolution,
}


def search(strategy, measure=measured):
    """Ask and tell, one after the other; return the candidates in order."""
    asked = []
    while (candidate := strategy.ask()) is not None:
        asked.append(candidate)
        strategy.tell(candidate, measure(candidate))
    return asked


def found_by(asked) -> float:
    """Return the accuracy, at full fidelity, of the candidate that measured best."""
    best = max(asked, key=lambda c: (c.fidelity, measured(c)["accuracy"].value))
    return accuracy(best.design.parameters["code"])


def shuffled(asked, seed=0):
    return random.Random(seed).sample(asked, len(asked))
