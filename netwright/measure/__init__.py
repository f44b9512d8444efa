"""Measures of a network, each with its interval."""

from netwright.measure._subject import Subject

__all__ = ["Subject"]
