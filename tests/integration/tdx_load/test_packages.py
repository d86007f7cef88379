"""Day packages of the vendor's site continue the client's folder."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from loaders.engine.load import Load
from loaders.files import lock
from loaders.sandbox.tdx.client_files import write_client_files, write_sectors
from loaders.sandbox.tdx.packages import day_package
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx import packages
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.files.sectors import KINDS as SECTORS
from tests.integration.tdx_load.bench import Bench, bench
from tests.integration.tdx_load.folder import BARS, RECORD, ClientFolder, failures

Site = Callable[..., AbstractContextManager[Bench]]
DATASETS = ("codes", "trading_calendar", "kline_daily", "index_kline", "capital_events", "sectors")
TABLES = (
    BARS,
    "select code, trade_date, close, volume, up_count, down_count, is_final"
    " from raw_tdx.index_kline order by 1, 2",
    "select code, name, is_listed from raw_tdx.security order by 1",
    "select code, event_date, category, value1, value2, value3, value4"
    " from raw_tdx.capital_event order by 1, 2, 3",
    "select sector_kind, sector_name, member from raw_tdx.sector_member order by 1, 2, 3",
)
CACHE = "T0002/hq_cache"
pytestmark = pytest.mark.long


@pytest.fixture
def site(small_market: SyntheticMarket, folder: ClientFolder) -> Site:
    """Open a bench with the site as its only source, by default at 18:30 of the last day."""
    folder.exchanges = EXCHANGES  # as the packages have

    @contextmanager
    def open_(
        day: date | None = None,
        at: time = time(18, 30),
        market: SyntheticMarket = small_market,
        **tdx: Any,
    ) -> Iterator[Bench]:
        clock = datetime.combine(day or market.end.date(), at)
        (folder.path / "vipdoc").mkdir(parents=True, exist_ok=True)
        with bench(market, folder.dsn, folder.home, clock=clock) as made:
            url = f"{made.sandbox.url}/products/data/data"
            only = {"base_url": None, "corporate_actions": None, "client": folder.path}
            update = only | {"download": True, "download_url": url, "retries": 0} | tdx
            settings = made.settings.model_copy(
                update={"tdx": made.settings.tdx.model_copy(update=update)}
            )
            yield Bench(made.sandbox, settings, made.heard)

    return open_


def read_tables(of: Bench) -> list[Any]:
    return [of.rows(query) for query in TABLES]


def packages_asked(of: Bench) -> int:
    return sum(entry.route == "g4day" for entry in of.sandbox.log)


@pytest.fixture
def whole(folder: ClientFolder, small_market: SyntheticMarket) -> Callable[[Bench], list[Any]]:
    """The rows of a client's own folder with the whole market, landed in an emptied warehouse."""

    def load(emptied: Bench) -> list[Any]:
        emptied.execute(
            "truncate raw_tdx.kline_daily, raw_tdx.index_kline,"
            " raw_tdx.security, raw_tdx.answer_gap"
        )
        other = ClientFolder(
            folder.path / "own", small_market, folder.days, folder.dsn, folder.home
        )
        other.write()
        for write in (write_client_files, write_sectors):
            write(small_market, other.path / CACHE)
        for file in ("gbbq", *SECTORS):
            assert (folder.path / CACHE / file).read_bytes() == (
                other.path / CACHE / file
            ).read_bytes()
        return read_tables(other.load(datasets=DATASETS, mode="init"))

    return load


def test_packages_give_the_rows_of_the_client_s_own_files(
    site: Site, whole: Callable[[Bench], list[Any]]
) -> None:
    with site() as alone:
        result = alone.load(datasets=DATASETS)
        assert result.exit_code == 0, alone.heard.lines
        rows = read_tables(alone)
        assert all(rows)
        assert rows == whole(alone)


def test_a_night_asks_for_the_package_of_its_day_only(site: Site, days: list[date]) -> None:
    with site(days[-2], download_days=40) as before:
        assert before.load(datasets=DATASETS).exit_code == 0, before.heard.lines
        assert packages_asked(before) == 40
    with site(download_days=40) as night:
        assert night.load(datasets=DATASETS).exit_code == 0, night.heard.lines
        assert packages_asked(night) == 1
        again = night.load(datasets=DATASETS)
        assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
        assert packages_asked(night) == 1


