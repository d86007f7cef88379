"""Whole commands as forks that have imported dbt."""

from tests.forks import preload_dbt

preload_dbt()
