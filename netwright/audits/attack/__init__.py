"""Look for small changes of an input that change a classifier's answer.

Which one? `fgsm` takes one gradient step: cheap, and weak. `pgd` searches the ball with many
steps and random starts; report it. Both take any differentiable classifier. `LinfBall` bounds every
coordinate, `L2Ball` the Euclidean length. Raise `margin` rather than `cross_entropy` where a
network is so confident that its gradients vanish.
"""

from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._fgsm import fgsm
from netwright.audits.attack._outcome import Attacked, cross_entropy, margin
from netwright.audits.attack._pgd import pgd

__all__ = ["Attacked", "Ball", "L2Ball", "LinfBall", "cross_entropy", "fgsm", "margin", "pgd"]