@pytest.mark.parametrize(("at", "code"), [(time(15, 30), 0), (time(16, 30), 0), (time(18, 30), 6)])
def test_a_package_that_is_late_fails_after_18_00_only(
    site: Site, days: list[date], at: time, code: int
) -> None:
    with site(days[-2], download_days=40) as before:
        assert before.load(datasets=DATASETS).exit_code == 0
    with site(at=at, download_days=40) as late:
        late.sandbox.faults.add("package-missing")
        result = late.load(datasets=DATASETS)
        assert result.exit_code == code, late.heard.lines
        assert packages_asked(late) == (at > time(16))
        assert list(failures(result)) == (["codes"] if code else [])
        assert len(result.warnings) == bool(code)


@pytest.mark.parametrize(
    "fault",
    [
        "html:g4day:status=200",
        "html:g4day:status=502",
        "cut:g4day",
        "reset:g4day",
        "package-part",
        "package-old",
    ],
)
def test_a_bad_package_is_refused_whole_and_its_day_stays_due(
    site: Site, days: list[date], fault: str
) -> None:
    newest = f"select count(*) from raw_tdx.kline_daily where trade_date = '{days[-1]}'"
    with site(days[-2]) as before:
        assert before.load(datasets=DATASETS).exit_code == 0
        stored = read_tables(before)
    with site() as night:
        night.sandbox.faults.add(fault)
        result = night.load(datasets=DATASETS)
        assert (result.exit_code, list(failures(result))) == (6, ["codes"])
        assert read_tables(night)[0] == stored[0]
        night.sandbox.faults.clear()
        assert night.load(datasets=DATASETS).exit_code == 0, night.heard.lines
        assert night.rows(newest)[0][0] > 0


BARS_OF_DAYS = ("codes", "trading_calendar", "kline_daily")
LATE = "select count(*) from raw_tdx.kline_daily where trade_date = '{}'"


def refuse_for_good(site: Site, days: list[date], fault: str) -> None:
    """Load three nights; the second day's package is refused, in the third night again."""
    for day, code in ((days[-4], 0), (days[-3], 6), (days[-2], 6)):
        with site(day, download_days=20) as night:
            if code:
                night.sandbox.faults.add(f"{fault}:nth=1")
            assert night.load(datasets=BARS_OF_DAYS).exit_code == code, night.heard.lines


@pytest.mark.parametrize("fault", ["package-old", "html:g4day:status=403"])
def test_a_package_that_is_never_good_fails_only_until_newer_days_come(
    site: Site, days: list[date], fault: str
) -> None:
    refuse_for_good(site, days, fault)
    with site(download_days=20) as night:
        night.sandbox.faults.add(f"{fault}:nth=1")
        result = night.load(datasets=BARS_OF_DAYS)
        assert (result.exit_code, packages_asked(night)) == (0, 2), night.heard.lines
        name = f"{days[-3]:%Y%m%d}.zip"
        assert [name in text for text in result.warnings] == [True]
        assert night.rows(LATE.format(days[-3])) == [(0,)]
        assert night.rows(LATE.format(days[-1])) != [(0,)]
        night.sandbox.faults.clear()
        assert night.load(datasets=BARS_OF_DAYS).exit_code == 0
        assert night.rows(LATE.format(days[-3])) != [(0,)]


def test_a_refused_package_lacks_nothing_once_the_history_is_unzipped(
    site: Site, days: list[date], folder: ClientFolder
) -> None:
    refuse_for_good(site, days, "cut:g4day")
    folder.write()
    with site(download_days=20) as night:
        night.sandbox.faults.add("cut:g4day")
        assert night.load(datasets=BARS_OF_DAYS).exit_code == 0, night.heard.lines
        assert packages_asked(night) == 0
        assert night.rows(LATE.format(days[-3])) != [(0,)]


