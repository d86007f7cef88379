"""Actions and segments built by code equal a build of everything, in any order."""

import random
from datetime import date
from typing import Any

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import (
    action,
    add_line,
    bar,
    land,
    security,
    touch,
    trading_day,
    weekdays,
)

pytestmark = MODELS

DAYS = weekdays(date(2024, 6, 3), 30)
CODES = [*(f"sh60000{n}" for n in range(6)), "sz200002", "sh900901", "sh510300"]
TABLES = {
    "int_corporate_actions__known": "quotemill_intermediate",
    "corporate_actions": "market",
    "adjustment_segments": "market",
    "kline_daily_qfq": "market",
}
BUILD = (
    "run",
    "--select",
    "int_market_day__as_of",
    "trading_calendar",
    "int_listings__dated",
    "symbol_dim",
    *TABLES,
)


def stored(conn: psycopg.Connection) -> dict[str, list[Any]]:
    return {
        name: conn.execute(
            f"select t::text from {schema}.{name} as t order by 1".encode()
        ).fetchall()
        for name, schema in TABLES.items()
    }


class Market:
    """Events of a market of some codes, drawn by `rng`."""

    def __init__(self, conn: psycopg.Connection, rng: random.Random) -> None:
        self.conn, self.rng, self.newest = conn, rng, 9
        land(conn, "security", [security(code) for code in CODES[:-2]])
        land(conn, "trading_day", [trading_day(day) for day in DAYS])
        self._bars(DAYS[:10])
        land(conn, "corporate_action", [action(c, DAYS[4], cash_per10_yuan="1") for c in CODES[:4]])

    def _bars(self, days: list[date]) -> None:
        bars = [bar(c, d, f"{self.rng.randint(500, 5000) / 100}") for c in CODES for d in days]
        land(self.conn, "kline_daily", bars)

    def _action(self, source: str, **changes: object) -> None:
        day = DAYS[self.rng.randint(0, 15)]  # some lie ahead
        code = self.rng.choice(CODES)
        land(self.conn, "corporate_action", [action(code, day, source=source, **changes)])

    def one_more_day(self) -> None:
        self.newest += 1
        self._bars([DAYS[self.newest]])

    def a_corrected_close(self) -> None:
        day = DAYS[self.rng.randint(0, self.newest)]
        land(self.conn, "kline_daily", [bar(self.rng.choice(CODES), day, "7.77")])

    def a_dividend(self) -> None:
        self._action("csv", cash_per10_yuan=f"{self.rng.randint(1, 20)}")

    def a_dividend_of_another_source(self) -> None:
        self._action("xdxr", cash_per10_yuan="3", bonus_total_per10="2")

    def _record(self, category: int, *values: int) -> None:
        event: dict[str, object] = {
            "code": self.rng.choice(CODES),
            "event_date": DAYS[self.rng.randint(0, 15)],
            "category": category,
            "seq": self.rng.randint(1, 2),
        }
        numbers = {f"value{n}": value for n, value in enumerate(values, 1)}
        land(self.conn, "capital_event", [event | numbers])

    def a_record_of_gbbq(self) -> None:
        self._record(1, 3, 0, self.rng.randint(-1, 2), 0)

    def a_split_of_gbbq(self) -> None:
        self._record(11, 0, 0, self.rng.randint(0, 2), 0)

    def a_withdrawal(self) -> None:
        self._action("csv", is_withdrawn=True)

    def a_refused_row(self) -> None:
        code, day = self.rng.choice(CODES), DAYS[self.rng.randint(0, 9)]
        row: dict[str, object] = {
            "dataset": "capital_events",
            "row_key": f"gbbq {code} record 1",
            "field": "m",
            "rule": "must be a number",
            "value": "x",
            "payload": f'{{"code":"{code}","ex_date":"{day}"}}',
            "is_withdrawn": self.rng.random() < 0.3,
        }
        land(self.conn, "rejected_row", [row])

    def a_new_security(self) -> None:
        land(self.conn, "security", [security(CODES[-1], self.rng.choice(["fund", "stock"]))])

    def an_override(self) -> None:
        action = self.rng.choice(["add", "replace", "remove"])
        add_line(
            self.conn,
            "corporate_action_overrides",
            f"{self.rng.choice(CODES)},{DAYS[4]},{action},,4,,,,,seen",
        )

    def another_first_source(self) -> None:
        self.conn.execute(
            "insert into ops.settings (key, value) values ('corporate_actions', %s) "
            "on conflict (key) do update set value = excluded.value",
            (self.rng.choice(["csv", "gbbq"]),),
        )


EVENTS = [name for name in vars(Market) if not name.startswith("_")]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.soak
def test_building_by_code_equals_building_all_at_once(
    conn: psycopg.Connection, dbt: Dbt, number: int
) -> None:
    rng = random.Random(number)
    market = Market(conn, rng)
    dbt(*BUILD)
    for name in [*rng.sample(EVENTS, len(EVENTS)), *rng.choices(EVENTS, k=5)]:
        for event in sorted({name, rng.choice(EVENTS)}):
            getattr(market, event)()
        dbt(*BUILD)
        by_code = stored(conn)
        dbt(*BUILD, "--full-refresh")
        assert by_code == stored(conn), name


@pytest.mark.long
def test_an_event_rebuilds_only_its_code(conn: psycopg.Connection, dbt: Dbt) -> None:
    market = Market(conn, random.Random(0))
    dbt(*BUILD)
    # a build of everything would repair this
    for name in ("corporate_actions", "adjustment_segments"):
        conn.execute(f"delete from market.{name} where code = %s".encode(), (CODES[1],))
    land(conn, "corporate_action", [action(CODES[0], DAYS[6], cash_per10_yuan="2")])
    outcome = dbt(*BUILD)
    assert {
        name: outcome.written[name] for name in ("corporate_actions", "adjustment_segments")
    } == {
        "corporate_actions": 1,
        "adjustment_segments": 3,
    }
    # a new day rebuilds only codes with an announced action
    land(conn, "corporate_action", [action(CODES[2], DAYS[10], cash_per10_yuan="2")])
    assert dbt(*BUILD).written["corporate_actions"] == 1
    market.one_more_day()
    outcome = dbt(*BUILD)
    assert outcome.written["corporate_actions"] == 1
    assert outcome.written["adjustment_segments"] == 3


def test_actions_before_any_bar_count_with_the_first_bars(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security(CODES[0])])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "corporate_action", [action(CODES[0], DAYS[2], cash_per10_yuan="1")])
    dbt(*BUILD)
    active = "select bool_or(is_active) from market.corporate_actions"
    assert conn.execute(active).fetchone() == (False,)

    land(conn, "kline_daily", [bar(CODES[0], day, "10") for day in DAYS[:5]])
    dbt(*BUILD)
    assert conn.execute(active).fetchone() == (True,)
    assert len(stored(conn)["adjustment_segments"]) == 2

    # not active once the bars are deleted
    conn.execute("delete from raw_tdx.kline_daily")
    touch(conn, "kline_daily")
    dbt(*BUILD)
    assert conn.execute(active).fetchone() == (False,)
