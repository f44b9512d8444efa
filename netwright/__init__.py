"""Build a network against requirements, with the evidence."""

__version__ = "0.1.0"
