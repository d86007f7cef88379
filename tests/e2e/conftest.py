"""Whole commands as forks that have imported dbt, or in this process, which has parsed all."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import DBT_DATABASE
from tests.constant_columns import check_constant_columns
from tests.e2e.commands import Place
from tests.forks import BUILDS_NEED, LOADS_NEED, preload

Build = Callable[[Path], psycopg.Connection]
preload(*LOADS_NEED, *BUILDS_NEED)


@pytest.fixture
def quick_place(quick_builds: None, new_database: Callable[..., str], tmp_path: Path) -> Place:
    """An empty warehouse for commands inside this process, whose builds parse nothing again."""
    settings = {"QUOTEMILL_WAREHOUSE_URL": new_database(DBT_DATABASE)}
    settings["DBT_PROFILES_DIR"] = str(tmp_path)
    return Place(tmp_path, tmp_path / "home", settings)


@pytest.fixture
def build(quick_place: Place) -> Iterator[Build]:
    """Fill the warehouse by its first `quotemill run`, with nothing else configured but a folder.

    Of a shared case each column with one number in every row must be listed.
    """
    with psycopg.connect(quick_place.settings["QUOTEMILL_WAREHOUSE_URL"]) as conn:

        def run(folder: Path) -> psycopg.Connection:
            done = quick_place.inside("quotemill", "run", QUOTEMILL_TDX__CLIENT=str(folder))
            assert done.returncode == 0, done.stderr
            if "cases" in folder.parts:
                check_constant_columns(conn, folder.name)
            return conn

        yield run
