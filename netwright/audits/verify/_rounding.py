"""How far floating-point arithmetic can be from real arithmetic.

Paper:    Higham. Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002. Section 3.1:
          a sum of n products, in any order and with or without fused operations, differs from the
          exact one by at most gamma_n times the sum of absolute values.
Departs:  gamma_n is rounded up to n * u * 1.01, which holds for n < 10**13. The model leaves out
          underflow: `TINY` is added for it, which is enough while no value passes `LARGEST`.
Notation: UNIT = u.
"""

__all__ = ["LARGEST", "TINY", "UNIT", "gamma"]

UNIT = 2.0**-53
"""Largest relative error of one rounding to float64."""

TINY = 1e-150
"""More than any number of underflows adds to a value, times what later layers make of it."""
LARGEST = 1e60
"""Networks whose values may pass this are not decided."""


def gamma(n: int) -> float:
    """Bound the relative error of `n` roundings in a row.

    Args:
        n: number of roundings.
    """
    return 1.01 * n * UNIT
