"""Whole commands as forks that have imported dbt."""

from tests.forks import BUILDS_NEED, LOADS_NEED, preload

preload(*LOADS_NEED, *BUILDS_NEED)
