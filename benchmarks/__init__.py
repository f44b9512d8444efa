"""Paired benchmarks against peers, printed as ratios; `python -m benchmarks` runs them all."""
