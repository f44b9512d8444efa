"""Spaces: which designs a search strategy may propose."""

from netwright.design.spaces._space import Code, Decision, Space, count, require_code

__all__ = ["Code", "Decision", "Space", "count", "require_code"]
