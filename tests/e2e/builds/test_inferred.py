"""Events that only the vendor's adjusted series shows: on the right days, never on others."""

import random
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.conftest import REBUILD, Dbt, prepared
from tests.integration.dbt.raw import action, add_line, bar, land, security, touch, trading_day
from tests.integration.dbt.raw_comparison import real_vendor_bars

INFERRED = (
    "run",
    "--select",
    "int_corporate_actions__known",
    "int_adjustment__known_events",
    "int_corporate_actions__inferred",
)
AGAIN = (
    *INFERRED,
    "corporate_actions",
    "adjustment_segments",
    "kline_daily_qfq",
    "kline_weekly_qfq",
    "kline_monthly_qfq",
)
TABLES = (
    "corporate_actions",
    "adjustment_segments",
    *(f"kline_{t}_qfq" for t in ("daily", "weekly")),
)


def withdraw(conn: psycopg.Connection, events: set[tuple[str, date]]) -> None:
    """Take exactly these events out of the list that is known."""
    conn.execute("update raw_tdx.corporate_action set is_withdrawn = false where is_withdrawn")
    for code, ex_date in events:
        conn.execute(
            "update raw_tdx.corporate_action set is_withdrawn = true "
            "where code = %s and ex_date = %s",
            (code, ex_date),
        )
    touch(conn, "corporate_action")


def apply(conn: psycopg.Connection, value: str) -> None:
    conn.execute(
        "insert into ops.settings (key, value) values ('apply_inferred_actions', %s) "
        "on conflict (key) do update set value = excluded.value",
        (value,),
    )


def inferred(conn: psycopg.Connection) -> set[tuple[str, date]]:
    return set(conn.execute("select code, ex_date from market.inferred_actions").fetchall())


def contents(conn: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: conn.execute(f"select * from market.{table} order by 1, 2, 3, 4").fetchall()
        for table in TABLES
    }


@pytest.fixture
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    """Without a row; with `real_events` the real market without a vendor; built."""
    real = "real_events" in request.fixturenames
    dsn = request.getfixturevalue("real_market_dsn" if real else "models")
    return prepared(dsn, request.getfixturevalue("tmp_path"))


@pytest.fixture
def real_events(conn: psycopg.Connection) -> set[tuple[str, date]]:
    """The 32 events of the real market; the prices as they should be are kept in kept.expected."""
    conn.execute("create schema kept")
    conn.execute("create table kept.expected as table market.kline_daily_qfq")
    return set(
        conn.execute(
            "select code, ex_date from raw_tdx.corporate_action where adjusts_price"
        ).fetchall()
    )


def test_all_32_real_events_are_inferred_and_prices_come_within_a_cent(
    real_tdx_data: Path, conn: psycopg.Connection, dbt: Dbt, real_events: set[tuple[str, date]]
) -> None:
    land(conn, "kline_adjusted", real_vendor_bars(real_tdx_data, "thirdparty_forward"))
    before = contents(conn)
    assert dbt(*AGAIN).success
    assert inferred(conn) == set()

    # found, and not applied
    withdraw(conn, real_events)
    assert dbt(*AGAIN).success
    assert inferred(conn) == real_events
    raw_differs = conn.execute(
        "select count(*) from market.kline_daily_qfq as q "
        "join quotemill_staging.stg_tdx__kline_daily as k "
        "using (code, trade_date) where q.close <> k.close or q.has_inferred_action"
    ).fetchone()
    assert raw_differs == (0,)

    # applied, marked, and within a cent of what the full list gives
    apply(conn, "true")
    assert dbt(*AGAIN).success
    assert conn.execute(
        "select count(*) from market.corporate_actions where is_inferred and is_active"
    ).fetchone() == (32,)
    differing = conn.execute(
        "select count(*) filter (where d > 0), max(d), "
        "bool_and(has_inferred_action or d = 0) from ("
        "select q.has_inferred_action, greatest(abs(q.open - e.open), abs(q.high - e.high), "
        "abs(q.low - e.low), abs(q.close - e.close)) as d from market.kline_daily_qfq as q "
        "join kept.expected as e using (code, trade_date)) as x"
    ).fetchone()
    assert differing is not None
    assert differing[0] < 1000  # of 7,858 bars
    assert differing[1:] == (Decimal("0.010"), True)
    marked = conn.execute(
        "select max(trade_date), (select max(trade_date) from market.kline_weekly_qfq "
        "where code = 'sz000002' and has_inferred_action) from market.kline_daily_qfq "
        "where code = 'sz000002' and has_inferred_action"
    ).fetchone()
    assert marked == (date(2011, 5, 26), date(2011, 5, 27))

    # everything as it was, once the list is whole again
    withdraw(conn, set())
    apply(conn, "false")
    assert dbt(*AGAIN).success
    assert contents(conn) == before
    again = dbt(*AGAIN)
    assert sum(rows for rows in again.written.values() if rows > 0) == 0


