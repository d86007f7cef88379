"""Loads and builds as assets of Dagster, and the jobs of the schedule as its schedules.

    dagster dev -m orchestration.dagster.definitions

Dagster decides when and where something runs, tries again, and shows what happened; what is run are
our commands and functions, whose locks and records stay the same. docs/how-to/orchestrators.md.
"""
