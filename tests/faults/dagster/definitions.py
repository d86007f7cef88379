"""Our definitions as the code server of tests loads them, with short waits between two tries."""

from orchestration.dagster import commands
from orchestration.dagster.definitions import definitions

__all__ = ["definitions"]

commands.RETRY_SECONDS = 1
