"""Random changes of the days, minutes and actions of stocks."""

from datetime import date

import psycopg

from tests.e2e.builds.random_changes.source import SourceChanges
from tests.integration.dbt import raw
from tests.integration.dbt.raw_intraday import ticks

# over New Year, so that weeks and months cross years
DAYS = raw.weekdays(date(2023, 12, 18), 24)
# a stock that got a new code on the twelfth day
OLD_CODE, NEW_CODE, CHANGED = "bj833819", "bj920819", DAYS[11]
STOCKS = ("sh600000", "sz000002", "sz300001", "sh900901", OLD_CODE, NEW_CODE)
CODES = (*STOCKS, "sh510300")
INDEX = "sh000001"


def land_market(conn: psycopg.Connection) -> None:
    """Two weeks of a small market."""
    raw.land(conn, "security", [raw.security(code) for code in STOCKS])
    raw.land(conn, "security", [raw.security("sh510300", "fund")])
    raw.land(conn, "trading_day", [raw.trading_day(day) for day in DAYS[:12]])
    raw.land(conn, "kline_daily", [raw.bar(c, day, "10") for day in DAYS[:10] for c in CODES])


class MarketChanges(SourceChanges):
    """Changes of schema raw_tdx."""

    def _price(self) -> str:
        return f"{self.random.randrange(900, 1150) / 100:.2f}"

    def land_bars(self) -> None:
        codes = self.random.sample(CODES, self.random.randrange(1, len(CODES)))
        untraded = {"volume": 0, "amount": 0}
        bars = [
            raw.bar(code, day, self._price(), is_final=self.is_likely())
            | ({} if self.is_likely() else untraded)
            for day in self.days_in_a_row(DAYS)
            for code in codes
        ]
        raw.land(self.conn, "kline_daily", bars)
        if self.is_likely():
            raw.land(
                self.conn, "trading_day", [raw.trading_day(d) for d in self.days_in_a_row(DAYS)]
            )

    def delete_bars(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        self.delete("raw_tdx.kline_daily", f"code = '{code}' and trade_date = '{day}'")

    def land_calendar(self) -> None:
        source = self.random.choice(("service", "client", "exchange_calendar"))
        raw.land(
            self.conn, "trading_day", [raw.trading_day(d, source) for d in self.days_in_a_row(DAYS)]
        )

    def delete_calendar(self) -> None:
        self.delete("raw_tdx.trading_day", f"trade_date = '{self.random.choice(DAYS)}'")

    def land_action(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        changes = {
            "cash_per10_yuan": self.random.choice((0, 1, 5)),
            "bonus_total_per10": self.random.choice((0, 2)),
            "source": self.random.choice(("csv", "xdxr")),
            "is_withdrawn": self.random.random() < 0.3,
        }
        raw.land(self.conn, "corporate_action", [raw.action(code, day, **changes)])

    def land_capital(self) -> None:
        shares = {"value1": 0, "value2": 0, "value3": self.random.choice((0, 50, 70)), "value4": 90}
        event = {"code": self.random.choice(CODES), "event_date": self.random.choice(DAYS)}
        category = self.random.choice((1, 5, 11))
        raw.land(self.conn, "capital_event", [event | {"category": category, "seq": 1} | shares])

    def delete_capital(self) -> None:
        self.delete("raw_tdx.capital_event", f"code = '{self.random.choice(CODES)}'")

    def land_security(self) -> None:
        code = self.random.choice((*CODES, INDEX))
        kind = {"sh510300": "fund", INDEX: "index"}.get(code, "stock")
        changes = {
            "name": self.random.choice((code, f"*ST {code}")),
            "is_listed": self.is_likely(),
        }
        raw.land(self.conn, "security", [raw.security(code, kind) | changes])

    def land_index_days(self) -> None:
        counts = {"up_count": self.random.randrange(9), "down_count": self.random.randrange(9)}
        bars = [
            raw.bar(INDEX, day, self._price(), is_final=self.is_likely())
            | {"period": "day", "bar_end": f"{day} 07:00+00"}
            | counts
            for day in self.days_in_a_row(DAYS)
        ]
        raw.land(self.conn, "index_kline", bars)

    def delete_index_day(self) -> None:
        self.delete("raw_tdx.index_kline", f"trade_date = '{self.random.choice(DAYS)}'")

    def land_minutes(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        ends = self.random.sample(raw.session_minutes(day), 3)
        raw.land(self.conn, "kline_minute", [raw.minute(code, e, self._price()) for e in ends])

    def land_ticks(self) -> None:
        code, day = self.random.choice(CODES), self.random.choice(DAYS)
        trades = [("09:31", self._price(), self.random.randrange(1, 2000), 0)]
        raw.land(self.conn, "tick_trade", ticks(code, day, trades))

    def delete_ticks(self) -> None:
        self.delete("raw_tdx.tick_trade", f"trade_date = '{self.random.choice(DAYS)}'")

    def change_market_setting(self) -> None:
        self.set("corporate_actions", ("csv", "gbbq"))
