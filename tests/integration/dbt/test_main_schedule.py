"""futures.main_schedule against a schedule computed in Python."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from loaders.trading_time import SHANGHAI
from orchestration.cli import inspect
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land, touch, weekdays
from tests.integration.dbt.raw_futures import (
    Harvest,
    contract,
    day_bar,
    evening_before,
    land_days,
    land_harvests,
    stored_day,
)

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
Event = tuple[date, datetime, str | None]
Row = dict[str, Any]
SPAN = 30  # days of the calendar that cases are made of
FIRST = date(2025, 9, 22)  # a Monday; the holidays from 1 October on are in the span
CALENDAR = [
    day for day in weekdays(FIRST, SPAN) if not date(2025, 10, 1) <= day <= date(2025, 10, 8)
]
NIGHT, NOON = timedelta(hours=-3), timedelta(hours=12)

DAYS = st.integers(-4, SPAN + 4)
EVENTS = st.lists(
    st.tuples(
        DAYS,
        st.sampled_from([NIGHT, timedelta(), NOON]),
        st.sampled_from(["A", "B", "C", None, ""]),
    ),
    max_size=10,
    unique_by=lambda event: event[:2],
)
WINDOWS = st.lists(st.integers(0, SPAN), min_size=2, max_size=2).map(sorted)
CASES = st.lists(st.tuples(WINDOWS, EVENTS), min_size=1, max_size=6)


def oracle(variety: str, first: date, last: date, events: Sequence[Event]) -> list[Row]:
    """The schedule of a variety, one day after another."""
    rows: list[Row] = []
    chain, segment, previous = "", 0, None  # of the trading day before; None: no contract
    for day in (day for day in CALENDAR if first <= day <= last):
        current = None
        for from_day, _, name in sorted(events, key=lambda event: event[:2]):
            if from_day <= day:
                current = name or None
        if current and current != previous:
            segment += 1
            text = f"{chain}|{variety}|{current}|{day:%Y%m%d}"
            chain = hashlib.sha256(text.encode()).hexdigest()[:16]
        if current:
            before = rows[-1]["underlying_contract"] if rows else None
            rows.append(
                {
                    "variety": variety,
                    "symbol": f"KQ.m@{variety}",
                    "trading_day": day,
                    "underlying_contract": current,
                    "segment_id": segment,
                    "prev_contract": before,
                    "is_switch": before is not None and before != current,
                    "schedule_hash": chain,
                    "source": "backtest",
                }
            )
        previous = current
    return rows


@pytest.fixture
def schedule(conn: psycopg.Connection, dbt: Dbt, parsed: Parsed) -> Callable[[], list[Row]]:
    """The rows of the query of main_schedule, over what is landed."""
    dbt("compile", "-s", "main_schedule")
    [compiled] = (parsed.target / "compiled").rglob("main_schedule.sql")
    query = f"select * from ({compiled.read_text('utf-8')}) as made order by variety, trading_day"
    return lambda: conn.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def harvests(cases: Any) -> list[Harvest]:
    return [
        Harvest(
            f"X.v{number}",
            FIRST + timedelta(first),
            FIRST + timedelta(last),
            [
                (day := FIRST + timedelta(n), datetime.combine(day, time(), SHANGHAI) + at, name)
                for n, at, name in events
            ],
        )
        for number, ((first, last), events) in enumerate(cases)
    ]


@pytest.mark.hypothesis
def test_the_schedule_equals_the_oracle_in_windows_of_any_length(
    conn: psycopg.Connection, schedule: Callable[[], list[Row]]
) -> None:
    land_days(conn, CALENDAR)

    @settings(
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases=CASES, cut=st.integers(0, SPAN))
    def play(cases: Any, cut: int) -> None:
        with conn.transaction(force_rollback=True):
            land_harvests(conn, harvests(cases))
            expected = [
                row for h in harvests(cases) for row in oracle(h.variety, h.first, h.last, h.events)
            ]
            assert schedule() == expected

            last = FIRST + timedelta(cut)
            conn.execute("update raw_tq.main_harvest set last_day = least(last_day, %s)", (last,))
            assert schedule() == [row for row in expected if row["trading_day"] <= last]

    play()


ADJUSTED = "int_main_segments__adjusted"
FOLDERS = ("path:models/core/futures", "path:models/marts/futures")
FUTURES = ("run", "-s", *FOLDERS, ADJUSTED)
TABLES = ("run", "-s", *(f"{folder},config.materialized:followed" for folder in FOLDERS))
CU, IF = "SHFE.cu", "CFFEX.IF"
NAMES = {
    CU: [contract(f"SHFE.cu{m}", CU, 2000 + m // 100, m % 100) for m in (2510, 2511, 2512)],
    IF: [contract(f"CFFEX.IF{m}", IF, 2000 + m // 100, m % 100) for m in (2510, 2511)],
}


def relations(conn: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of schema futures by relation."""
    names = conn.execute(
        "select c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace "
        "where n.nspname = 'futures' and c.relkind in ('r', 'v') order by 1"
    ).fetchall()
    return {
        name: conn.execute(
            f"select t::text from futures.{name} as t order by 1".encode()
        ).fetchall()
        for (name,) in names
    }


