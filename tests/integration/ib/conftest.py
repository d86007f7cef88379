"""A small market whose contracts are known."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.ib.bench import Bench, bench


@pytest.fixture
def discovered_dsn(filled_database: Callable[..., str], tmp_path: Path) -> str:
    """A database with the contracts of AAPL and MSFT of 2026-11-19."""

    def fill(dsn: str) -> None:
        with bench(dsn, tmp_path / "discovery") as first:
            assert first.load("discover").status == "succeeded"

    return filled_database("option_contracts", fill)


@pytest.fixture
def made(discovered_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(discovered_dsn, tmp_path / "home", clock="2026-11-19T10:00:05") as prepared:
        yield prepared
