"""Strategies: which designs of a space to try, one after the other. All are interchangeable.

Which one? `PortfolioEvolution` is the search to use: defaults first, then evolution at low
fidelity, and one full training. `RegularizedEvolution` is the simplest that is hard to beat where
every candidate is trained alike, `Progressive` needs the fewest candidates, `Bayesian` (by Optuna)
suits small budgets and ordered decisions, `Reinforce` learns a distribution that can be looked at,
and `RandomCodes` is the yardstick. `Asha` stands around any of them and stops bad candidates early;
`Prefiltered` stands around any of them and trains only what a score such as `naswot`, `synflow` or
`jacobian_covariance` thinks most of. `extrapolate` foretells the end of a learning curve.

For cells there are two more, which train all networks of the space at once in one network that
holds them: `Darts` follows a gradient through the choice of operations, `Enas` draws children from
a controller and ranks them with the weights they share. `darts` and `share_weights` work alone.
"""

from netwright.design.strategies._asha import Asha
from netwright.design.strategies._bayesian import Bayesian
from netwright.design.strategies._darts import Darts, Searched, darts, genotype
from netwright.design.strategies._enas import Enas, SharedWeights, share_weights
from netwright.design.strategies._fitness import Fitness, fitness, standings
from netwright.design.strategies._learning_curve import Extrapolation, extrapolate
from netwright.design.strategies._portfolio_evolution import PortfolioEvolution
from netwright.design.strategies._prefiltered import Prefiltered
from netwright.design.strategies._progressive import Progressive
from netwright.design.strategies._proxies import jacobian_covariance, naswot, synflow
from netwright.design.strategies._random import RandomCodes
from netwright.design.strategies._regularized_evolution import RegularizedEvolution
from netwright.design.strategies._reinforce import Moment, Observed, Reinforce
from netwright.design.strategies._surrogate import Surrogate

__all__ = [
    "Asha",
    "Bayesian",
    "Darts",
    "Enas",
    "Extrapolation",
    "Fitness",
    "Moment",
    "Observed",
    "PortfolioEvolution",
    "Prefiltered",
    "Progressive",
    "RandomCodes",
    "RegularizedEvolution",
    "Reinforce",
    "Searched",
    "SharedWeights",
    "Surrogate",
    "darts",
    "extrapolate",
    "fitness",
    "genotype",
    "jacobian_covariance",
    "naswot",
    "share_weights",
    "standings",
    "synflow",
]