def scheduled(conn: psycopg.Connection) -> list[Row]:
    query = "select * from futures.main_schedule order by variety, trading_day"
    return conn.cursor(row_factory=dict_row).execute(query).fetchall()


def switches(*events: tuple[int, str | None]) -> list[Event]:
    """Events by the number of the trading day on which they hold first."""
    return [(CALENDAR[n], evening_before(CALENDAR[n]), name) for n, name in events]


@pytest.mark.long
def test_building_day_by_day_equals_from_nothing_in_every_time_zone(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_days(conn, CALENDAR)
    land(conn, "raw_tq.contract", [row for rows in NAMES.values() for row in rows])
    cu, index = ([str(row["contract"]) for row in NAMES[variety]] for variety in (CU, IF))
    hours = {"session": "night", "idx": 0, "start_s": 75_600, "end_s": 90_000}
    land(conn, "raw_tq.trading_session", [{"variety": CU, "valid_from": CALENDAR[0], **hours}])

    def harvest(last: int, cu_events: list[Event], index_events: list[Event]) -> dict[str, int]:
        window = CALENDAR[0], CALENDAR[last]
        land_harvests(conn, [Harvest(CU, *window, cu_events), Harvest(IF, *window, index_events)])
        for n in range(last + 1):
            bars = [
                day_bar(name, CALENDAR[n], f"{100 + i}.5", 90 + 10 * i * n)
                for i, name in enumerate(cu)
            ]
            land(conn, "raw_tq.contract_daily", bars)
        outcome = dbt(*TABLES)
        return outcome.written

    # the holidays lie between the fourth day and the one after the last of September
    first = switches((0, cu[0]))
    assert harvest(3, first, [])["main_schedule"] == 4
    before = scheduled(conn)
    land(conn, "raw_tq.symbol_day", [stored_day(row) for row in before[:-1]])
    absent = {"reason": "empty", "attempts": 2, "checked_at": "2025-10-20 12:00+00"}
    stored = stored_day(before[-1])
    day_fields = {name: stored[name] for name in ("symbol", "contract", "trading_day")}
    land(conn, "raw_tq.no_data_day", [day_fields | absent])
    start = evening_before(before[0]["trading_day"])
    its_contract = {"contract": before[0]["underlying_contract"]}
    minute = dict.fromkeys(("open", "high", "low", "close", "volume", "tick_count"), 1)
    times = {"trading_day": before[0]["trading_day"], "start_at": start, "session_start": start}
    land(conn, "raw_tq.tick_minute", [its_contract | minute | times])
    terms = {"trade_date": before[0]["trading_day"], "quoted_at": start}
    land(conn, "raw_tq.contract_terms", [its_contract | terms])

    # one day more costs the rows of one day, and changes none
    assert harvest(4, first, switches((4, index[0])))["main_schedule"] == 2
    assert [row for row in scheduled(conn) if row["trading_day"] <= CALENDAR[3]] == before
    # some more, with a switch; then the switch turns out to have been a day earlier
    later = switches((4, index[0]), (6, None), (7, index[0]))
    assert harvest(8, first + switches((6, cu[1]), (8, cu[2])), later)["main_schedule"] == 7
    assert harvest(8, first + switches((5, cu[1]), (8, cu[2])), later)["main_schedule"] == 4
    # a day that turns out to be a holiday
    conn.execute("delete from raw_tq.trading_day where trade_date = %s", (CALENDAR[7],))
    touch(conn, "raw_tq.trading_day")
    dbt(*TABLES)

    again = dbt(*TABLES)
    assert {model: count for model, count in again.written.items() if count > 0} == {}
    day_by_day = relations(conn)
    assert {name for name, rows in day_by_day.items() if not rows} == set()
    for zone in ("Asia/Shanghai", "America/New_York"):
        conn.execute(f"alter database {conn.info.dbname} set timezone to '{zone}'".encode())
        conn.execute("drop schema futures cascade")
        dbt(*FUTURES)
        assert relations(conn) == day_by_day, zone

    # dbt's own tests of structure, over rows
    tested = dbt("test", "-s", *(f"{folder},test_type:generic" for folder in FOLDERS))
    assert len(tested.statuses) >= 5


def test_findings_and_freshness_show_due_ticks_and_late_datasets(
    conn: psycopg.Connection,
    dbt: Dbt,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    warehouse: Warehouse,
) -> None:
    land_days(conn, CALENDAR)
    land(conn, "raw_tq.contract", NAMES[CU])
    land_harvests(conn, [Harvest(CU, CALENDAR[0], CALENDAR[4], switches((0, "SHFE.cu2510")))])
    dbt(*TABLES)

    def findings(instant: str) -> list[tuple[Any, ...]]:
        conn.execute(f"set quotemill.as_of = '{instant}'".encode())
        return conn.execute(
            "select check_name, severity, subject, trade_date from qa.findings "
            "where check_name not in ('calendar_horizon', 'minutes_not_made') order by 1, 3"
        ).fetchall()

    # 2025-09-26 was the fifth day; of ticks none were asked for
    assert findings("2025-09-26 23:00+08") == []
    land(conn, "raw_tq.symbol_day", [stored_day(row) for row in scheduled(conn)[:2]])

    behind = ("stale_dataset", "warning", "ticks", CALENDAR[1])
    missing = ("ticks_missing", "warning", "KQ.m@SHFE.cu", CALENDAR[2])
    assert findings("2025-09-25 15:59+08") == []
    assert findings("2025-09-25 16:00+08") == [behind, missing]
    fresh = (
        "select dataset, last_date, expected_date, lag_trading_days from qa.freshness order by 1"
    )
    assert conn.execute(fresh).fetchall() == [
        ("main_events", CALENDAR[4], CALENDAR[3], 0),
        ("ticks", CALENDAR[1], CALENDAR[2], 1),
    ]
    ahead = []
    for day in (15, 14, 0, -1):
        conn.execute(f"set quotemill.as_of = '{CALENDAR[-1] - timedelta(day)} 23:00+08'".encode())
        horizon = "select severity, evidence from qa.qa_futures_loads where subject ~ 'futures'"
        ahead.append([(s, " less than 15 " in t) for s, t in conn.execute(horizon.encode())])
    soon, over = ("warning", True), ("error", False)
    assert ahead == [[], [soon], [soon], [over]]
    stopped = ("stale_dataset", "warning", "main_events", CALENDAR[4])
    assert findings("2025-10-10 16:00+08") == [stopped, behind, missing]

    def listed(day: date) -> list[str]:
        """Findings of the command about the calendar as of a day."""
        inspect.findings_command(as_of=f"{day}T23:00", json=True)
        shown = json.loads(capsys.readouterr().out)["findings"]
        return [f["severity"] for f in shown if "futures" in f["subject"]]

    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    asked = [CALENDAR[-1] - timedelta(day) for day in (15, 14, -1)]
    assert [listed(day) for day in asked] == [[], ["warning"], ["error"]]


def test_an_earlier_window_and_an_earlier_switch_show_in_stored_days(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_days(conn, CALENDAR)
    events = switches((0, "A"), (1, "B"), (3, "C"))

    def built(first: int, switch: int) -> list[Row]:
        """The schedule of two varieties: by a window from a day, and with a switch on a day."""
        moved = Harvest(IF, CALENDAR[0], CALENDAR[2], switches((0, "A"), (switch, "B")))
        land_harvests(conn, [Harvest(CU, CALENDAR[first], CALENDAR[4], events), moved])
        dbt(*TABLES)
        rows = scheduled(conn)
        early = [row for row in rows if row["variety"] == CU]
        assert early == oracle(CU, CALENDAR[first], CALENDAR[4], events)
        return rows

    def coverage(variety: str) -> list[str]:
        query = "select coverage from futures.tick_coverage where variety = %s order by trading_day"
        return [name for (name,) in conn.execute(query, (variety,))]

    late = built(2, 2)
    land(conn, "raw_tq.symbol_day", [stored_day(row) for row in late])
    assert [coverage(CU), coverage(IF)] == [["complete"] * 3] * 2
    early = built(0, 1)
    hashes = [{r["schedule_hash"] for r in rows if r["variety"] == CU} for rows in (early, late)]
    assert not hashes[0] & hashes[1]
    assert coverage(CU) == ["missing"] * 2 + ["to_restamp"] * 3
    # a day's ticks are of another contract, the next stamp is old
    assert coverage(IF) == ["complete", "other_contract", "to_restamp"]

    superseded = {"contract": "A", "status": "superseded"}
    rows = [stored_day(row) for row in early]
    [short] = [
        n
        for n, row in enumerate(early)
        if row["variety"] == IF and row["trading_day"] == CALENDAR[1]
    ]
    land(conn, "raw_tq.symbol_day", [*rows, rows[short] | superseded])
    assert [coverage(CU), coverage(IF)] == [["complete"] * 5, ["complete"] * 3]
    assert conn.execute("select * from qa.qa_tick_coverage").fetchall() == []
    land(conn, "raw_tq.contract_daily", [day_bar("B", CALENDAR[1], "1", 1)])  # of 100 lots
    land(conn, "raw_tq.symbol_day", [row | {"volume": 100} for row in rows])
    for volume, count in ((99, 0), (98, 1)):
        land(conn, "raw_tq.symbol_day", [rows[short] | {"volume": volume}])
        judged = conn.execute("select check_name, trade_date from qa.qa_tick_coverage").fetchall()
        assert judged == [("ticks_short", CALENDAR[1])] * count
