"""Look for small changes of an input that change a classifier's answer.

Which one?? To report a figure take `strongest`: AutoAttack's `ensemble` in its order (`apgd` on the
cross-entropy, `apgd_targeted`, `fab`, `square_linf` or `square_l2`). `gradient_masking` says
whether its outcome can be believed; `robustness` puts it all in a finding. `fgsm` takes one
gradient step: cheap, and weak. `pgd` and `apgd` search a ball with many steps; `apgd` finds its
step sizes itself.

All take any differentiable classifier. `LinfBall` bounds every coordinate, `L2Ball` the Euclidean
length, `L1Ball` the sum. Of losses, `cross_entropy` is the papers', while
`scale_free_cross_entropy`, `margin` and `logit_ratio` keep their gradients where a network is very
confident.
"""

from netwright.audits.attack._apgd import apgd, apgd_targeted
from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._fab import fab
from netwright.audits.attack._fgsm import fgsm
from netwright.audits.attack._l1_ball import L1Ball
from netwright.audits.attack._logit_ratio import logit_ratio, targeted_logit_ratio
from netwright.audits.attack._masking import Masking, Rung, gradient_masking
from netwright.audits.attack._outcome import (
    Attacked,
    cross_entropy,
    margin,
    scale_free_cross_entropy,
)
from netwright.audits.attack._pgd import pgd
from netwright.audits.attack._robustness import robustness
from netwright.audits.attack._square_l2 import square_l2
from netwright.audits.attack._square_linf import square_linf
from netwright.audits.attack._strongest import Member, ensemble, in_turn, most_passes, strongest

__all__ = [
    "Attacked",
    "Ball",
    "L1Ball",
    "L2Ball",
    "LinfBall",
    "Masking",
    "Member",
    "Rung",
    "apgd",
    "apgd_targeted",
    "cross_entropy",
    "ensemble",
    "fab",
    "fgsm",
    "gradient_masking",
    "in_turn",
    "logit_ratio",
    "margin",
    "most_passes",
    "pgd",
    "robustness",
    "scale_free_cross_entropy",
    "square_l2",
    "square_linf",
    "strongest",
    "targeted_logit_ratio",
]
