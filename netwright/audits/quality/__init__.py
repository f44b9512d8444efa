"""Describe how good a network is, where it errs, and what it costs.

Which one? Start with `performance`; `confusion` and `worst_errors` say where a classifier errs,
`residuals` and `worst_errors` where a regression does. `size_by_layer`, `macs_by_layer` and
`latency` say what a prediction costs, and `data_summary` what the network had to learn from.
"""

from netwright.audits.quality._confusion import confusion, confusion_counts
from netwright.audits.quality._data_summary import data_summary
from netwright.audits.quality._latency import latency
from netwright.audits.quality._layers import macs_by_layer, size_by_layer
from netwright.audits.quality._performance import performance
from netwright.audits.quality._residuals import residuals
from netwright.audits.quality._worst_errors import worst_errors

__all__ = [
    "confusion",
    "confusion_counts",
    "data_summary",
    "latency",
    "macs_by_layer",
    "performance",
    "residuals",
    "size_by_layer",
    "worst_errors",
]
