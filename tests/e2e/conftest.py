"""Whole commands as forks that have imported dbt, or in this process, which has parsed all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.forks import BUILDS_NEED, LOADS_NEED, preload

preload(*LOADS_NEED, *BUILDS_NEED)


@pytest.fixture
def quick_place(quick_builds: None, new_database: Callable[..., str], tmp_path: Path) -> Place:
    """An empty warehouse for commands inside this process, whose builds parse nothing again."""
    settings = {"QUOTEMILL_WAREHOUSE_URL": new_database(DBT_DATABASE)}
    settings["DBT_PROFILES_DIR"] = str(tmp_path)
    return Place(tmp_path, tmp_path / "home", settings)
