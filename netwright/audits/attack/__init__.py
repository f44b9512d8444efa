"""Look for small changes of an input that change a classifier's answer.

Which one? To report a figure take `strongest`: AutoAttack's `ensemble` in its order (`apgd` on the
cross-entropy, `apgd_targeted`, `fab`, `square_linf` or `square_l2`). `gradient_masking` says
whether its outcome can be believed; `robustness` puts it all in a finding.

Inside a ball (`LinfBall` bounds every coordinate, `L2Ball` the Euclidean length, `L1Ball` the sum):
`fgsm` takes one gradient step, `bim` several, `pgd` from random starts, `momentum_pgd` where the
result shall transfer, `apgd` finds its step sizes itself. The smallest change: `deepfool` quickly,
`carlini_wagner` thoroughly, `hop_skip_jump` from classes alone, `jsma` in the fewest coordinates.
Other threats: `universal` (one change for all inputs), `patch` (stuck anywhere), `spatial` (turned
and moved). Wrapped by `expected`, a network is attacked by any of them so that the result survives
`random_views`, noise, or the network's own chance.

In the data's own terms: `table_search` changes rows by what `rules_for` its columns allow,
`text_search` swaps words for others `near_in_meaning` or `near_in_spelling`.

Most take any differentiable classifier; `square_linf`, `square_l2`, `spatial` and the search in
texts ask for its logits alone. Of losses, `cross_entropy` is the papers', while
`scale_free_cross_entropy`, `margin` and `logit_ratio` keep their gradients where a network is very
confident.
"""

from netwright.audits.attack._apgd import apgd, apgd_targeted
from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._bim import bim
from netwright.audits.attack._carlini_wagner import carlini_wagner
from netwright.audits.attack._deepfool import deepfool
from netwright.audits.attack._expectation import expected, random_views
from netwright.audits.attack._fab import fab
from netwright.audits.attack._fgsm import fgsm
from netwright.audits.attack._hop_skip_jump import hop_skip_jump
from netwright.audits.attack._jsma import jsma
from netwright.audits.attack._l1_ball import L1Ball
from netwright.audits.attack._logit_ratio import logit_ratio, targeted_logit_ratio
from netwright.audits.attack._masking import Masking, Rung, gradient_masking
from netwright.audits.attack._momentum import momentum_pgd
from netwright.audits.attack._nearest import Nearest
from netwright.audits.attack._outcome import (
    Attacked,
    cross_entropy,
    margin,
    scale_free_cross_entropy,
)
from netwright.audits.attack._patch import Patch, patch
from netwright.audits.attack._pgd import pgd
from netwright.audits.attack._robustness import robustness
from netwright.audits.attack._spatial import spatial
from netwright.audits.attack._square_l2 import square_l2
from netwright.audits.attack._square_linf import square_linf
from netwright.audits.attack._strongest import Member, ensemble, in_turn, most_passes, strongest
from netwright.audits.attack._table_rules import TableRules, rules_for
from netwright.audits.attack._table_search import table_search
from netwright.audits.attack._text_search import text_search, word_changes
from netwright.audits.attack._text_words import misspelled, near_in_meaning, near_in_spelling
from netwright.audits.attack._transforms import turned
from netwright.audits.attack._universal import Universal, universal

__all__ = [
    "Attacked",
    "Ball",
    "L1Ball",
    "L2Ball",
    "LinfBall",
    "Masking",
    "Member",
    "Nearest",
    "Patch",
    "Rung",
    "TableRules",
    "Universal",
    "apgd",
    "apgd_targeted",
    "bim",
    "carlini_wagner",
    "cross_entropy",
    "deepfool",
    "ensemble",
    "expected",
    "fab",
    "fgsm",
    "gradient_masking",
    "hop_skip_jump",
    "in_turn",
    "jsma",
    "logit_ratio",
    "margin",
    "misspelled",
    "momentum_pgd",
    "most_passes",
    "near_in_meaning",
    "near_in_spelling",
    "patch",
    "pgd",
    "random_views",
    "robustness",
    "rules_for",
    "scale_free_cross_entropy",
    "spatial",
    "square_l2",
    "square_linf",
    "strongest",
    "table_search",
    "targeted_logit_ratio",
    "text_search",
    "turned",
    "universal",
    "word_changes",
]
