"""Our definitions as the code server of tests loads them, with short waits between two tries."""

import multiprocessing

import pytest

from orchestration.dagster import commands
from orchestration.dagster.definitions import definitions

__all__ = ["definitions"]

commands.RETRY_SECONDS = 1
if multiprocessing.parent_process() is not None:  # of a run; the code server itself builds nothing
    from tests.spare_dbt import spare_dbt, spare_dbt_commands

    spare_dbt(pytest.MonkeyPatch())
    spare_dbt_commands(pytest.MonkeyPatch())
