"""Day bars, codes and the calendar from the desktop client's folder.

The folder alone, and the folder before the service.
"""

import os
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.tdx.client_files import instrument_list
from loaders.sandbox.tdx.vipdoc_files import write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.files import vipdoc
from loaders.trading_time import SHANGHAI
from tests.integration.tdx_load.bench import CORE, Bench, Heard, settings_for
from tests.integration.tdx_load.conftest import OpenBench

CODE = "sh600000"
BARS = """
    select code, trade_date, open, high, low, close, volume, is_final
    from raw_tdx.kline_daily order by code, trade_date
"""
GAPS = "select code, trade_date, last_bar_date from raw_tdx.answer_gap order by 1, 2"
# files have points in cents
INDEX = """
    select code, trade_date, close / 10, volume from raw_tdx.index_kline
    where period = 'day' order by 1, 2
"""
MINUTES = (*CORE, "minute_1m")
MINUTES_BY_DAY = """
    select trade_date, count(*)::int, bool_and(is_final) from raw_tdx.kline_minute
    where code = %s group by 1 order by 1
"""
REFUSED = "select row_key, rule, is_withdrawn from raw_tdx.rejected_row order by 1, 2"


def write(
    market: SyntheticMarket, folder: Path, day: date, at: time = time(18), *, minutes: int = 1
) -> None:
    """The client's files as it leaves them on a day, with so many days of minutes."""
    until = datetime.combine(day, time(18))
    write_vipdoc(market, folder / "vipdoc", until=until, days=minutes)
    written = datetime.combine(day, at, SHANGHAI).timestamp()
    for file in (folder / "vipdoc").rglob("*.*"):
        os.utime(file, (written, written))


@pytest.fixture
def client(tmp_path: Path) -> Path:
    return tmp_path / "client"


@pytest.fixture
def open_folder(
    warehouse_dsn: str, tmp_path: Path, client: Path, small_market: SyntheticMarket
) -> Callable[..., Bench]:
    """A warehouse and nothing but the folder; the clock is that of the market's end, or given."""

    class Still:
        def __init__(self, clock: datetime) -> None:
            self.clock = clock

    def open_(clock: datetime | None = None, base_url: str | None = None) -> Bench:
        settings = settings_for("", warehouse_dsn, tmp_path, client=str(client), base_url=base_url)
        return Bench(Still(clock or small_market.end), settings, Heard())  # type: ignore[arg-type]

    return open_


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """The files of bars that are read, each with how many of its last records."""
    read, files = vipdoc.read, list[tuple[str, int | None]]()

    def counted(file: Path, *rest: Any, newest: int | None = None, **options: Any) -> vipdoc.File:
        files.append((file.name, newest))
        return read(file, *rest, newest=newest, **options)

    monkeypatch.setattr(vipdoc, "read", counted)
    return files


def test_a_folder_alone_gives_the_bars_of_the_service(
    open_folder: Callable[..., Bench],
    open_bench: OpenBench,
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
) -> None:
    write(small_market, client, days[-1])
    alone = open_folder()
    assert alone.load().exit_code == 0, alone.heard.lines
    bars, calendar = (
        alone.rows(BARS),
        alone.rows("select trade_date from raw_tdx.trading_day where source = 'client' order by 1"),
    )
    assert {row[0] for row in alone.rows("select source_route from raw_tdx.kline_daily")} == {
        "vipdoc/lday"
    }
    assert [row[0] for row in calendar] == days
    gaps, of_index = alone.rows(GAPS), alone.rows(INDEX)
    alone.execute("truncate raw_tdx.kline_daily, raw_tdx.answer_gap, raw_tdx.index_kline")

    with open_bench(small_market) as served:
        assert served.load(mode="init").exit_code == 0
        assert bars == served.rows(BARS)
        assert gaps == served.rows(GAPS)
        # of the folder every index, of the service those of the settings
        assert set(served.rows(INDEX)) < set(of_index)


