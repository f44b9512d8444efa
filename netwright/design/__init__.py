"""Design: what networks are proposed for a task, and how the proposals are searched."""

from netwright.design._design import Candidate, Design, Strategy

__all__ = ["Candidate", "Design", "Strategy"]
