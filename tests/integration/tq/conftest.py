"""The simulated futures after their main contracts have loaded, and after their ticks have."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.ticks.servers import url_of
from tests.integration.tq.bench import Bench, bench, build_schedule, count_days
from tests.integration.tq.worlds import DAYS, world


@pytest.fixture
def schedule_dsn(filled_database: Callable[..., str], tmp_path: Path) -> str:
    """A database with main contracts and their schedule."""

    def fill(dsn: str) -> None:
        with bench(world(), dsn, tmp_path / "mapping") as first:
            assert first.load().status == "succeeded"
            build_schedule(first)

    return filled_database("schedule", fill)


@pytest.fixture
def mapped(schedule_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    """Main contracts loaded, and the schedule built."""
    with bench(world(), schedule_dsn, tmp_path) as prepared:
        yield prepared


@pytest.fixture
def made(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """Main contracts loaded, the schedule built, and all its ticks in the store."""

    def fill(dsn: str) -> None:
        with bench(world(), dsn, tmp_path / "first", concurrency=2) as first:
            assert first.load().status == "succeeded"
            build_schedule(first)
            result = first.load("ticks")
            assert (result.status, count_days(result)) == ("succeeded", DAYS)
            first.keep_ticks()

    with bench(world(), filled_database("ticks", fill), tmp_path) as prepared:
        yield prepared


@pytest.fixture
def questdb_url(empty_questdb: Path) -> str:  # noqa: F811
    """The setting that names the process's server."""
    return url_of(empty_questdb)
