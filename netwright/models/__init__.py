"""Whole networks from the literature, by name."""

__all__: list[str] = []
