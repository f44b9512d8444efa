"""Measures of a network, each with its interval."""

from netwright.measure._classification import accuracy, exact_match
from netwright.measure._intervals import Interval, clopper_pearson, proportion, wilson
from netwright.measure._latency import Latency, latency, percentile
from netwright.measure._subject import Subject

__all__ = [
    "Interval",
    "Latency",
    "Subject",
    "accuracy",
    "clopper_pearson",
    "exact_match",
    "latency",
    "percentile",
    "proportion",
    "wilson",
]