def test_any_choice_of_missing_events_is_inferred_and_no_other(
    real_tdx_data: Path, conn: psycopg.Connection, dbt: Dbt, real_events: set[tuple[str, date]]
) -> None:
    land(conn, "kline_adjusted", real_vendor_bars(real_tdx_data, "expected_qfq"))
    seeded = random.Random(7)
    for share in (0.0, 0.4, 1.0):
        dropped = {event for event in sorted(real_events) if seeded.random() < share}
        withdraw(conn, dropped)
        assert dbt(*INFERRED).success
        assert inferred(conn) == dropped


def test_cash_and_split_of_a_fund_are_distinguished_and_an_override_holds(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    code, fund, ahead = "sh600000", "sh510300", "sh600001"
    days = [date.fromordinal(738000 + n) for n in range(91)]
    land(conn, "security", [security(code), security(fund, "fund"), security(ahead)])
    land(conn, "trading_day", [trading_day(day) for day in days])
    prices = random.Random(3)
    raw, vendor = [], []

    def vendor_bar(code: str, day: date, li: int) -> dict[str, object]:
        prices = dict.fromkeys(("open", "high", "low", "close"), li)
        return {"code": code, "trade_date": day, **prices, "volume": 0}

    for n, day in enumerate(days[:90]):
        # the stock pays 0.35 on day 60, on which a known bonus of day 30 follows; the fund halves
        stock = 10 + prices.randrange(-100, 100) / 100
        stock = stock if n >= 60 else stock + Decimal("0.35").__float__()
        share = (4 if n < 45 else 2) + prices.randrange(-200, 200) / 1000
        raw.append(bar(code, day, f"{stock * (1.2 if n < 30 else 1):.2f}"))
        raw.append(bar(fund, day, f"{share:.3f}"))
        known = float(str(raw[-2]["close"])) / 1000
        adjusted = (known / 1.2 if n < 30 else known) - (0.35 if n < 60 else 0)
        halved = float(str(raw[-1]["close"])) / 1000 / (2 if n < 45 else 1)
        for row, price in ((raw[-2], adjusted), (raw[-1], halved)):
            vendor.append(vendor_bar(str(row["code"]), day, int(price * 1000 + 1e-6)))
        # this one pays on the day after the newest, which the vendor counts already
        raw.append(bar(ahead, day, f"{stock:.2f}"))
        vendor.append(vendor_bar(ahead, day, int(str(raw[-1]["close"])) - 350))
    land(conn, "kline_daily", raw)
    land(conn, "kline_adjusted", vendor)
    land(conn, "corporate_action", [action(code, days[30], bonus_total_per10="2")])
    apply(conn, "true")

    assert dbt(*REBUILD).success

    findings = conn.execute(
        "select code, ex_date, m, c, is_applied from market.inferred_actions order by code"
    ).fetchall()
    assert findings == [(fund, days[45], 2, 0, True), (code, days[60], 1, Decimal("0.35"), True)]
    evidence = conn.execute(
        "select subject, severity, evidence like '%(applied)%' from qa.qa_inferred_actions "
        "order by subject"
    ).fetchall()
    assert evidence == [(fund, "warning", True), (code, "warning", True)]

    # without a bar of that day it has no ex-date; with one it has
    land(conn, "kline_daily", [bar(ahead, days[90], "10")])
    land(conn, "kline_adjusted", [vendor_bar(ahead, days[90], 10_000)])
    assert dbt(*AGAIN).success
    later = conn.execute("select ex_date, c from market.inferred_actions where code = %s", (ahead,))
    assert later.fetchall() == [(days[90], Decimal("0.35"))]
    conn.execute("delete from raw_tdx.kline_adjusted where code = %s", (ahead,))
    touch(conn, "kline_adjusted", ahead)

    line = f"{fund},{days[45]},remove,,,,,,,none such"
    add_line(conn, "corporate_action_overrides", line)
    assert dbt(*AGAIN).success
    assert conn.execute(
        "select code from market.corporate_actions where is_inferred"
    ).fetchall() == [(code,)]
    assert conn.execute("select subject from qa.qa_inferred_actions").fetchall() == [(code,)]