def test_what_was_not_written_since_is_not_opened_and_of_what_grew_the_tail_is_read(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    opened: list[tuple[str, int | None]],
) -> None:
    write(small_market, client, days[-2])
    bench = open_folder(datetime.combine(days[-2], time(18)))
    assert bench.load().exit_code == 0
    before = bench.rows(BARS)
    opened.clear()
    again = bench.load()
    assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
    assert opened == [("sh000001.day", None)]  # the calendar

    opened.clear()
    write(small_market, client, days[-1])
    grown = open_folder().load()
    assert grown.exit_code == 0
    # what was written again and did not grow is read whole
    newest = [newest for name, newest in opened if name != "sh000001.day"]
    assert set(newest) <= {11, None}
    assert newest.count(11) > newest.count(None)
    after = open_folder().rows(BARS)
    assert [row for row in after if row[1] != days[-1]] == before
    assert {row[0] for row in after if row[1] == days[-1]}


def test_a_bar_written_in_the_session_is_provisional_until_the_file_is_written_again(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    newest = f"select is_final from raw_tdx.kline_daily where trade_date = '{days[-1]}'"
    write(small_market, client, days[-1], at=time(11))
    bench = open_folder()
    assert bench.load().exit_code == 0
    assert set(bench.rows(newest)) == {(False,)}
    write(small_market, client, days[-1], at=time(16))
    assert bench.load().exit_code == 0
    assert set(bench.rows(newest)) == {(True,)}


def test_of_a_file_with_an_early_time_the_last_bar_alone_is_provisional(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    file, early = client / f"vipdoc/sh/lday/{CODE}.day", datetime(2001, 1, 1, 12).timestamp()
    os.utime(file, (early, early))
    bench = open_folder()
    assert bench.load().exit_code == 0
    provisional = "select trade_date from raw_tdx.kline_daily where code = %s and not is_final"
    assert bench.rows(provisional, CODE) == [(days[-1],)]
    name = f"{CODE}.day was written on 2001-01-01, before its newest day {days[-1]}"
    assert any(name in line for line in bench.heard.lines)


def test_a_folder_that_was_copied_without_its_times_is_not_read_again(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    opened: list[tuple[str, int | None]],
) -> None:
    def load(day: date, at: time = time(18)) -> set[str]:
        write(small_market, client, day, at)
        opened.clear()
        assert open_folder().load(datasets=MINUTES).exit_code == 0
        return {name for name, _ in opened if name != "sh000001.day"}

    assert f"{CODE}.day" in load(days[-2])
    # of a file that grew the tail is read, and the sum over its bytes goes on
    assert f"{CODE}.day" in load(days[-1], time(11))
    # the last bar was provisional until now
    assert f"{CODE}.day" in load(days[-1], time(16))
    assert load(days[-1], time(17)) == set()
    assert load(days[-1], time(17)) == set()


def test_a_corrected_history_is_read_whole(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    opened: list[tuple[str, int | None]],
) -> None:
    write(small_market, client, days[-1])
    bench = open_folder()
    assert bench.load().exit_code == 0
    file = client / f"vipdoc/sh/lday/{CODE}.day"
    content = bytearray(file.read_bytes())
    for at in (0, len(content) - 32 * 3):  # long ago, and of late
        for name in range(1, 5):
            place = at + 4 * name
            price = int.from_bytes(content[place : place + 4], "little") + 1
            content[place : place + 4] = price.to_bytes(4, "little")
    file.write_bytes(content)
    opened.clear()
    result = bench.load()
    assert (result.exit_code, result.total("rows_changed")) == (0, 2)
    assert [newest for name, newest in opened if name == file.name] == [None]


def test_an_older_copy_of_a_file_is_read_once(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    opened: list[tuple[str, int | None]],
) -> None:
    write(small_market, client, days[-1])
    bench = open_folder()
    assert bench.load().exit_code == 0
    file = client / f"vipdoc/sh/lday/{CODE}.day"
    content = bytearray(file.read_bytes())
    content[-8:-4] = bytes(4)
    file.write_bytes(content)
    early = datetime.combine(days[-2], time(18), SHANGHAI).timestamp()
    os.utime(file, (early, early))
    for read in ([file.name], []):
        opened.clear()
        assert bench.load().exit_code == 0
        assert [name for name, _ in opened if name != "sh000001.day"] == read


@pytest.mark.parametrize("grown", [0, 1])
def test_history_that_is_added_before_the_first_day_of_a_file_lands(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    grown: int,
) -> None:
    write(small_market, client, days[-1])
    file = client / f"vipdoc/sh/lday/{CODE}.day"
    whole = file.read_bytes()
    file.write_bytes(whole[32 * 8 : len(whole) - 32 * grown])
    bench = open_folder()
    assert bench.load().exit_code == 0
    count = f"select count(*) from raw_tdx.kline_daily where code = '{CODE}'"
    assert bench.rows(count) == [(len(whole) // 32 - 8 - grown,)]
    file.write_bytes(whole)
    assert bench.load().exit_code == 0
    assert bench.rows(count) == [(len(whole) // 32,)]


@pytest.mark.parametrize("tail", [7, -9])
def test_a_tail_that_is_being_written_is_named_and_read_when_it_is_whole(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    tail: int,
) -> None:
    write(small_market, client, days[-1])
    file = client / f"vipdoc/sh/lday/{CODE}.day"
    whole = file.read_bytes()
    file.write_bytes(whole + bytes(tail) if tail > 0 else whole[:tail])
    bench = open_folder()
    assert bench.load().exit_code == 0
    assert any(f"{CODE}.day: " in line for line in bench.heard.lines)
    count = f"select count(*) from raw_tdx.kline_daily where code = '{CODE}'"
    assert bench.rows(count) == [((len(whole) + min(tail, 0)) // 32,)]
    file.write_bytes(whole)
    assert bench.load().exit_code == 0
    assert bench.rows(count) == [(len(whole) // 32,)]


def test_a_file_of_minutes_that_was_not_written_since_is_not_opened(
    open_folder: Callable[..., Bench],
    small_market: SyntheticMarket,
    days: list[date],
    client: Path,
    opened: list[tuple[str, int | None]],
) -> None:
    write(small_market, client, days[-1])
    bench = open_folder()
    assert bench.load(datasets=MINUTES).exit_code == 0
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-1], 240, True)]
    opened.clear()
    again = bench.load(datasets=MINUTES)
    assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
    assert opened == [("sh000001.day", None)]  # the calendar


def test_of_minutes_all_days_land_by_which_a_file_grew_however_many(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-6])
    bench = open_folder(datetime.combine(days[-6], time(18)))
    assert bench.load(datasets=MINUTES).exit_code == 0
    write(small_market, client, days[-1], minutes=6)
    bench = open_folder()
    assert bench.settings.tdx.minute_days < 5
    assert bench.load(datasets=MINUTES).exit_code == 0
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(day, 240, True) for day in days[-6:]]


def test_minutes_that_went_by_age_do_not_come_back_from_a_file_that_grew(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-2], minutes=5)
    bench = open_folder(datetime.combine(days[-2], time(18)))
    assert bench.load(datasets=MINUTES).exit_code == 0
    bench.execute(f"delete from raw_tdx.kline_minute where trade_date < '{days[-3]}'")
    file = client / f"vipdoc/sh/minline/{CODE}.lc1"
    before = file.read_bytes()
    write(small_market, client, days[-1], minutes=1)
    file.write_bytes(before + file.read_bytes())
    bench = open_folder()
    assert bench.load(datasets=MINUTES).exit_code == 0
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(day, 240, True) for day in days[-3:]]


def test_a_bad_file_of_minutes_of_which_nothing_is_due_is_named(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    bench = open_folder()
    assert bench.load(datasets=MINUTES).exit_code == 0
    file = client / f"vipdoc/sh/minline/{CODE}.lc1"
    file.write_bytes(b"\xff" * file.stat().st_size)
    assert bench.load(datasets=MINUTES).exit_code == 6
    assert any(f"{CODE}.lc1: 240 of 240 records are refused" in line for line in bench.heard.lines)


def test_a_file_of_minutes_that_was_cut_is_named_with_its_record(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    file = client / f"vipdoc/sh/minline/{CODE}.lc1"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    bench = open_folder()
    assert bench.load(datasets=MINUTES).exit_code == 0
    told = f"{CODE}.lc1: of record 240 only 23 bytes are there; the rest is read"
    assert any(told in line for line in bench.heard.lines)
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-1], 239, False)]
    file.write_bytes(whole)
    assert bench.load(datasets=MINUTES).exit_code == 0
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-1], 240, True)]


