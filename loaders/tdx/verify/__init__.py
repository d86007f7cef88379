"""Spot checks of the warehouse after a load: counts, a few securities, disk space."""
