"""Describe how good a network is, where it errs, and what it costs.

Which one? Start with `performance` and `confusion`.
"""

from netwright.audits.quality._confusion import confusion, confusion_counts
from netwright.audits.quality._performance import performance

__all__ = ["confusion", "confusion_counts", "performance"]