def test_minutes_of_a_file_whose_time_is_too_early_land(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1], at=time(8), minutes=2)
    bench = open_folder()
    assert bench.load(datasets=MINUTES).exit_code == 0
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-2], 240, True), (days[-1], 240, False)]


def test_bad_files_are_named_and_the_rest_lands(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    lday = client / "vipdoc/sz/lday"
    good = (lday / "sz000001.day").read_bytes()
    (lday / "sz000001.day").write_bytes(good + good[-64:])  # dates twice
    other = bytearray((lday / "sz000002.day").read_bytes())
    other[32 + 4 : 32 + 8] = bytes(4)  # a zero price
    other[64:68] = (20241345).to_bytes(4, "little")  # a date of no month
    (lday / "sz000002.day").write_bytes(other)
    late = bytearray((lday / "sz300001.day").read_bytes())
    late[64:68] = (20991231).to_bytes(4, "little")
    (lday / "sz300001.day").write_bytes(late)
    torn = bytearray((lday / "sz000003.day").read_bytes())
    for at in range(0, len(torn), 32 * 5):
        torn[at : at + 4] = bytes(4)
    (lday / "sz000003.day").write_bytes(torn)
    (lday / "sz300999.day").write_bytes(b"")
    (lday / "sh600999.day").write_bytes(good)
    (lday / "sz300998.day").write_bytes(bytes(range(256)) * 4)
    bench = open_folder()
    result = bench.load()
    assert result.exit_code == 6
    said = "\n".join(bench.heard.lines)
    assert "sh600999.day" in said
    assert "sz300999.day holds no bar" in said
    assert [*result.tasks[-1].failures, *(k for t in result.tasks for k in t.failures)].count(
        "sz300998"
    )
    keys = {key for key, *_ in bench.rows(REFUSED)}
    assert {"sz000002 20241345", f"sz000002 {days[1]}"} <= keys
    landed = {row[0] for row in bench.rows("select distinct code from raw_tdx.kline_daily")}
    assert {"sz000001", "sz000002", CODE} <= landed
    assert not {"sz300998", "sz000003"} & landed
    count = "select count(*) from raw_tdx.kline_daily where code = 'sz300001'"
    assert bench.rows(count) == [(len(late) // 32 - 1,)]


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_lands(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    unreadable = client / "vipdoc/sz"
    unreadable.rename(client / "sz")
    unreadable.symlink_to("sz")  # to itself
    bench = open_folder()
    result = bench.load()
    assert result.exit_code == 6
    [told] = [why for task in result.tasks for why in task.failures.values()]
    assert told.startswith(f"{unreadable} cannot be read: ")
    exchanges = "select distinct left(code, 2) from raw_tdx.kline_daily order by 1"
    assert ("sh",) in bench.rows(exchanges)
    assert ("sz",) not in bench.rows(exchanges)
    unreadable.unlink()
    (client / "sz").rename(unreadable)
    assert bench.load(retry=True).exit_code == 0
    assert ("sz",) in bench.rows(exchanges)


def test_a_file_that_lacks_stored_days_lands_nothing_and_an_older_one_is_no_fault(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    bench = open_folder()
    assert bench.load().exit_code == 0
    before = bench.rows(BARS)
    file = client / f"vipdoc/sh/lday/{CODE}.day"
    whole = file.read_bytes()
    file.write_bytes(whole[:-128] + whole[-32:])
    result = bench.load()
    assert result.exit_code == 6
    assert "lacks 3 stored days" in str(result.tasks)
    assert bench.rows(BARS) == before

    file.write_bytes(whole[: -32 * 5])
    assert bench.load().exit_code == 0
    assert any(f"{file.name} shrank" in line for line in bench.heard.lines)
    assert bench.rows(BARS) == before


def test_an_old_folder_is_stale_and_no_fault(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    bench = open_folder(datetime.combine(days[-1] + timedelta(days=40), time(18)))
    result = bench.load()
    assert result.exit_code == 0
    assert any("the client's folder is stale" in warning for warning in result.warnings)


def test_an_old_list_delists_no_code_that_has_newer_bars(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    newer, ended = "sz000001", "sz000002"
    file = client / f"vipdoc/sz/lday/{ended}.day"
    file.write_bytes(file.read_bytes()[: -32 * 10])
    whole, head, size = instrument_list(small_market, "sz"), 50, 314
    records = [whole[at : at + size] for at in range(head, len(whole), size)]
    named = [r for r in records if f"sz{r[:6].decode()}" not in (newer, ended)]
    assert len(named) == len(records) - 2
    szm = client / "T0002/hq_cache/szm.tnf"
    szm.parent.mkdir(parents=True)
    szm.write_bytes(whole[:head] + b"".join(named))
    bench = open_folder()
    for written, gone in ((days[-5], [ended]), (days[-1] + timedelta(days=1), [newer, ended])):
        at = datetime.combine(written, time(8), SHANGHAI).timestamp()
        os.utime(szm, (at, at))
        assert bench.load().exit_code == 0
        found = bench.rows("select code from raw_tdx.security where not is_listed order by 1")
        assert [code for (code,) in found] == gone


def test_a_bad_day_of_the_index_is_no_trading_day_for_good(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-1])
    file = client / "vipdoc/sh/lday/sh000001.day"
    whole = file.read_bytes()
    pause = timedelta(days=1)
    friday = next(at for at, day in enumerate(days) if day.weekday() == 4)
    holiday = next(
        at for at, day in enumerate(days[:-1]) if day.weekday() < 4 and days[at + 1] > day + pause
    )
    bad = whole
    for at in sorted((friday, holiday), reverse=True):
        day = f"{days[at] + pause:%Y%m%d}"
        record = int(day).to_bytes(4, "little") + whole[32 * at + 4 : 32 * (at + 1)]
        bad = bad[: 32 * (at + 1)] + record + bad[32 * (at + 1) :]
    file.write_bytes(bad)
    bench = open_folder()
    bench.load()
    known = "select trade_date from raw_tdx.trading_day where source = 'client' order by 1"
    found = [day for (day,) in bench.rows(known)]
    assert found == sorted([*days, days[holiday] + pause])
    file.write_bytes(whole)
    bench.load()
    assert [day for (day,) in bench.rows(known)] == days


def test_beside_a_service_that_is_down_the_files_bars_land(
    open_folder: Callable[..., Bench], small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-2])
    bench = open_folder(base_url="http://127.0.0.1:9")
    result = bench.load()
    assert result.exit_code == 6
    assert any("outage" in warning for warning in result.warnings), result.warnings
    of_code = f"select max(trade_date) from raw_tdx.kline_daily where code = '{CODE}'"
    assert bench.rows(of_code) == [(days[-2],)]
    # what was written since lands by the retry too, and the service's failure stays
    write(small_market, client, days[-1])
    assert bench.load(retry=True).exit_code == 6
    assert bench.rows(of_code) == [(days[-1],)]


def test_the_service_fills_what_files_lack(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-3])
    with open_bench(small_market, client=str(client)) as both:
        assert both.load().exit_code == 0
        routes = dict(
            both.rows(
                "select source_route, array_agg(distinct trade_date order by trade_date)"
                " from raw_tdx.kline_daily where code = %s group by 1",
                CODE,
            )
        )
        assert routes == {"vipdoc/lday": days[:-2], "/api/kline-all": days[-2:]}
        filled = both.rows(BARS)
        assert both.load().total("rows_new") == 0
    with open_bench(small_market) as served:
        served.execute("truncate raw_tdx.kline_daily")
        assert served.load(mode="init").exit_code == 0
        codes = {row[0] for row in served.rows("select code from raw_tdx.kline_daily")}
        assert [row for row in filled if row[0] in codes] == served.rows(BARS)


def test_where_file_and_service_disagree_the_files_day_stays_and_a_finding_tells(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date], client: Path
) -> None:
    write(small_market, client, days[-3])
    file = client / f"vipdoc/sh/lday/{CODE}.day"
    content = bytearray(file.read_bytes())
    for name in range(1, 5):
        place = len(content) - 32 + 4 * name
        price = int.from_bytes(content[place : place + 4], "little") + 1
        content[place : place + 4] = price.to_bytes(4, "little")
    file.write_bytes(content)
    close = int.from_bytes(content[-16:-12], "little") * 10
    with open_bench(small_market, client=str(client)) as both:
        assert both.load().exit_code == 0
        assert both.rows(
            "select close, source_route from raw_tdx.kline_daily "
            "where code = %s and trade_date = %s",
            *(CODE, days[-3]),
        ) == [(close, "vipdoc/lday")]
        [(value,)] = both.rows(
            "select value from raw_tdx.rejected_row "
            "where row_key = %s and not coalesce(is_withdrawn, false)",
            f"{CODE} {days[-3]}",
        )
        assert value.endswith(f"against {close}")
