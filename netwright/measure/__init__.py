"""Measures of a network, each with the interval that the data allow.

Which one? For classes that are about equally frequent `accuracy`, else `balanced_accuracy` or `f1`;
`auroc` for rankings, `log_loss` and `ece` where probabilities are used as such. `rmse` punishes
large errors, `mae` does not, `r2` has no unit. Functions that end in `_labels` (and `exact_match`)
are for several labels at once. `macs` and `parameters` count, `latency` and `memory` measure, on
this machine; `speed_up` compares two calls by turns; `LatencyTable` predicts latency without a file
to time. Intervals: `proportion` for rates, `rate_drop` for two rates on the same rows, `bootstrap`
for functions of means, `percentile` for timings.
"""

from netwright._intervals import Interval, clopper_pearson, proportion, wilson
from netwright.measure._bootstrap import bootstrap, resampled_means
from netwright.measure._calibration import (
    Reliability,
    ece,
    ece_equal_mass,
    ece_labels,
    reliability,
    reliability_labels,
)
from netwright.measure._classification import (
    accuracy,
    balanced_accuracy,
    exact_match,
    f1,
    f1_binary,
    f1_labels,
)
from netwright.measure._latency import Latency, latency, percentile
from netwright.measure._latency_table import LatencyTable, fingerprint
from netwright.measure._likelihood import log_loss, log_loss_labels
from netwright.measure._macs import LayerCost, LayerCosts, macs, parameters
from netwright.measure._memory import Footprint, footprint, memory
from netwright.measure._operations import Operation, operations
from netwright.measure._paired import rate_drop
from netwright.measure._ranking import auroc, auroc_labels
from netwright.measure._regression import mae, r2, rmse
from netwright.measure._subject import Subject
from netwright.measure._time import MachineRate, machine_rate, theoretical_seconds, training_step
from netwright.measure._turns import SpeedUp, speed_up
from netwright.measure._unresolved import trouble, unresolved

__all__ = [
    "Footprint",
    "Interval",
    "Latency",
    "LatencyTable",
    "LayerCost",
    "LayerCosts",
    "MachineRate",
    "Operation",
    "Reliability",
    "SpeedUp",
    "Subject",
    "accuracy",
    "auroc",
    "auroc_labels",
    "balanced_accuracy",
    "bootstrap",
    "clopper_pearson",
    "ece",
    "ece_equal_mass",
    "ece_labels",
    "exact_match",
    "f1",
    "f1_binary",
    "f1_labels",
    "fingerprint",
    "footprint",
    "latency",
    "log_loss",
    "log_loss_labels",
    "machine_rate",
    "macs",
    "mae",
    "memory",
    "operations",
    "parameters",
    "percentile",
    "proportion",
    "r2",
    "rate_drop",
    "reliability",
    "reliability_labels",
    "resampled_means",
    "rmse",
    "speed_up",
    "theoretical_seconds",
    "training_step",
    "trouble",
    "unresolved",
    "wilson",
]
