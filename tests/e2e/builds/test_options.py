"""Option chains: day by day equals from nothing, verdicts of days, archived slots."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from orchestration.alerts import causes
from orchestration.checks import option_gates, selfcheck
from quotemill.errors import DataQualityError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.option_days import DECEMBER, FRIDAY, MONDAY, TUESDAY, WEDNESDAY
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import (
    Option,
    closed,
    enrichment,
    failed,
    land_sessions,
    slot_run,
)

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
JANUARY = date(2027, 1, 15)
AAPL = Option.chain("AAPL", 100, [DECEMBER, JANUARY], [95, 100, 105])
MSFT = Option.chain("MSFT", 200, [DECEMBER], [400])
RATIOS_ARE_FINAL = (
    "select is_open_interest_final from options.put_call_ratios where open_interest_count > 0"
)
TABLES = (
    "run",
    "-s",
    "forwards",
    "int_option_days__compared",
    "chain_daily_clean",
    "int_option_days__rolled_up",
    "int_option_days__counted",
)


@pytest.fixture
def days(conn: psycopg.Connection) -> psycopg.Connection:
    land_sessions(conn, [TUESDAY, WEDNESDAY, FRIDAY, MONDAY])
    return conn


def tables(conn: psycopg.Connection) -> list[list[tuple[Any, ...]]]:
    names = (
        "options.forwards",
        "options.chain_daily_clean",
        "quotemill_intermediate.int_option_days__counted",
    )
    return [
        conn.execute(f"select t::text from {name} as t order by 1".encode()).fetchall()
        for name in names
    ]


def verdicts(conn: psycopg.Connection, as_of: str) -> list[tuple[Any, ...]]:
    conn.execute(f"set quotemill.as_of = '{as_of}'".encode())
    return conn.execute(
        "select symbol, trade_date, verdict, coverage_verdict, fallback_verdict, oi_verdict "
        "from qa.qa_option_day order by 1, 2"
    ).fetchall()


def test_day_by_day_equals_from_nothing_in_every_time_zone(
    days: psycopg.Connection, dbt: Dbt
) -> None:
    conn = days

    def written(*names: str) -> tuple[int, ...]:
        outcome = dbt(*TABLES)
        assert outcome.success, outcome.error
        return tuple(outcome.written.get(name, 0) for name in ("chain_daily_clean", *names))

    TUESDAY.land(conn, AAPL, 100)
    TUESDAY.land(conn, MSFT, 400)
    assert written() == (14,)
    # a slot after the other, built in between; a contract that appears within the session
    late = Option.chain("AAPL", 150, [DECEMBER], [110])
    WEDNESDAY.land_contracts(conn, AAPL)
    for number, rows in enumerate(WEDNESDAY.quotes(AAPL, 101)):
        if number == 4:
            WEDNESDAY.land_contracts(conn, late)
            land(conn, "raw_ib.chain_snapshot", [o.quote(WEDNESDAY, 4, 101) for o in late])
        land(conn, "raw_ib.chain_snapshot", rows)
        if number in (4, 12):
            assert written() == (14 if number == 4 else 12,)
    # the close view stands for what it has; the close of the underlying is that of the last slot
    land(conn, "raw_ib.chain_close", [option.closing(WEDNESDAY, 101) for option in AAPL])
    assert written() == (12,)
    # on the next morning: only what it is about, of one day
    interest = [o.open_interest(WEDNESDAY.day, 50) for o in AAPL[:5]]
    land(conn, "raw_ib.open_interest", [row | {"is_final": False} for row in interest])
    assert written("int_option_days__counted") == (5, 1)
    assert conn.execute(RATIOS_ARE_FINAL).fetchall() == [(False,)]
    # a morning later it counts as final: the flag alone changes
    land(conn, "raw_ib.open_interest", interest)
    assert written("int_option_days__counted") == (5, 0)
    assert conn.execute(RATIOS_ARE_FINAL).fetchall() == [(True,)]
    # a better row of a slot that stands for nothing, and rows of an error that came back as quotes
    land(conn, "raw_ib.chain_snapshot", [failed(AAPL[0].quote(FRIDAY, 7, 101))])
    land(conn, "raw_ib.chain_snapshot", [AAPL[0].quote(FRIDAY, 6, 101)])
    assert written() == (1,)
    land(conn, "raw_ib.chain_snapshot", [AAPL[0].quote(FRIDAY, 7, 102)])
    assert written() == (1,)
    assert written("int_option_days__counted") == (0, 0)

    day_by_day = tables(conn)
    assert [len(rows) for rows in day_by_day[1:]] == [29, 4]
    for zone in ("Asia/Shanghai", "America/New_York"):
        conn.execute(f"alter database {conn.info.dbname} set timezone to '{zone}'".encode())
        conn.execute("drop table options.forwards, options.chain_daily_clean cascade")
        conn.execute("drop table quotemill_intermediate.int_option_days__counted cascade")
        dbt(*TABLES)
        assert tables(conn) == day_by_day, zone


def test_a_day_passes_with_the_open_interest_of_the_next_morning(
    days: psycopg.Connection, dbt: Dbt, warehouse: Warehouse
) -> None:
    conn = days
    for session in (TUESDAY, WEDNESDAY, FRIDAY):
        session.land(conn, AAPL, 100)
    land(conn, "raw_ib.open_interest", [o.open_interest(TUESDAY.day, 9) for o in AAPL])
    land(conn, "raw_ib.open_interest", [o.open_interest(WEDNESDAY.day, 9) for o in AAPL[:9]])
    early = enrichment(WEDNESDAY.day, "2026-11-27 09:00+00", "first", "stale")
    land(conn, "raw_ib.enrichment", [early])
    dbt(*TABLES)

    passed = ("AAPL", TUESDAY.day, "pass", "pass", "pass", "pass")
    wednesday = ("AAPL", WEDNESDAY.day, "pending", "pass", "pass", "pending")
    assert verdicts(conn, "2026-11-27 12:00+00") == [
        passed,
        wednesday,
        ("AAPL", FRIDAY.day, "pending", "pending", "pending", "pending"),
    ]
    # Friday is judged at 19:00 in New York, or once its close is whole; Wednesday from Friday's
    # open on
    at_open = verdicts(conn, "2026-11-27 14:30+00")
    assert at_open[1] == ("AAPL", WEDNESDAY.day, "fail", "pass", "pass", "fail")
    judged = ("pending", "pass", "pass", "pending")
    assert verdicts(conn, "2026-11-27 23:59+00")[2][2:4] == ("pending", "pending")
    assert verdicts(conn, "2026-11-28 00:00+00")[2][2:] == judged
    conn.execute("insert into ops.settings values ('ib_close_snapshot_until', '18:30')")
    assert verdicts(conn, "2026-11-27 23:30+00")[2][2:] == judged
    land(conn, "raw_ib.slot_run", [closed("AAPL", FRIDAY, "2026-11-27 22:04+00")])
    assert verdicts(conn, "2026-11-27 22:03+00")[2][2:4] == ("pending", "pending")
    assert verdicts(conn, "2026-11-27 22:04+00")[2][2:] == judged
    findings = conn.execute(
        "select check_name, trade_date, evidence ~ '^9 of 12 ' from qa.qa_options"
    ).fetchall()
    assert findings == [("oi_completeness", WEDNESDAY.day, True)]
    flags = "select distinct data_quality_flag from options.chain_daily_clean where trade_date = %s"
    assert conn.execute(flags, (TUESDAY.day,)).fetchall() == [([],)]
    assert sorted(f for (f,) in conn.execute(flags, (WEDNESDAY.day,))) == [
        [],
        ["missing_oi", "oi_stale"],
    ]

    # what comes with the confirming pass, and a symbol that nothing came of on Monday
    land(conn, "raw_ib.open_interest", [o.open_interest(WEDNESDAY.day, 9) for o in AAPL[9:]])
    dbt(*TABLES)
    assert verdicts(conn, "2026-12-01 00:00+00")[1:] == [
        ("AAPL", WEDNESDAY.day, "pass", "pass", "pass", "pass"),
        ("AAPL", FRIDAY.day, "fail", "pass", "pass", "fail"),
        ("AAPL", MONDAY.day, "fail", "fail", "fail", "fail"),
    ]

    # the daily list says the same, and two sessions in a row are what stage 1 asks for
    def checked(day: date | None, hour: int = 12) -> tuple[str, date | None, set[str]]:
        result = selfcheck.run(warehouse, day, datetime(2026, 11, 27, hour, tzinfo=UTC))
        subjects = {check.subject for check in result.checks}
        assert subjects == (set() if day == MONDAY.day else {"AAPL"})  # nothing came on Monday
        return (
            result.status,
            result.trade_date,
            {c.name for c in result.checks if c.verdict != "ok"},
        )

    assert checked(None) == ("PASS", WEDNESDAY.day, set())
    assert checked(None, 23) == ("PENDING", FRIDAY.day, {"oi"})
    assert checked(MONDAY.day) == ("FAIL", MONDAY.day, set())
    with pytest.raises(UsageError, match="2026-11-26"):
        checked(date(2026, 11, 26))
    # a model that loses a contract does not hide it from the check
    ranked = "quotemill_intermediate.int_option_quotes__ranked"
    move = (
        "update options.chain_daily_clean set trade_date = %s where (conid, trade_date) = (101, %s)"
    )
    conn.execute(f"alter view {ranked} rename to whole".encode())
    conn.execute(
        f"create view {ranked} as select * from quotemill_intermediate.whole "
        "where conid <> 101".encode()
    )
    conn.execute(move, (MONDAY.day, WEDNESDAY.day))
    assert checked(WEDNESDAY.day)[::2] == ("FAIL", {"rows"})
    conn.execute(move, (WEDNESDAY.day, MONDAY.day))
    assert checked(WEDNESDAY.day)[::2] == ("PASS", set())
    conn.execute("update options.chain_daily_clean set conid = 999 where conid = 100")
    assert checked(WEDNESDAY.day)[::2] == ("FAIL", {"rows", "open_interest"})

    conn.execute(f"alter database {conn.info.dbname} set quotemill.as_of = '2026-11-27 12:00+00'")
    states = [(row["state"], row["passed_sessions"]) for row in option_gates.list_stages(warehouse)]
    assert states == [("open", 0), ("ready", 2), ("closed", 0), ("closed", 0)]
    with pytest.raises(DataQualityError, match=r"stage 1 .*; 0 of 7 "):
        option_gates.decide(warehouse, 2, "open", "owner", None)
    assert option_gates.decide(warehouse, 1, "open", "owner", "agreed")["state"] == "open"
    with pytest.raises(UsageError, match="stage 1 is already open"):
        option_gates.decide(warehouse, 1, "open", "owner", None)
    assert option_gates.decide(warehouse, 1, "close", "owner", None)["state"] == "ready"
    recorded = conn.execute(
        "select stage, action, decided_by, note, figures ->> 'passed_sessions' "
        "from ops.option_gates order by decided_at"
    ).fetchall()
    assert recorded == [(1, "open", "owner", "agreed", "2"), (1, "close", "owner", None, "2")]


def test_delayed_data_pass_at_a_limit_of_one_a_guessed_session_never(
    days: psycopg.Connection, dbt: Dbt, warehouse: Warehouse
) -> None:
    conn = days
    late = {"market_data_type": 3, "data_quality_flag": "delayed_fallback"}
    TUESDAY.land_contracts(conn, MSFT)
    rows = [row | late for slot in TUESDAY.quotes(MSFT, 400) for row in slot]
    land(conn, "raw_ib.chain_snapshot", rows)
    # discovery never saw its contracts
    land(conn, "raw_ib.slot_run", [slot_run("AAPL", TUESDAY)])
    dbt(*TABLES)

    def judged() -> list[tuple[Any, ...]]:
        conn.execute("set quotemill.as_of = '2026-11-25 00:00+00'")
        return conn.execute(
            "select symbol, coverage_verdict, delayed_verdict, integrity_verdict "
            "from qa.qa_option_day order by 1"
        ).fetchall()

    nothing = ("AAPL", "fail", "fail", "pass")
    assert judged() == [nothing, ("MSFT", "pass", "fail", "pass")]

    def rung() -> tuple[str, set[str | None]]:
        cause = causes._check_delayed_quotes(conn, "qa")["delayed:ib"]
        checks = selfcheck.run(warehouse, TUESDAY.day, datetime(2026, 11, 25, tzinfo=UTC)).checks
        assert cause is not None
        return cause.sentence.partition(": ")[2], {check.subject for check in checks}

    assert rung() == ("AAPL MSFT", {"AAPL", "MSFT"})
    # a symbol that was tried beside the universe rings nowhere
    conn.execute("insert into ops.settings values ('ib_symbols', 'AAPL')")
    assert rung() == ("AAPL", {"AAPL"})
    conn.execute("delete from ops.settings where key = 'ib_symbols'")
    conn.execute("insert into ops.settings values ('ib_max_delayed_share', '1')")
    assert judged() == [nothing, ("MSFT", "pass", "pass", "pass")]
    # its last slot is of 15:45: what stands for the day is another one
    strategies = "select distinct rollup_strategy from options.chain_daily_clean"
    assert conn.execute(strategies).fetchall() == [("slot_1530",)]

    flags = {"data_quality_flag": "calendar_fallback,delayed_fallback"}
    land(conn, "raw_ib.chain_snapshot", [rows[0] | flags])
    # and two slots of the day that are wanted, of which one has no quote
    conn.execute("insert into ops.settings values ('ib_slot_range', '09:30-10:00')")
    conn.execute("delete from raw_ib.chain_snapshot where slot_30m > 0")
    dbt(*TABLES)
    assert judged() == [nothing, ("MSFT", "fail", "pass", "fail")]
    share = "select slot_coverage, uncovered_slots from qa.qa_option_day where symbol = 'MSFT'"
    assert conn.execute(share).fetchall() == [(Decimal("0.5"), ["10:00"])]


def test_freshness_is_judged_by_the_sessions_of_the_exchange(days: psycopg.Connection) -> None:
    conn = days

    def seen(as_of: str) -> dict[str, tuple[date | None, date | None, bool, int | None]]:
        conn.execute(f"set quotemill.as_of = '{as_of}'".encode())
        findings = conn.execute(
            "select dataset, last_date, expected_date, is_stale, lag_trading_days from qa.freshness"
        )
        return {name: (last, due, stale, lag) for name, last, due, stale, lag in findings}

    assert seen("2026-11-26 01:00+00") == {}
    conn.execute(
        "insert into ops.ingestion_state (source, dataset, key) values ('ib', 'session', 'NYSE')"
    )
    # before the first session is over nothing is due
    nothing = (None, None, False, None)
    assert seen("2026-11-24 23:59+00") == {"chain_snapshot": nothing, "chain_close": nothing}
    late = (None, TUESDAY.day, True, None)
    assert seen("2026-11-25 00:00+00") == {"chain_snapshot": late, "chain_close": late}

    done = {"captured": 12, "status": "complete"}
    runs = [slot_run("AAPL", session) | done for session in (TUESDAY, WEDNESDAY)]
    land(conn, "raw_ib.slot_run", [*runs, slot_run("AAPL", FRIDAY)])
    land(conn, "raw_ib.slot_run", [runs[0] | {"ingest_run_type": "close"}])
    tried = [
        enrichment(TUESDAY.day, "2026-11-25 12:30+00", "confirm", "complete"),
        enrichment(WEDNESDAY.day, "2026-11-27 12:30+00", "confirm", "stale"),
    ]
    land(conn, "raw_ib.enrichment", tried)
    fresh = (WEDNESDAY.day, WEDNESDAY.day, False, 0)
    # Thanksgiving is no session; an early close is due no earlier
    for as_of in ("2026-11-26 23:00+00", "2026-11-27 23:59+00"):
        assert seen(as_of) == {
            "chain_snapshot": fresh,
            "chain_close": (TUESDAY.day, WEDNESDAY.day, True, 1),
            "open_interest": (TUESDAY.day, TUESDAY.day, False, 0),
        }
    assert seen("2026-11-28 00:00+00") == {
        "chain_snapshot": (WEDNESDAY.day, FRIDAY.day, True, 1),
        "chain_close": (TUESDAY.day, FRIDAY.day, True, 2),
        "open_interest": (TUESDAY.day, WEDNESDAY.day, True, 1),
    }
    # an earlier end of asking for the close
    conn.execute("insert into ops.settings values ('ib_close_snapshot_until', '17:30')")
    assert seen("2026-11-27 22:29+00")["chain_snapshot"][2] is False
    assert seen("2026-11-27 22:30+00")["chain_snapshot"][2] is True
    query = (
        "select subject, split_part(evidence, '; fix: ', 1) from qa.findings "
        "where check_name = 'stale_dataset' order by 1"
    )
    assert conn.execute(query).fetchall()[1] == (
        "chain_snapshot",
        "1 trading day behind 2026-11-27",
    )


def test_failed_rows_are_explained_by_their_codes(days: psycopg.Connection, dbt: Dbt) -> None:
    conn = days
    dbt("seed", "-s", "ib_error_codes")
    kinds = [("no_permission", 354), ("no_permission", 354), ("pacing", 162), ("no_answer", None)]
    kinds += [("unknown", 777)]
    for slot, (kind, code) in enumerate(kinds):
        row = failed(AAPL[slot].quote(TUESDAY, slot, 100))
        row |= {"error_type": kind, "error_code": code, "error_message": f"{kind} of {slot}"}
        land(conn, "raw_ib.chain_snapshot", [row])
    row |= {"slot_30m": None, "slot_label": None, "error_type": "no_permission", "error_code": 354}
    land(conn, "raw_ib.chain_close", [row])
    findings = conn.execute(
        "select error_type, error_code, meaning, row_count, contract_count, slot_labels, "
        "error_message "
        "from qa.qa_option_errors where symbol = 'AAPL' order by 1, 2"
    ).fetchall()
    assert findings == [
        ("no_answer", None, "nothing came in time", 1, 1, ["11:00"], "no_answer of 3"),
        (
            "no_permission",
            354,
            "no subscription; delayed data may exist",
            3,
            3,
            ["09:30", "10:00", "close"],
            "no_permission of 0",
        ),
        ("pacing", 162, "too many requests", 1, 1, ["10:30"], "pacing of 2"),
        ("unknown", 777, "not in ib_error_codes.csv", 1, 1, ["11:30"], "unknown of 4"),
    ]


def test_rows_of_slots_that_were_archived_are_kept(days: psycopg.Connection, dbt: Dbt) -> None:
    conn = days
    for session in (TUESDAY, WEDNESDAY):
        session.land_contracts(conn, AAPL)
        early = [row for rows in list(session.quotes(AAPL, 100))[:9] for row in rows]
        land(conn, "raw_ib.chain_snapshot", early)
        land(conn, "raw_ib.chain_close", [option.closing(session, 100) for option in AAPL[:2]])
    dbt(*TABLES)
    before = tables(conn)
    assert [len(rows) for rows in before[1:]] == [24, 2]

    conn.execute("delete from raw_ib.chain_snapshot where trade_date = %s", (TUESDAY.day,))
    for run in (TABLES, (*TABLES, "--full-refresh")):
        dbt(*run)
        assert tables(conn) == before
    # of a day that has slots, a row that lost its own goes
    conn.execute("delete from raw_ib.chain_snapshot where conid = 105")
    dbt(*TABLES, "--full-refresh")
    assert len(tables(conn)[1]) == 23
