"""Learning: losses, optimisers, schedules, augmentation, and the loop that joins them."""

from netwright.learn._fit import Epoch, Fitted, fit
from netwright.learn._recipe import Budget, Recipe

__all__ = ["Budget", "Epoch", "Fitted", "Recipe", "fit"]