def test_a_package_with_fewer_codes_is_taken_once_its_loss_is_accepted(
    site: Site, days: list[date]
) -> None:
    refuse_for_good(site, days, "package-part")
    with site(download_days=20) as night:
        night.sandbox.faults.add("package-part:nth=1")
        accepted = night.load(datasets=("codes",), accept_loss=True)
        assert accepted.exit_code == 0, night.heard.lines
        again = night.load(datasets=BARS_OF_DAYS)
        assert (again.exit_code, again.warnings) == (0, ()), night.heard.lines
        assert packages_asked(night) == 2
        [(lacking,)], [(whole,)] = (night.rows(LATE.format(days[n])) for n in (-3, -1))
        assert 0 < lacking < whole


def test_a_bad_package_that_was_saved_by_hand_fails_until_it_is_deleted(
    site: Site, folder: ClientFolder, days: list[date]
) -> None:
    with site(days[-2], download_days=20) as before:
        assert before.load(datasets=BARS_OF_DAYS).exit_code == 0
    place = folder.path / f"g4day/{days[-1]:%Y%m%d}.zip"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(b"PK")
    with site(download_days=20) as night:
        [failure] = failures(night.load(datasets=BARS_OF_DAYS)).values()
        assert f"delete {place}" in failure
        place.unlink()
        assert night.load(datasets=BARS_OF_DAYS).exit_code == 0


def test_events_that_were_saved_by_hand_are_read_once(
    site: Site, folder: ClientFolder, whole: Callable[[Bench], list[Any]]
) -> None:
    with site() as night:
        night.sandbox.faults.add("html:gbbq:status=200")
        [failure] = failures(night.load(datasets=DATASETS)).values()
        place = folder.path / "gbbq.zip"
        assert str(place) in failure
        place.write_bytes(httpx.get(f"{night.settings.tdx.download_url}/dbf/gbbq.zip").content)
        assert b"html" in place.read_bytes()
        assert f"delete {place}" in failures(night.load(datasets=DATASETS))["codes"]
        night.sandbox.faults.clear()
        place.write_bytes(httpx.get(f"{night.settings.tdx.download_url}/dbf/gbbq.zip").content)
        night.sandbox.faults.add("html:gbbq:status=200")
        assert night.load(datasets=DATASETS).exit_code == 0, night.heard.lines
        assert not place.exists()
        rows = read_tables(night)
        assert rows == whole(night)


@pytest.mark.parametrize(("status", "count"), [(200, 2), (502, 1)])
def test_packages_that_cannot_be_had_hold_back_no_other(
    site: Site, days: list[date], status: int, count: int
) -> None:
    query = "select distinct trade_date from raw_tdx.kline_daily order by 1 desc limit 3"
    with site(days[-4]) as before:
        assert before.load(datasets=DATASETS).exit_code == 0
    with site() as night:
        night.sandbox.faults.add(f"html:g4day:status={status}:first={count}")
        result = night.load(datasets=DATASETS)
        assert result.exit_code == 6
        landed = [*days[-3 + count :], days[-4]]
        assert {day for (day,) in night.rows(query)} >= {*landed}
        [failure] = failures(result).values()
        assert all(f"{day:%Y%m%d}.zip" in failure for day in days[-3 : -3 + count])
        assert night.load(datasets=DATASETS).exit_code == 0, night.heard.lines
        assert night.rows(query)[-1] == (days[-3],)


def test_packages_have_the_first_trading_day_of_a_year(site: Site) -> None:
    first = date(2027, 1, 4)
    market = SyntheticMarket(codes=6, days=40, seed=3, end=first)
    day = max(day for day in market.days if day < first)
    while day <= first:  # holidays too, which nobody has announced yet
        with site(day, market=market) as made:
            assert made.load(datasets=DATASETS).exit_code == 0, made.heard.lines
        day += timedelta(days=1)
    assert made.rows("select max(trade_date) from raw_tdx.kline_daily") == [(first,)]


