"""Minutes from the desktop client's folder alone."""

from collections.abc import Sequence
from datetime import date, time
from typing import Any

import numpy as np
import psycopg
import pytest

from loaders.sandbox.tdx.vipdoc_files import _MINUTE as MINUTE
from loaders.tdx.bars import minute_days
from loaders.tdx.bars.minute_days import Wanted
from loaders.trading_time import close_of
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.folder import CALENDAR_FILE, CODE, MINUTES, ClientFolder

MINUTES_BY_DAY = """
    select trade_date, count(*)::int, bool_and(is_final) from raw_tdx.kline_minute
    where code = %s group by 1 order by 1
"""


def test_of_a_file_of_minutes_that_was_not_written_since_nothing_is_read(
    folder: ClientFolder,
    days: list[date],
    opened: list[tuple[str, int | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.write()
    bench = folder.load(datasets=MINUTES)
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-1], 240, True)]
    with bench.connect() as conn:
        due = minute_days.wanted(conn, [CODE], days[-1:], period="minute1", again=False)
    assert due == {CODE: Wanted(newest=days[-1])}

    wanted, asked = minute_days.wanted, list[str]()

    def counted(conn: psycopg.Connection, codes: Sequence[str], *rest: Any, **how: Any) -> Any:
        asked.extend(codes)
        return wanted(conn, codes, *rest, **how)

    monkeypatch.setattr(minute_days, "wanted", counted)
    opened.clear()
    again = bench.load(datasets=MINUTES)
    assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
    assert (opened, asked) == ([(CALENDAR_FILE, None)], [])
    folder.minute_file().touch()
    bench.load(datasets=MINUTES)
    assert asked == [CODE]


@pytest.mark.long
def test_of_minutes_all_days_land_by_which_a_file_grew_however_many(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write(days[-6])
    folder.load(days[-6], datasets=MINUTES)
    folder.write(minutes=6)
    bench = folder.load(datasets=MINUTES)
    assert bench.settings.tdx.minute_days < 5
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(day, 240, True) for day in days[-6:]]


@pytest.mark.long
def test_minutes_that_went_by_age_do_not_come_back_from_a_file_that_grew(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write(days[-2], minutes=5)
    bench = folder.load(days[-2], datasets=MINUTES)
    bench.execute(f"delete from raw_tdx.kline_minute where trade_date < '{days[-3]}'")
    file = folder.minute_file()
    before = file.read_bytes()
    folder.write(minutes=1)
    file.write_bytes(before + file.read_bytes())
    bench = folder.load(datasets=MINUTES)
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(day, 240, True) for day in days[-3:]]


@pytest.mark.long
def test_a_bad_or_lost_file_of_minutes_is_named_although_nothing_is_due(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write()
    bench, file = folder.load(datasets=MINUTES), folder.minute_file()
    file.write_bytes(b"\xff" * file.stat().st_size)
    assert bench.load(datasets=MINUTES).exit_code == 6
    assert any(f"{CODE}.lc1: 240 of 240 " in line for line in bench.heard.lines)

    # a file that is gone is named once, and its minutes stay
    file.unlink()
    result = bench.load(datasets=MINUTES)
    [warning] = [text for text in result.warnings if "vipdoc/sh/minline" in text]
    assert "lacks 1 of " in warning
    assert bench.load(datasets=MINUTES).exit_code == 0
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-1], 240, True)]


def test_minutes_of_a_file_whose_time_is_too_early_land(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write(at=time(8), minutes=2)
    bench = folder.load(datasets=MINUTES)
    assert bench.rows(MINUTES_BY_DAY, CODE) == [(days[-2], 240, True), (days[-1], 240, False)]


def test_a_minute_of_all_codes_is_found_by_an_index(market_bench: Bench) -> None:
    market_bench.execute(
        "insert into raw_tdx.kline_minute (code, bar_end, trade_date, source_label, open, high, "
        "low, close, volume, fetched_at, is_final, route_no, file_no) "
        "select 'sh60' || n, d + m * interval '1 minute', d, '', 1, 1, 1, 1, 1, d, true, 1, 1 "
        "from generate_series(1000, 1099) as n, generate_series(1, 60) as m, "
        "generate_series(date '2025-01-06', '2025-01-10', '1 day') as d; "
        "analyze raw_tdx.kline_minute"
    )
    minute = "select * from raw_tdx.kline_minute where bar_end = '2025-01-10 01:00+00'"
    assert len(market_bench.rows(minute)) == 100
    plan = "\n".join(line for (line,) in market_bench.rows(f"explain {minute}"))
    assert "kline_minute_trade_date_bar_end_idx" in plan


@pytest.mark.parametrize("period", ["minute1", "minute5"])
def test_due_days_of_minutes_are_found_without_reading_a_row(
    market_bench: Bench, period: str
) -> None:
    landed = minute_days._LANDED[period]
    with market_bench.connect() as conn:
        conn.execute("set enable_seqscan = off")
        values = {"codes": [CODE], "ends": [close_of(date(2025, 1, 10))]}
        plan = conn.execute(
            b"explain " + minute_days._ending_query(conn, landed), values
        ).fetchall()
    assert f"Index Only Scan using {landed.table.name}_code_bar_end_idx" in str(plan)


def test_minutes_that_the_client_was_writing_are_whole_in_the_next_load(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write(days[-2], minutes=2)
    folder.load(days[-2], datasets=MINUTES)
    file = folder.minute_file()
    before = file.read_bytes()
    folder.write(minutes=1)
    added = file.read_bytes()

    file.write_bytes(before + added[:-9])
    bench = folder.load(datasets=MINUTES)
    whole = [(day, 240, True) for day in days[-3:-1]]
    assert bench.rows(MINUTES_BY_DAY, CODE) == [*whole, (days[-1], 239, False)]
    file.write_bytes(before + added)
    bench = folder.load(datasets=MINUTES)
    assert bench.rows(MINUTES_BY_DAY, CODE) == [*whole, (days[-1], 240, True)]

    # what was read before is known: a minute corrected there lands
    high = "select high from raw_tdx.kline_minute where code = %s order by bar_end limit 1"
    [(high_before,)] = bench.rows(high, CODE)
    bars = np.frombuffer(file.read_bytes(), MINUTE).copy()
    bars["high"][0] += 0.05
    file.write_bytes(bars.tobytes())
    corrected = bench.load(datasets=MINUTES)
    assert (corrected.total("rows_new"), corrected.total("rows_changed")) == (0, 1)
    assert bench.rows(high, CODE) == [(high_before + 50,)]
