"""Have designs trained on attacked images where a requirement asks for robustness."""

from collections.abc import Sequence
from dataclasses import replace

from netwright.design._design import Design
from netwright.design.spaces._space import Code, Decision, Space
from netwright.requirement import Requirement

__all__ = ["HardenedSpace", "harden"]

_SLACK = 1.1  # the audit's attack is stronger than the training's


def harden(designs: Sequence[Design], requirements: Sequence[Requirement]) -> tuple[Design, ...]:
    """Give designs a recipe of adversarial training, if a requirement bounds `robust` from below.

    The attacker of the training may go a tenth farther than the farthest requirement. Designs stay
    as they are when none asks for robustness, when only radii of 0 are asked for, or where a recipe
    trains robustly already.

    Args:
        designs: for images.
        requirements: what the network must meet.

    Returns:
        The designs, in the same order, by the same names.
    """
    asked = [
        (float(dict(requirement.arguments)[norm]), norm)
        for requirement in requirements
        if requirement.quantity == "robust" and requirement.comparison == ">="
        for norm in ("linf", "l2")
        if dict(requirement.arguments).get(norm)
    ]
    if not asked or max(asked)[0] <= 0:
        return tuple(designs)
    # Different norms cannot be compared by their radii; pixels come first.
    norm = "linf" if any(norm == "linf" for _, norm in asked) else "l2"
    radius = _SLACK * max(radius for radius, kind in asked if kind == norm)
    return tuple(_hardened(design, radius, norm) for design in designs)


class HardenedSpace:
    """A space whose designs are trained on attacked images where a requirement asks for it."""

    def __init__(self, space: Space, requirements: Sequence[Requirement]) -> None:
        """Wrap a space.

        Args:
            space: of designs for images.
            requirements: what the network must meet.
        """
        self._space, self._requirements = space, tuple(requirements)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of the space."""
        return self._space.decisions

    def design(self, code: Code) -> Design:
        """Describe the design of a code, hardened.

        Args:
            code: an option of each decision.
        """
        return harden((self._space.design(code),), self._requirements)[0]

    def canonical(self, code: Code) -> Code:
        """Return the one code that stands for all codes of the same network.

        Args:
            code: an option of each decision.
        """
        return self._space.canonical(code)


def _hardened(design: Design, radius: float, norm: str) -> Design:
    if design.recipe.adversarial:
        return design
    recipe = replace(
        design.recipe,
        adversarial="trades",
        radius=radius,
        attack_norm=norm,
        attack_steps=3,
        mixup=0.0,
    )
    return replace(design, recipe=recipe)
