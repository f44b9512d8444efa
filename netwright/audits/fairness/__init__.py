"""Ask whether a network serves groups of rows equally well.

Which one? `group_gaps` measures every group of every group column; `largest_gap` compares groups by
any measure of your own.
"""

from netwright.audits.fairness._group_gaps import group_gaps, largest_gap

__all__ = ["group_gaps", "largest_gap"]
