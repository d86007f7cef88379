"""Random changes of the contracts, main mapping and settlement of futures."""

from datetime import date

import psycopg

from tests.e2e.builds.random_changes.source import SourceChanges
from tests.integration.dbt import raw, raw_futures

# a week with holidays between two others
DAYS = [
    day
    for day in raw.weekdays(date(2025, 9, 22), 16)
    if not date(2025, 10, 1) <= day <= date(2025, 10, 8)
]
VARIETIES = ("SHFE.cu", "SHFE.au")
DELIVERIES = (10, 11, 12)


def contract_of(variety: str, month: int) -> str:
    return f"{variety}25{month}"


def land_futures(conn: psycopg.Connection) -> None:
    """Eight days of two varieties, whose main contract changes on the fourth."""
    raw_futures.land_days(conn, DAYS[:8])
    raw.land(
        conn,
        "raw_tq.contract",
        [
            raw_futures.contract(contract_of(variety, month), variety, 2025, month)
            for variety in VARIETIES
            for month in DELIVERIES
        ],
    )
    for variety in VARIETIES:
        names = [contract_of(variety, month) for month in DELIVERIES]
        events = [
            (day, raw_futures.evening_before(day), name)
            for day, name in zip((DAYS[0], DAYS[3]), names, strict=False)
        ]
        raw_futures.land_harvests(conn, [raw_futures.Harvest(variety, DAYS[0], DAYS[7], events)])
        bars = [
            raw_futures.day_bar(name, day, str(70_000 + 10 * place), 9)
            for place, name in enumerate(names)
            for day in DAYS[:8]
        ]
        raw.land(conn, "raw_tq.contract_daily", bars)


class FuturesChanges(SourceChanges):
    """Changes of schema raw_tq."""

    def _contract(self) -> str:
        return contract_of(self.random.choice(VARIETIES), self.random.choice(DELIVERIES))

    def land_futures_days(self) -> None:
        days = self.days_in_a_row(DAYS)
        rows = [{"trade_date": day, "is_final": self.is_likely()} for day in days]
        raw.land(self.conn, "raw_tq.trading_day", rows)

    def delete_futures_day(self) -> None:
        day = self.random.choice(DAYS)
        self.delete("raw_tq.trading_day", f"trade_date = '{day}'")

    def land_main_mapping(self) -> None:
        variety = self.random.choice(VARIETIES)
        first, last = sorted(self.random.sample(DAYS, 2))
        route = self.random.choice(("backtest", "backtest", "history"))
        names = [contract_of(variety, month) for month in DELIVERIES]
        days = sorted(self.random.sample(DAYS, 3))
        self.delete("raw_tq.main_event", f"variety = '{variety}' and route = '{route}'")
        events = [
            (day, raw_futures.evening_before(day), self.random.choice((*names, *names, None)))
            for day in days
        ]
        harvest = raw_futures.Harvest(variety, first, last, events, route)
        raw_futures.land_harvests(self.conn, [harvest])

    def land_futures_contract(self) -> None:
        variety, month = self.random.choice(VARIETIES), self.random.choice(DELIVERIES)
        changes = {
            "price_tick": self.random.choice((1, 10)),
            "expire_date": self.random.choice((None, date(2025, month, 15))),
            # of a decade before, under the same name
            "delivery_year": self.random.choice((2025, 2025, 2015)),
        }
        row = raw_futures.contract(contract_of(variety, month), variety, 2025, month, **changes)
        raw.land(self.conn, "raw_tq.contract", [row])

    def delete_futures_contract(self) -> None:
        self.delete("raw_tq.contract", f"contract = '{self._contract()}'")

    def land_futures_bars(self) -> None:
        price = self.random.choice((None, "70000", "71000.5"))
        held = self.random.randrange(100)
        rows = [
            raw_futures.day_bar(self._contract(), day, price, held) | {"is_final": self.is_likely()}
            for day in self.days_in_a_row(DAYS)
        ]
        raw.land(self.conn, "raw_tq.contract_daily", rows)

    def delete_futures_bars(self) -> None:
        self.delete("raw_tq.contract_daily", f"contract = '{self._contract()}'")

    def land_settlement(self) -> None:
        price = self.random.choice((None, 70000, 71000))
        rows: list[dict[str, object]] = [
            {"contract": self._contract(), "trade_date": day, "settlement": price}
            for day in self.days_in_a_row(DAYS)
        ]
        raw.land(self.conn, "raw_tq.settlement", rows)

    def land_stored_day(self) -> None:
        variety, day = self.random.choice(VARIETIES), self.random.choice(DAYS)
        scheduled = {
            "symbol": f"KQ.m@{variety}",
            "underlying_contract": contract_of(variety, self.random.choice(DELIVERIES)),
            "trading_day": day,
            "segment_id": 1,
            "schedule_hash": "0",
        }
        status = self.random.choice(("complete", "short", "superseded"))
        row = raw_futures.stored_day(scheduled, status=status)
        raw.land(self.conn, "raw_tq.symbol_day", [row])

    def change_futures_setting(self) -> None:
        self.set("tq_route", ("backtest", "history"))
