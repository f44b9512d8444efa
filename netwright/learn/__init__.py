"""Learning: losses, optimisers, schedules, augmentation, and the loop that joins them.

Which one? `fit` trains any network on any split by a `Recipe`, which names the rest:
`adamw` is the optimiser to start with, `sgd` the one for convolutional networks with time to spare;
`one_cycle` suits short budgets, `cosine` networks that start from trained weights.
Images of which the mirror image means the same take `shift` and `flip`; handwriting `shift` and
`rotate_scale`; `cutout` and `mixup` help once a network is large for its data; `noise` prepares for
poor sensors. Who does not know takes `trivial`, or "learned", which finds out while it trains how
far images may be moved, turned, zoomed, brightened (`LearnedWidths`). Numeric sequences take
`slide` unless they begin at the same moment, `rescale` where sensors differ, `jitter`, and
`mask_steps` where parts may be missing.
A recipe's `adversarial` trains on attacked images: "trades" keeps most accuracy, "pgd" is the plain
form, "free" and "fast" cost least. Its `certified` trains what is to be proved, not only withstood:
"ibp", or, several times as dear, "crown_ibp"; networks without batch normalisation begin with
`start_for_bounds`.
"""

from netwright.learn._augment import cutout, flip, noise, rotate_scale, shift
from netwright.learn._augment_learned import WIDTHS, LearnedWidths
from netwright.learn._augment_series import jitter, mask_steps, rescale, slide
from netwright.learn._augment_trivial import trivial
from netwright.learn._average import WeightAverage
from netwright.learn._evaluate import Evaluation, evaluate
from netwright.learn._fit import Epoch, Fitted, fit
from netwright.learn._ibp import start_for_bounds
from netwright.learn._losses import loss_for, score_error, score_for
from netwright.learn._mixup import Mixed, mixup
from netwright.learn._optimizers import adamw, sgd
from netwright.learn._recipe import Budget, Recipe
from netwright.learn._schedules import cosine, one_cycle

__all__ = [
    "Budget",
    "Epoch",
    "Evaluation",
    "WIDTHS",
    "Fitted",
    "LearnedWidths",
    "Mixed",
    "Recipe",
    "WeightAverage",
    "adamw",
    "cosine",
    "cutout",
    "evaluate",
    "fit",
    "flip",
    "jitter",
    "loss_for",
    "mask_steps",
    "mixup",
    "noise",
    "one_cycle",
    "rescale",
    "rotate_scale",
    "score_error",
    "score_for",
    "sgd",
    "shift",
    "slide",
    "start_for_bounds",
    "trivial",
]
