"""A year of minutes, ticks and option chains, and the nights on top of it."""
