"""Day bars, codes and the calendar from the desktop client's folder alone."""

import shutil
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest

from loaders.sandbox.tdx.client_files import instrument_list
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.check import check
from loaders.tdx.client.answers import EXCHANGES
from loaders.trading_time import SHANGHAI
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import CORE, Bench
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.folder import (
    BARS,
    CALENDAR_FILE,
    CODE,
    COUNT,
    MINUTES,
    RECORD,
    ClientFolder,
    cut_short,
    raise_prices,
    set_time,
)

Opened = list[tuple[str, int | None]]
GAPS = "select code, trade_date, last_bar_date from raw_tdx.answer_gap order by 1, 2"
# files have points in cents
INDEX = """
    select code, trade_date, close / 10, volume from raw_tdx.index_kline
    where period = 'day' order by 1, 2
"""
CALENDAR = "select trade_date from raw_tdx.trading_day where source = 'client' order by 1"


@pytest.mark.long
def test_a_folder_alone_gives_the_bars_of_the_service(
    folder: ClientFolder, open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    folder.exchanges = EXCHANGES
    folder.write()
    alone = folder.load(datasets=CORE)
    bars, calendar = alone.rows(BARS), alone.rows(CALENDAR)
    routes = alone.rows("select distinct source_route from raw_tdx.kline_daily")
    assert routes == [("vipdoc/lday",)]
    assert [row[0] for row in calendar] == days
    gaps, indices = alone.rows(GAPS), alone.rows(INDEX)
    alone.execute("truncate raw_tdx.kline_daily, raw_tdx.answer_gap, raw_tdx.index_kline")

    with open_bench(small_market) as served:
        assert served.load(mode="init").exit_code == 0
        assert bars == served.rows(BARS)
        assert gaps == served.rows(GAPS)
        # of the folder every index, of the service those of the settings
        assert set(served.rows(INDEX)) < set(indices)


@pytest.mark.long
def test_only_files_written_since_are_opened_and_a_grown_one_from_its_tail(
    folder: ClientFolder, days: list[date], opened: Opened
) -> None:
    folder.write(days[-2])
    bench = folder.load(days[-2])
    before = bench.rows(BARS)
    opened.clear()
    again = bench.load()
    assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
    assert opened == [(CALENDAR_FILE, None)]

    opened.clear()
    folder.write()
    grown = folder.load()
    # what was written again and did not grow is read whole
    newest = [newest for name, newest in opened if name != CALENDAR_FILE]
    assert set(newest) <= {11, None}
    assert newest.count(11) > newest.count(None)
    after = grown.rows(BARS)
    assert [row for row in after if row[1] != days[-1]] == before
    assert {row[0] for row in after if row[1] == days[-1]}


def test_a_bar_written_in_the_session_is_provisional_until_written_again(
    folder: ClientFolder, days: list[date]
) -> None:
    newest = f"select is_final from raw_tdx.kline_daily where trade_date = '{days[-1]}'"
    folder.write(at=time(11))
    assert set(folder.load().rows(newest)) == {(False,)}
    folder.write(at=time(16))
    assert set(folder.load().rows(newest)) == {(True,)}


def test_of_a_file_with_an_early_time_the_last_bar_alone_is_provisional(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write()
    set_time(folder.day_file(), date(2001, 1, 1), time(12))
    bench = folder.load()
    provisional = "select trade_date from raw_tdx.kline_daily where code = %s and not is_final"
    assert bench.rows(provisional, CODE) == [(days[-1],)]
    name = f"{CODE}.day was written on 2001-01-01, before its latest day {days[-1]}"
    assert any(name in line for line in bench.heard.lines)


@pytest.mark.long
def test_a_folder_that_was_copied_without_its_times_is_not_read_again(
    folder: ClientFolder, days: list[date], opened: Opened
) -> None:
    def load(day: date, at: time = time(18)) -> set[str]:
        folder.write(day, at)
        opened.clear()
        folder.load(datasets=MINUTES)
        return {name for name, _ in opened if name != CALENDAR_FILE}

    assert f"{CODE}.day" in load(days[-2])
    # of a file that grew the tail is read, and the sum over its bytes goes on
    assert f"{CODE}.day" in load(days[-1], time(11))
    # the last bar was provisional until now
    assert f"{CODE}.day" in load(days[-1], time(16))
    assert load(days[-1], time(17)) == set()
    assert load(days[-1], time(17)) == set()


def test_a_corrected_history_is_read_whole(folder: ClientFolder, opened: Opened) -> None:
    folder.write()
    bench, file = folder.load(), folder.day_file()
    content = bytearray(file.read_bytes())
    for record in (0, len(content) // RECORD - 3):  # long ago, and recently
        raise_prices(content, record)
    file.write_bytes(content)
    opened.clear()
    result = bench.load()
    assert (result.exit_code, result.total("rows_changed")) == (0, 2)
    assert [newest for name, newest in opened if name == file.name] == [None]


def test_an_older_copy_of_a_file_is_read_once(
    folder: ClientFolder, days: list[date], opened: Opened
) -> None:
    folder.write()
    bench, file = folder.load(), folder.day_file()
    content = bytearray(file.read_bytes())
    content[-8:-4] = bytes(4)
    file.write_bytes(content)
    set_time(file, days[-2])
    for read in ([file.name], []):
        opened.clear()
        assert bench.load().exit_code == 0
        assert [name for name, _ in opened if name != CALENDAR_FILE] == read


def load_whole_records(folder: ClientFolder, contents: dict[str, bytes]) -> Bench:
    """Write files of day bars and load them; each whole record of a file has landed."""
    for code, content in contents.items():
        folder.day_file(code).write_bytes(content)
    bench = folder.load()
    counts = dict(bench.rows("select code, count(*) from raw_tdx.kline_daily group by 1"))
    assert {code: counts[code] for code in contents} == {
        code: len(content) // RECORD for code, content in contents.items()
    }
    return bench


def test_files_that_lack_their_first_days_or_the_end_of_their_last_are_read_when_whole(
    folder: ClientFolder,
) -> None:
    folder.write()
    added, grown, longer, shorter = CODE, "sh600002", "sh600003", "sh600004"
    whole = {code: folder.day_file(code).read_bytes() for code in (added, grown, longer, shorter)}
    parts = {
        added: whole[added][RECORD * 8 :],
        grown: whole[grown][RECORD * 8 : -RECORD],
        # the last record is being written
        longer: whole[longer] + bytes(7),
        shorter: whole[shorter][:-9],
    }
    bench = load_whole_records(folder, parts)
    for code in (longer, shorter):
        assert any(f"{code}.day: " in line for line in bench.heard.lines)

    load_whole_records(folder, whole)


def test_a_real_download_loads_without_an_index(folder: ClientFolder) -> None:
    case = shared_folder("cases/tdx/23-vendor-zip-layout") / "hsjday"
    shutil.copytree(case, folder.path / "vipdoc")
    bench = folder.bench()
    result = bench.load(datasets=CORE, clock=datetime(2026, 11, 26, 4, tzinfo=UTC))
    assert result.exit_code == 0, bench.heard.lines
    [file] = case.rglob("*.day")
    counts = bench.rows("select code, count(*) from raw_tdx.kline_daily group by 1")
    assert counts == [("sh600519", file.stat().st_size // RECORD)]
    assert bench.rows("select 1 from raw_tdx.index_kline") == []


def test_bad_files_are_named_and_the_rest_lands(folder: ClientFolder, days: list[date]) -> None:
    folder.exchanges = EXCHANGES
    folder.write()
    good = folder.day_file("sz000001").read_bytes()
    folder.day_file("sz000001").write_bytes(good + good[-64:])  # dates twice
    other = bytearray(folder.day_file("sz000002").read_bytes())
    other[32 + 4 : 32 + 8] = bytes(4)  # a zero price
    other[64:68] = (20241345).to_bytes(4, "little")  # a date of no month
    folder.day_file("sz000002").write_bytes(other)
    late = bytearray(folder.day_file("sz300001").read_bytes())
    late[64:68] = (20991231).to_bytes(4, "little")
    folder.day_file("sz300001").write_bytes(late)
    torn = bytearray(folder.day_file("sz000003").read_bytes())
    for at in range(0, len(torn), RECORD * 5):
        torn[at : at + 4] = bytes(4)
    folder.day_file("sz000003").write_bytes(torn)
    lday = folder.day_file("sz000001").parent
    (lday / "sz300999.day").write_bytes(b"")
    (lday / "sz300998.day").write_bytes(Random(1).randbytes(len(good)))
    bench = folder.bench()
    result = bench.load()
    assert result.exit_code == 6
    said = "\n".join(bench.heard.lines)
    assert "sz300999.day has no bars" in said
    assert any("sz300998" in task.failures for task in result.tasks)
    keys = {key for (key,) in bench.rows("select row_key from raw_tdx.rejected_row")}
    assert {"sz000002 20241345", f"sz000002 {days[1]}"} <= keys
    # a file's records have one route, by which they become one finding
    by_file = (
        "select source_route, count(*) from raw_tdx.rejected_row where row_key ~ %s group by 1"
    )
    [(route, count)] = bench.rows(by_file, "^sz300998 ")
    assert (route, count) == ("vipdoc/lday/sz300998.day", len(good) // RECORD)
    landed = {row[0] for row in bench.rows("select distinct code from raw_tdx.kline_daily")}
    assert {"sz000001", "sz000002", CODE} <= landed
    assert not {"sz300998", "sz000003"} & landed
    count = "select count(*) from raw_tdx.kline_daily where code = 'sz300001'"
    assert bench.rows(count) == [(len(late) // RECORD - 1,)]


def test_misplaced_and_repeated_records_cost_no_day_and_hide_no_stale_folder(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write()
    file, index = folder.day_file(), folder.day_file("sh000001")
    whole = file.read_bytes()
    records = [whole[at : at + RECORD] for at in range(0, len(whole), RECORD)]
    file.write_bytes(b"".join([*records[:5], records[-1], *records[5:-1], records[7]]))
    late = int(f"{days[-1].year + 1}1202").to_bytes(4, "little") + index.read_bytes()[-28:]
    index.write_bytes(index.read_bytes() + late)
    bench = folder.load()
    assert bench.rows(COUNT) == [(len(records),)]
    assert any(f"{CODE}.day: record 7 is the first" in line for line in bench.heard.lines)
    # of the older record that is added the whole file is read, and only its place is new
    file.write_bytes(file.read_bytes() + records[3])
    assert folder.load().rows(COUNT) == [(len(records),)]

    later = datetime.combine(days[-1] + timedelta(days=40), time(18), SHANGHAI)
    checked = check(bench.settings, later)
    assert checked.figures["newest_day"] == days[-1]
    assert [text for text in checked.figures["warnings"] if str(days[-1]) in text]


def test_an_old_folder_is_stale_and_no_fault(folder: ClientFolder, days: list[date]) -> None:
    folder.write()
    result = folder.bench(days[-1] + timedelta(days=40)).load()
    assert result.exit_code == 0
    assert any("the client's folder is stale" in warning for warning in result.warnings)


@pytest.mark.long
def test_an_old_list_delists_no_code_that_has_newer_bars(
    folder: ClientFolder, small_market: SyntheticMarket, days: list[date]
) -> None:
    folder.exchanges = EXCHANGES
    folder.write()
    newer, ended = "sz000001", "sz000002"
    file = folder.day_file(ended)
    file.write_bytes(file.read_bytes()[: -RECORD * 10])
    whole, head, size = instrument_list(small_market, "sz"), 50, 360
    records = [whole[at : at + size] for at in range(head, len(whole), size)]
    named = [r for r in records if f"sz{r[:6].decode()}" not in (newer, ended)]
    assert len(named) == len(records) - 2
    szs = folder.path / "T0002/hq_cache/szs.tnf"
    szs.parent.mkdir(parents=True)
    szs.write_bytes(whole[:head] + b"".join(named))
    delisted = "select code from raw_tdx.security where not is_listed order by 1"
    for written, gone in ((days[-5], [ended]), (days[-1] + timedelta(days=1), [newer, ended])):
        set_time(szs, written, time(8))
        bench = folder.load(max(written, days[-1]))
        assert [code for (code,) in bench.rows(delisted)] == gone

    # a list that cannot be read is a failure and lists nothing again; nor does none
    cut_short(szs, 0.9)
    bench = folder.bench(written)
    result = bench.load()
    assert result.exit_code == 6
    [failure] = [why for task in result.tasks for why in task.failures.values()]
    assert "download it again" in failure
    assert "the listed codes of sz do not change" in failure
    assert [code for (code,) in bench.rows(delisted)] == [newer, ended]
    szs.unlink()
    assert [code for (code,) in folder.load(written).rows(delisted)] == [newer, ended]


def test_a_bad_day_of_the_index_is_no_trading_day(folder: ClientFolder, days: list[date]) -> None:
    """One stray record on a holiday was a day on which all codes lacked a bar."""
    folder.write()
    index = folder.day_file("sh000001")
    whole = {file: file.read_bytes() for file in index.parent.iterdir()}
    saturday = next(day for day in days if day.weekday() == 4) + timedelta(days=1)
    weekdays = (days[0] + timedelta(days=n) for n in range(60))
    holiday = next(day for day in weekdays if day.weekday() < 5 and day not in days)
    bench = folder.bench()
    for bad, known in (({index}, days), ({*whole}, sorted([*days, holiday])), (set(), days)):
        for file, content in whole.items():
            stray = [int(f"{day:%Y%m%d}").to_bytes(4, "little") for day in (saturday, holiday)]
            added = b"".join(day + content[4:RECORD] for day in stray if file in bad)
            file.write_bytes(content + added)
        bench.load()
        assert [day for (day,) in bench.rows(CALENDAR)] == known
