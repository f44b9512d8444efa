"""Ask how far a network's own probabilities can be trusted.

Which one? `calibration` measures it; `fit_temperature` mends the most common fault, confidence that
is too high or too low everywhere (`fit_temperature_labels` where several labels hold at once).
"""

from netwright.audits.uncertainty._calibration import calibration
from netwright.audits.uncertainty._temperature import fit_temperature, fit_temperature_labels

__all__ = ["calibration", "fit_temperature", "fit_temperature_labels"]