def test_a_package_that_is_late_hides_behind_no_unannounced_day(site: Site) -> None:
    first = date(2027, 1, 4)
    market = SyntheticMarket(codes=6, days=40, seed=3, end=first)
    *_, before, last = (day for day in market.days if day < first)
    with site(before, market=market) as made:
        assert made.load(datasets=DATASETS).exit_code == 0
    with site(last + timedelta(days=1), market=market) as made:
        made.sandbox.faults.add("package-missing")
        assert made.load(datasets=DATASETS).exit_code == 6


def test_a_folder_that_another_home_downloads_into_is_left_alone(
    site: Site, folder: ClientFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site() as made:
        with lock.hold(folder.path, is_folder=True), monkeypatch.context() as patched:
            patched.setattr(packages, "PATIENCE", 0.0)
            assert made.load(datasets=DATASETS).exit_code == 75
        assert packages_asked(made) == 0
        assert made.load(datasets=DATASETS).exit_code == 0, made.heard.lines


def test_a_day_without_a_package_is_filled_in_when_it_comes(
    site: Site, whole: Callable[[Bench], list[Any]]
) -> None:
    with site() as made:
        made.sandbox.faults.add("package-missing:nth=30")
        made.sandbox.faults.add("package-missing:nth=40")
        result = made.load(datasets=DATASETS)
        assert result.exit_code == 0, made.heard.lines
        made.sandbox.faults.clear()
        assert made.load(datasets=DATASETS).exit_code == 0, made.heard.lines
        rows = read_tables(made)
        assert rows == whole(made)


def test_packages_continue_the_vendor_s_history(
    site: Site, folder: ClientFolder, days: list[date], whole: Callable[[Bench], list[Any]]
) -> None:
    folder.write(days[-6])
    with site(download_days=2) as made:
        assert made.load(datasets=DATASETS).exit_code == 0, made.heard.lines
        assert packages_asked(made) == 5
        rows = read_tables(made)
        assert rows == whole(made)


def test_a_kill_while_files_are_written_costs_nothing(
    site: Site, folder: ClientFolder, small_market: SyntheticMarket, days: list[date]
) -> None:
    with site(days[-2]) as before:
        assert before.load(datasets=DATASETS).exit_code == 0
    parts = {path: path.read_bytes() for path in (folder.path / "vipdoc").rglob("*.day")}
    with site() as night:
        assert night.load(datasets=DATASETS).exit_code == 0
        rows = read_tables(night)
        for number, (path, content) in enumerate(sorted(parts.items())):
            cut = (0, RECORD // 2, RECORD)[number % 3] if path.name != "sh000001.day" else 0
            grown = path.read_bytes()
            path.write_bytes(grown[: len(content) + cut])
        assert night.load(datasets=DATASETS).exit_code == 0, night.heard.lines
        assert read_tables(night) == rows


def test_a_package_put_into_the_folder_by_hand_is_read(
    site: Site, folder: ClientFolder, small_market: SyntheticMarket, days: list[date]
) -> None:
    with site(days[-2]) as before:
        assert before.load(datasets=DATASETS).exit_code == 0
    place = folder.path / f"g4day/{days[-1]:%Y%m%d}.zip"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(day_package(small_market, days[-1], days[-1]))
    with site() as night:
        night.sandbox.faults.add("html:g4day:status=200")
        assert night.load(datasets=DATASETS).exit_code == 0, night.heard.lines
        assert packages_asked(night) == 0


def test_without_the_site_an_empty_folder_is_an_outage(site: Site) -> None:
    with site() as gone:
        gone.sandbox.faults.add("reset")
        assert gone.load(datasets=DATASETS).exit_code == 4


def test_a_load_that_is_stopped_while_it_downloads_is_cancelled(site: Site) -> None:
    with site() as made:
        made.sandbox.faults.add("hang:g4day")
        assert made.load(datasets=DATASETS, on_start=Load.interrupt).status == "cancelled"


def test_the_folder_of_a_client_at_work_is_refused(site: Site, folder: ClientFolder) -> None:
    folder.write()
    (folder.path / "TdxW.exe").touch()
    with site() as refused:
        assert refused.load(datasets=DATASETS).exit_code == 3
