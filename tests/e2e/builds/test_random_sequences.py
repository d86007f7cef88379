"""Any sequence of changes, built as they come, gives what a build from nothing gives."""

import random
from collections.abc import Callable
from datetime import date, timedelta

import psycopg
import pytest

from tests.integration.dbt import raw
from tests.integration.dbt.conftest import REBUILD, UPDATE, Dbt
from tests.integration.dbt.option_days import AAPL, BRK_B, FRIDAY, MONDAY, TUESDAY, WEDNESDAY
from tests.integration.dbt.raw_options import Session, land_sessions, open_interest

# over New Year, so that weeks and months cross years
DAYS = raw.weekdays(date(2023, 12, 18), 24)
STOCKS = ("sh600000", "sz000002", "sz300001", "sh900901")
CODES = (*STOCKS, "sh510300")
INDEX = "sh000001"
SESSIONS = (TUESDAY, WEDNESDAY, Session(date(2026, 11, 26)), FRIDAY, MONDAY)


class Changes:
    """Changes of landed tables and seeds, chosen by a seed."""

    def __init__(self, conn: psycopg.Connection, seed: int) -> None:
        self.conn = conn
        self.random = random.Random(seed)

    def make(self) -> str:
        """Make one change; its name."""
        changes: list[Callable[[], None]] = [
            self.land_bars,
            self.land_bars,
            self.delete_bars,
            self.land_calendar,
            self.delete_calendar,
            self.land_action,
            self.land_capital,
            self.delete_capital,
            self.land_security,
            self.land_index_days,
            self.delete_index_day,
            self.land_minutes,
            self.land_sessions,
            self.delete_session,
            self.land_contract,
            self.land_open_interest,
            self.override_action,
            self.split_underlying,
            self.choose_source,
        ]
        change = self.random.choice(changes)
        change()
        return change.__name__

    def days(self) -> list[date]:
        first = self.random.randrange(len(DAYS))
        return DAYS[first : first + self.random.choice((1, 1, 2, 5))]

    def price(self) -> str:
        return f"{self.random.randrange(900, 1150) / 100:.2f}"

    def is_final(self) -> bool:
        return self.random.random() < 0.8

    def delete(self, table: str, condition: str, key: str) -> None:
        self.conn.execute(f"delete from {table} where {condition}".encode())
        raw.touch(self.conn, table.removeprefix("raw_tdx."), *([key] if key else []))

    def land_bars(self) -> None:
        codes = self.random.sample(CODES, self.random.randrange(1, len(CODES)))
        bars = [
            raw.bar(code, day, self.price(), is_final=self.is_final())
            for day in self.days()
            for code in codes
        ]
        raw.land(self.conn, "kline_daily", bars)
        if self.random.random() < 0.8:
            raw.land(self.conn, "trading_day", [raw.trading_day(d) for d in self.days()])

    def delete_bars(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        self.delete("raw_tdx.kline_daily", f"code = '{code}' and trade_date = '{day}'", code)

    def land_calendar(self) -> None:
        source = self.random.choice(("service", "client", "exchange_calendar"))
        raw.land(self.conn, "trading_day", [raw.trading_day(d, source) for d in self.days()])

    def delete_calendar(self) -> None:
        self.delete("raw_tdx.trading_day", f"trade_date = '{self.random.choice(DAYS)}'", "")

    def land_action(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        changes = {
            "cash_per10_yuan": self.random.choice((0, 1, 5)),
            "bonus_total_per10": self.random.choice((0, 2)),
            "source": self.random.choice(("csv", "gbbq")),
            "is_withdrawn": self.random.random() < 0.3,
        }
        raw.land(self.conn, "corporate_action", [raw.action(code, day, **changes)])

    def land_capital(self) -> None:
        shares = {"value1": 0, "value2": 0, "value3": self.random.choice((0, 50, 70)), "value4": 90}
        event = {"code": self.random.choice(CODES), "event_date": self.random.choice(DAYS)}
        raw.land(self.conn, "capital_event", [event | {"category": 5, "seq": 1} | shares])

    def delete_capital(self) -> None:
        code = self.random.choice(CODES)
        self.delete("raw_tdx.capital_event", f"code = '{code}'", code)

    def land_security(self) -> None:
        code = self.random.choice((*CODES, INDEX))
        kind = {"sh510300": "fund", INDEX: "index"}.get(code, "stock")
        changes = {
            "name": self.random.choice((code, f"*ST {code}")),
            "is_listed": self.random.random() < 0.8,
        }
        raw.land(self.conn, "security", [raw.security(code, kind) | changes])

    def land_index_days(self) -> None:
        counts = {"up_count": self.random.randrange(9), "down_count": self.random.randrange(9)}
        bars = [
            raw.bar(INDEX, day, self.price(), is_final=self.is_final())
            | {"period": "day", "bar_end": f"{day} 07:00+00"}
            | counts
            for day in self.days()
        ]
        raw.land(self.conn, "index_kline", bars)

    def delete_index_day(self) -> None:
        day = self.random.choice(DAYS)
        self.delete("raw_tdx.index_kline", f"trade_date = '{day}'", INDEX)

    def land_minutes(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        ends = self.random.sample(raw.session_minutes(day), 3)
        raw.land(self.conn, "kline_minute", [raw.minute(code, e, self.price()) for e in ends])

    def land_sessions(self) -> None:
        land_sessions(self.conn, self.random.sample(SESSIONS, 2))

    def delete_session(self) -> None:
        day = self.random.choice(SESSIONS).day
        self.delete("raw_ib.session", f"trade_date = '{day}'", "")

    def land_contract(self) -> None:
        option = self.random.choice((*AAPL, *BRK_B))
        expiry = option.expiry + self.random.choice((0, 7)) * timedelta(days=1)
        terms = {"multiplier": self.random.choice((10, 100)), "expiry": expiry}
        raw.land(self.conn, "raw_ib.contract", [option.row | terms])

    def land_open_interest(self) -> None:
        session = self.random.choice(SESSIONS)
        options = self.random.sample(AAPL, 2)
        interest = [open_interest(o, session.day, self.random.randrange(9)) for o in options]
        raw.land(self.conn, "raw_ib.open_interest", interest)

    def rewrite_seed(self, seed: str, line: str) -> None:
        """Leave one line of the seed beside its title, or none."""
        self.conn.execute(f"delete from quotemill_intermediate.{seed} where line > 1".encode())
        if self.random.random() < 0.6:
            raw.add_line(self.conn, seed, line)

    def override_action(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        action = self.random.choice(("add", "remove", "replace", "rubbish"))
        self.rewrite_seed("corporate_action_overrides", f"{code},{day},{action},1,2,,,,,by chance")

    def split_underlying(self) -> None:
        day = self.random.choice(SESSIONS).day
        self.rewrite_seed("us_corporate_actions", f"BRK B,{day},split,2,1,by chance")

    def choose_source(self) -> None:
        self.conn.execute(
            "insert into ops.settings (key, value) values ('corporate_actions', %s) "
            "on conflict (key) do update set value = excluded.value",
            (self.random.choice(("csv", "gbbq")),),
        )


def contents(conn: psycopg.Connection) -> dict[str, list[str]]:
    """The rows of every table that dbt made, whatever models there are."""
    tables = conn.execute(
        "select format('%I.%I', m.schema_name, m.relation_name) from ops.managed_relation as m "
        "join pg_class as c on c.oid = to_regclass(format('%I.%I', schema_name, relation_name)) "
        "where c.relkind = 'r' order by 1"
    ).fetchall()
    assert len(tables) > 30
    return {
        name: [row for (row,) in conn.execute(f"select t::text from {name} as t order by 1")]
        for (name,) in tables
    }


def check_sequence(conn: psycopg.Connection, dbt: Dbt, seed: int) -> None:
    """Three builds after one to four changes each, then one that reads everything."""
    changes = Changes(conn, seed)
    made = []
    for _ in range(3):
        made.append([changes.make() for _ in range(changes.random.randrange(1, 5))])
        outcome = dbt(*UPDATE)
        assert outcome.success, (seed, made, outcome.error)
    as_they_came = contents(conn)
    assert dbt(*REBUILD).success
    from_nothing = contents(conn)
    differing = [name for name, rows in from_nothing.items() if rows != as_they_came[name]]
    assert differing == [], (seed, made)


@pytest.fixture
def market(option_days: str, conn: psycopg.Connection) -> psycopg.Connection:
    """Two weeks of a small market, beside the days of options."""
    raw.land(conn, "security", [raw.security(code) for code in STOCKS])
    raw.land(conn, "security", [raw.security("sh510300", "fund")])
    raw.land(conn, "trading_day", [raw.trading_day(day) for day in DAYS[:12]])
    raw.land(conn, "kline_daily", [raw.bar(c, day, "10") for day in DAYS[:10] for c in CODES])
    return conn


@pytest.mark.long
def test_sequences_of_changes_give_what_a_build_from_nothing_gives(
    market: psycopg.Connection, dbt: Dbt
) -> None:
    for seed in range(2):
        check_sequence(market, dbt, seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_two_hundred_sequences_of_changes_give_what_builds_from_nothing_give(
    market: psycopg.Connection, dbt: Dbt, block: int
) -> None:
    for seed in range(100 + 20 * block, 120 + 20 * block):
        check_sequence(market, dbt, seed)
