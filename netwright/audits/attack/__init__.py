"""Look for small changes of an input that change a classifier's answer.

Which one? `fgsm` takes one gradient step: cheap, and weak. `pgd` searches the ball with many
steps and random starts. Both take any differentiable classifier; `LinfBall` bounds every
coordinate, `L2Ball` the Euclidean length. Of losses, `cross_entropy` is the papers', while
`scale_free_cross_entropy` and `margin` keep their gradients where a network is very confident;
`strongest` tries those two, and is the one to report. `gradient_masking` says whether the outcome
can be believed; `robustness` puts it all in a finding.
"""

from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._fgsm import fgsm
from netwright.audits.attack._masking import Masking, Rung, gradient_masking
from netwright.audits.attack._outcome import (
    Attacked,
    cross_entropy,
    margin,
    scale_free_cross_entropy,
)
from netwright.audits.attack._pgd import pgd
from netwright.audits.attack._robustness import robustness
from netwright.audits.attack._strongest import strongest

__all__ = [
    "Attacked",
    "Ball",
    "L2Ball",
    "LinfBall",
    "Masking",
    "Rung",
    "cross_entropy",
    "fgsm",
    "gradient_masking",
    "margin",
    "pgd",
    "robustness",
    "scale_free_cross_entropy",
    "strongest",
]
