"""Timed comparisons, run by `make bench`; docs/benchmarks.md holds the results."""
