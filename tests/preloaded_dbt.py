"""What forks have imported that build: see `tests.forks`."""

import dbt.cli.main  # noqa: F401
import pytest

from orchestration.cli import build, run  # noqa: F401
from tests.spare import spare_dbt, spare_dbt_commands

spare_dbt(pytest.MonkeyPatch())
spare_dbt_commands(pytest.MonkeyPatch())
