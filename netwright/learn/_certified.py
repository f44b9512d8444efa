"""Trainings whose networks can be proved robust: the names that a recipe's `certified` takes."""

from netwright.learn._crown_ibp import crown_ibp
from netwright.learn._ibp import ibp

__all__ = ["crown_ibp", "ibp"]
