"""Learning: losses, optimisers, schedules, augmentation, and the loop that joins them."""

from netwright.learn._recipe import Budget, Recipe

__all__ = ["Budget", "Recipe"]
