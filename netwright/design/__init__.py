"""Design: what networks are proposed for a task, and how the proposals are searched.

Which one? `portfolio` proposes strong defaults for a task; `build_network` turns a design into a
plain module.
"""

from netwright.design._build_network import build_network, family
from netwright.design._design import Candidate, Design, Strategy
from netwright.design._json import design_from_json, design_to_json
from netwright.design._portfolio import portfolio

__all__ = [
    "Candidate",
    "Design",
    "Strategy",
    "build_network",
    "design_from_json",
    "design_to_json",
    "family",
    "portfolio",
]
