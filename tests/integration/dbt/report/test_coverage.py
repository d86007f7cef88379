"""Grids of stored and expected rows."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from loaders.settings import load_settings
from orchestration.checks.status import Status
from orchestration.report import coverage
from orchestration.report.grid import MOST_COLUMNS, MOST_LINES, WORST, Grid
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt import raw
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.option_days import AAPL, FRIDAY, MONDAY, OPTION_DAYS, TUESDAY
from tests.integration.dbt.raw_options import Session

pytestmark = MODELS

DAYS = raw.weekdays(date(2024, 1, 2), 30)
EVENING = datetime(2024, 2, 12, 12, tzinfo=UTC)
ReadGrids = Callable[..., dict[str, Grid]]


@pytest.fixture
def read_grids(conn: psycopg.Connection, warehouse: Warehouse, tmp_path: Path) -> ReadGrids:
    """Read the grids by key; `environ` are more settings."""

    def read(
        due: dict[str, date], since: date = DAYS[0], as_of: datetime = EVENING, **environ: str
    ) -> dict[str, Grid]:
        settings = load_settings({"QUOTEMILL_HOME": str(tmp_path), **environ}, cwd=tmp_path)
        sources = {"chain_snapshot": "ib", "ticks": "tq"}
        freshness = [
            {"dataset": name, "source": sources.get(name, "tdx"), "expected_date": day}
            for name, day in due.items()
        ]
        state = Status({}, [], freshness, [], [])
        conn.execute("select set_config('quotemill.as_of', %s, false)", (as_of.isoformat(),))
        grids = coverage.grids(conn, warehouse, settings, since, as_of, state)
        assert state.problems == []
        return {grid.key: grid for grid in grids}

    return read


def land_bars(conn: psycopg.Connection, days_of: dict[str, list[date]], days: list[date]) -> None:
    raw.land(conn, "security", [raw.security(code) for code in days_of])
    raw.land(conn, "trading_day", [raw.trading_day(day) for day in days])
    bars = [raw.bar(code, day, "10") for code, traded in days_of.items() for day in traded]
    raw.land(conn, "kline_daily", bars)


SHARES = (
    "run",
    "--select",
    "int_listings__dated",
    "symbol_dim",
    "trading_calendar",
    "int_market_day__latest",
)


def test_gaps_are_missing_but_not_suspensions_or_days_before_a_listing(
    dbt: Dbt, conn: psycopg.Connection, read_grids: ReadGrids
) -> None:
    days_of = {
        "sh600000": DAYS,
        "sh600001": [*DAYS[:4], *DAYS[6:]],  # two days are missing
        "sh600002": [*DAYS[:10], *DAYS[15:]],  # five days without trade, as an answer showed
        "sh600003": DAYS[20:],  # listed late
        "sh600004": DAYS[:12],  # no bar for more than ten days
        "sh600005": DAYS[:-3],  # three days behind
        "sh600006": [*DAYS[:10], *DAYS[11:], DAYS[3] + timedelta(1)],  # a Saturday for a day
    }
    land_bars(conn, days_of, DAYS)
    gap = {"code": "sh600002", "trade_date": DAYS[15], "last_bar_date": DAYS[9]}
    raw.land(conn, "answer_gap", [gap])
    dbt(*SHARES)

    grid = read_grids({"kline_daily": DAYS[-1]})["day-bars"]

    counts = {line.name: (line.wanted, line.there) for line in grid.lines}
    assert counts == {
        "sh600000": (30, 30),
        "sh600001": (30, 28),
        "sh600002": (25, 25),
        "sh600003": (10, 10),
        "sh600004": (12, 12),
        "sh600005": (30, 27),
        "sh600006": (30, 29),
    }
    assert [(w.name, w.wanted - w.there, w.since) for w in grid.worst] == [
        ("sh600005", 3, f"{DAYS[-3]}"),
        ("sh600001", 2, f"{DAYS[4]}"),
        ("sh600006", 1, f"{DAYS[10]}"),
    ]
    assert grid.columns == tuple(map(str, DAYS))
    assert grid.lines[1].cells[3:7] == ((1, 1), (1, 0), (1, 0), (1, 1))


def test_a_day_without_any_row_is_missing_for_all_codes(
    dbt: Dbt, conn: psycopg.Connection, read_grids: ReadGrids
) -> None:
    land_bars(conn, {"sh600000": DAYS[:-1], "sz000001": DAYS[:-1]}, DAYS[:-1])
    published = [raw.trading_day(day, "exchange_calendar") for day in DAYS]
    raw.land(conn, "trading_day", published)
    dbt(*SHARES)

    grid = read_grids({"kline_daily": DAYS[-1]})["day-bars"]

    assert [line.cells[-2:] for line in grid.lines] == [((1, 1), (1, 0))] * 2


def test_a_large_market_is_binned_and_counts_every_bar(
    dbt: Dbt, conn: psycopg.Connection, read_grids: ReadGrids
) -> None:
    days = raw.weekdays(date(2023, 1, 2), 250)
    codes = [f"sh60{n:04}" for n in range(130)]
    lacking = {code: days[: n + 100] + days[n + 101 :] for n, code in enumerate(codes[::7])}
    land_bars(conn, {code: lacking.get(code, days) for code in codes}, days)
    dbt(*SHARES)

    grid = read_grids({"kline_daily": days[-1]}, days[0])["day-bars"]

    [(bars,)] = conn.execute("select count(*) from market.kline_daily")
    assert (grid.there, grid.wanted) == (bars, 130 * 250)
    assert (len(grid.lines), len(grid.columns)) == (MOST_LINES, MOST_COLUMNS)
    assert grid.lines[0].name == "sh600000 … sh600002"
    assert len(grid.worst) == WORST
    assert {worst.name for worst in grid.worst} <= set(lacking)


def test_minutes_and_ticks_are_wanted_where_a_code_traded(
    dbt: Dbt, conn: psycopg.Connection, read_grids: ReadGrids
) -> None:
    days = DAYS[:4]
    land_bars(conn, {"sh600000": days, "sz000001": days}, days)
    quiet = raw.bar("sz000001", days[1], "10", volume=0, amount=0)
    raw.land(conn, "kline_daily", [quiet])
    held = {"sh600000": days, "sz000001": [days[0], days[3]]}
    minutes = [
        raw.minute(code, end, "10")
        for code, traded in held.items()
        for day in traded
        for end in raw.session_minutes(day)
        if (code, day, end.hour) != ("sh600000", days[2], 4)  # 12:01 to 13:00: none
    ]
    without_morning = [
        m
        for m in minutes
        if (m["code"], m["trade_date"]) != ("sh600000", days[2]) or str(m["source_label"]) > "13:00"
    ]
    raw.land(conn, "kline_minute", without_morning)
    ticks = [
        {
            "code": "sh600000",
            "trade_date": day,
            "ordinal": 1,
            "traded_at": datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=2),
            "price": 10_000,
            "volume": 1000,
            "side": 0,
            "order_count": 0,
        }
        for day in (days[0], days[3])
    ]
    raw.land(conn, "tick_trade", ticks)
    minute_days = ("kline_5m", "kline_30m", "int_minutes__days")
    dbt("run", "--select", *SHARES[2:], *minute_days, "int_ticks__days")

    due = dict.fromkeys(("kline_daily", "minute_1m", "tick_trade"), days[-1])
    by_key = read_grids(due)

    # of 600000 a morning lacks; 000001 traded on three of four days, and one of them has no minute
    assert [line.cells for line in by_key["minutes"].lines] == [
        ((8, 8), (8, 8), (8, 4), (8, 8)),
        ((8, 8), (0, 0), (8, 0), (8, 8)),
    ]
    assert [line.cells for line in by_key["trades"].lines] == [((1, 1), (1, 0), (1, 0), (1, 1))]


@OPTION_DAYS
def test_contracts_by_slots_and_symbols_by_sessions(
    conn: psycopg.Connection, read_grids: ReadGrids
) -> None:
    FRIDAY.land(conn, AAPL, 102)
    [gone] = conn.execute(
        "delete from raw_ib.chain_snapshot where trade_date = %s and slot_30m = 3 and conid = "
        "(select min(conid) from raw_ib.contract where symbol = 'AAPL') returning conid",
        (FRIDAY.day,),
    ).fetchall()
    conn.execute(
        "update raw_ib.chain_snapshot set snapshot_error = true where trade_date = %s "
        "and slot_30m = 7 and symbol = 'AAPL'",
        (FRIDAY.day,),
    )

    as_of = FRIDAY.at(FRIDAY.slots)
    by_key = read_grids({"chain_snapshot": FRIDAY.day}, TUESDAY.day, as_of)

    grid = by_key["contracts"]
    named = dict(conn.execute("select local_symbol, conid from raw_ib.contract").fetchall())
    lines = {named.get(line.name, line.name): line for line in grid.lines}
    assert len(grid.columns) == 14 + 14 + 8
    assert grid.columns[-1] == f"{FRIDAY.at(7).astimezone(Session.ZONE):%m-%d} 13:00"
    friday = lines[gone[0]].cells[-8:]
    assert friday == ((1, 1), (1, 1), (1, 1), (1, 0), (1, 1), (1, 1), (1, 1), (1, 0))
    assert grid.wanted - grid.there == 1 + len(AAPL)
    assert {line.wanted for line in grid.lines} == {36, 14}  # BRK B has Tuesday alone
    by_day = by_key["symbols"]
    [(wanted, there)] = conn.execute(
        "select sum(slot_count), sum(covered_slot_count) from qa.qa_option_day"
    )
    assert (by_day.wanted, by_day.there) == (wanted, there)
    assert MONDAY.day not in by_day.columns


@OPTION_DAYS
def test_unwanted_slots_have_no_column(conn: psycopg.Connection, read_grids: ReadGrids) -> None:
    as_of = TUESDAY.at(20)
    grid = read_grids(
        {"chain_snapshot": TUESDAY.day}, TUESDAY.day, as_of, QUOTEMILL_IB__SLOT_RANGE="10:00-11:00"
    )["contracts"]
    assert [column[-5:] for column in grid.columns] == ["10:00", "10:30", "11:00"]


def test_varieties_by_days(conn: psycopg.Connection, read_grids: ReadGrids) -> None:
    # the two views, as tables of a test: what they say is tested where they are built
    conn.execute("drop view futures.tick_coverage cascade")
    conn.execute(
        "create table futures.tick_coverage (variety text, trading_day date, coverage text)"
    )
    rows = {"SHFE.cu": ["complete", "to_restamp", "missing"], "DCE.m": ["no_data", "complete"]}
    for variety, states in rows.items():
        for day, state in zip(DAYS, states, strict=False):
            conn.execute(
                "insert into futures.tick_coverage values (%s, %s, %s)", (variety, day, state)
            )
            conn.execute(
                "insert into futures.main_schedule (variety, trading_day, symbol, "
                "underlying_contract, "
                "segment_id, is_switch, schedule_hash, source) values (%s, %s, '', '', 1, false, "
                "'', '')",
                (variety, day),
            )

    grid = read_grids({"ticks": DAYS[2]})["varieties"]

    assert [(line.name, line.cells) for line in grid.lines] == [
        ("DCE.m", ((0, 0), (1, 1), (0, 0))),
        ("SHFE.cu", ((1, 1), (1, 1), (1, 0))),
    ]


def test_an_empty_warehouse_has_no_grid(read_grids: ReadGrids) -> None:
    assert read_grids({}) == {}
    everything = ("kline_daily", "minute_1m", "tick_trade", "ticks", "chain_snapshot")
    assert read_grids(dict.fromkeys(everything, DAYS[-1])) == {}
