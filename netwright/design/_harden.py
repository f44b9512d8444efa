"""Have designs trained on attacks or by bounds where a requirement asks for robustness."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from netwright.design._design import Design
from netwright.design.spaces._space import Code, Decision, Space
from netwright.requirement import Requirement

__all__ = ["HardenedSpace", "asks_for_proof", "harden"]

_SLACK = 1.1  # the audit's attack is stronger than the training's


def harden(designs: Sequence[Design], requirements: Sequence[Requirement]) -> tuple[Design, ...]:
    """Give designs a recipe of robust training, if a requirement bounds robustness from below.

    Where a requirement bounds `certified`, they are trained by their bounds (IBP); where one bounds
    `robust` only, on attacked images. The attacker of the training may go a tenth farther than the
    farthest requirement. Designs stay as they are when none asks for robustness, when only radii of
    0 are asked for, or where a recipe trains robustly already.

    Args:
        designs: for images.
        requirements: what the network must meet.

    Returns:
        The designs, in the same order, by the same names.
    """
    asked = _radii(requirements, "robust")
    if asks_for_proof(requirements):
        asked = [pair for pair in asked if pair[1] == "linf"] + _radii(requirements, "certified")
    if not asked:
        return tuple(designs)
    # Different norms cannot be compared by their radii; pixels come first.
    norm = "linf" if any(norm == "linf" for _, norm in asked) else "l2"
    training: dict[str, Any] = {
        "radius": _SLACK * max(radius for radius, kind in asked if kind == norm),
        "attack_norm": norm,
        "mixup": 0.0,
    }
    if asks_for_proof(requirements):
        training |= {"certified": "ibp", "label_smoothing": 0.0}
    else:
        training |= {"adversarial": "trades", "attack_steps": 3}
    return tuple(_hardened(design, training) for design in designs)


def asks_for_proof(requirements: Sequence[Requirement]) -> bool:
    """Say whether a requirement bounds `certified` from below, at a radius that is not 0.

    Args:
        requirements: what the network must meet.
    """
    return bool(_radii(requirements, "certified"))


class HardenedSpace:
    """A space whose designs are trained robustly where a requirement asks for it."""

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


def _radii(requirements: Sequence[Requirement], quantity: str) -> list[tuple[float, str]]:
    """Return radius and norm of the requirements that bound a quantity from below."""
    return [
        (float(dict(requirement.arguments)[norm]), norm)
        for requirement in requirements
        if requirement.quantity == quantity and requirement.comparison == ">="
        for norm in ("linf", "l2")
        if float(dict(requirement.arguments).get(norm) or 0.0) > 0
    ]


def _hardened(design: Design, training: Mapping[str, Any]) -> Design:
    if design.recipe.adversarial or design.recipe.certified:
        return design
    # Widths are learned by the gradient of plain training.
    augment = tuple(name for name in design.recipe.augment if name != "learned")
    return replace(design, recipe=replace(design.recipe, augment=augment, **training))
