from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.tdx.client_files import write_client_files
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.files import vipdoc
from tests.integration.tdx_load.bench import Bench, bench, days_until
from tests.integration.tdx_load.folder import ClientFolder

OpenBench = Callable[..., AbstractContextManager[Bench]]


@pytest.fixture(scope="session")
def small_market() -> SyntheticMarket:
    """The smallest synthetic market with every kind of code and event, over 60 days."""
    return SyntheticMarket(codes=12, days=60, seed=3)


@pytest.fixture
def days(small_market: SyntheticMarket) -> list[date]:
    """The trading days of the small market."""
    return days_until(small_market)


@pytest.fixture
def warehouse_dsn(prepared_dsn: str) -> str:
    """The URL of a database with all tables, empty: what a first load starts with."""
    return prepared_dsn


@pytest.fixture
def open_bench(warehouse_dsn: str, tmp_path: Path) -> OpenBench:
    def open_(world: Any, **options: Any) -> AbstractContextManager[Bench]:
        return bench(world, warehouse_dsn, tmp_path, **options)

    return open_


@pytest.fixture
def open_loaded(
    filled_database: Callable[..., str], small_market: SyntheticMarket, tmp_path: Path
) -> OpenBench:
    """Open the small market after its first load: a copy of one such load.

    `clock`: the day by whose end the load ran; default: the market's last.
    The sandbox has not received a request yet.
    """

    def open_(*, clock: Any = None, **options: Any) -> AbstractContextManager[Bench]:
        def fill(dsn: str) -> None:
            home = tmp_path / f"first {clock}"  # a test may fill one for each of two clocks
            home.mkdir()
            with bench(small_market, dsn, home, clock=clock) as made:
                assert made.load().exit_code == 0

        dsn = filled_database(f"small market {clock}", fill)
        return bench(small_market, dsn, tmp_path, clock=clock, **options)

    return open_


@pytest.fixture
def loaded_bench(open_loaded: OpenBench) -> Iterator[Bench]:
    """The small market after its first load by the end of its last day."""
    with open_loaded() as made:
        yield made


@pytest.fixture
def market_bench(open_bench: OpenBench, small_market: SyntheticMarket) -> Iterator[Bench]:
    """The small market, not loaded yet, its clock at the end of its last day."""
    with open_bench(small_market) as made:
        yield made


@pytest.fixture
def folder(
    warehouse_dsn: str, tmp_path: Path, small_market: SyntheticMarket, days: list[date]
) -> ClientFolder:
    """The desktop client's folder of the small market, not written yet.

    It gets only files of Shanghai: the codes of each exchange are a package of their own.
    """
    return ClientFolder(tmp_path / "client", small_market, days, warehouse_dsn, tmp_path, ("sh",))


@pytest.fixture
def cache(tmp_path: Path, small_market: SyntheticMarket) -> Path:
    """The folder of the client's files on events, sectors and codes, written."""
    folder = tmp_path / "client" / "T0002" / "hq_cache"
    write_client_files(small_market, folder)
    return folder


@pytest.fixture
def client_bench(open_loaded: OpenBench, cache: Path) -> Iterator[Bench]:
    """The small market, loaded with actions of a CSV file; now the client's folder is there too."""
    with open_loaded(client=cache.parents[1], corporate_actions="gbbq") as made:
        yield made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """The files of bars that are read, each with how many of its last records."""
    read, files = vipdoc.read_bars, list[tuple[str, int | None]]()

    def counted(file: Path, *rest: Any, newest: int | None = None, **options: Any) -> vipdoc.File:
        if newest != vipdoc.TAIL:  # only to know its newest day
            files.append((file.name, newest))
        return read(file, *rest, newest=newest, **options)

    monkeypatch.setattr(vipdoc, "read_bars", counted)
    return files
