"""Timed comparisons, run by `make bench`; their results are docs/benchmarks.md.

Nothing here is a test: machines differ, so only ratios of one run are worth reading.
"""
