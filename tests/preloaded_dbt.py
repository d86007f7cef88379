"""What forks have imported that build: see `tests.forks`."""

import os
from pathlib import Path

import dbt.cli.main  # noqa: F401
import pytest

from orchestration.cli import build, run  # noqa: F401
from tests.spare_dbt import share_parses, spare_dbt, spare_dbt_commands

spare_dbt(pytest.MonkeyPatch())
spare_dbt_commands(pytest.MonkeyPatch())
if folder := os.environ.get("PARSED_PROJECTS"):  # absent where other tests start the first fork
    share_parses(pytest.MonkeyPatch(), Path(folder))
