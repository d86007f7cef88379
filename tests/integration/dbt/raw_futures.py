"""Rows of schema raw_tq, as the loader leaves them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import psycopg

from loaders.trading_time import SHANGHAI
from tests.integration.dbt.raw import land

VARIETY = "SHFE.au"


@dataclass(frozen=True)
class Harvest:
    """A route of a variety: its window, and events as (first trading day, clock, contract)."""

    variety: str
    first: date
    last: date
    events: Sequence[tuple[date, datetime, str | None]]
    route: str = "backtest"

    @property
    def key(self) -> dict[str, object]:
        return {"variety": self.variety, "route": self.route}


def land_days(conn: psycopg.Connection, days: Iterable[date]) -> None:
    land(conn, "raw_tq.trading_day", [{"trade_date": day} for day in days])


def land_harvests(conn: psycopg.Connection, harvests: Iterable[Harvest]) -> None:
    """Replace the windows and events of the routes."""
    harvests = list(harvests)
    for h in harvests:
        conn.execute(
            "delete from raw_tq.main_event where variety = %s and route = %s", (h.variety, h.route)
        )
    land(
        conn,
        "raw_tq.main_harvest",
        [h.key | {"first_day": h.first, "last_day": h.last} for h in harvests],
    )
    land(
        conn,
        "raw_tq.main_event",
        [
            h.key | {"trading_day": day, "event_at": clock, "contract": name}
            for h in harvests
            for day, clock, name in h.events
        ],
    )


def evening_before(day: date) -> datetime:
    """21:00 in Shanghai of the calendar day before."""
    return datetime.combine(day - timedelta(1), time(21), SHANGHAI)


def land_schedule(
    conn: psycopg.Connection, contracts: Mapping[date, str | None], variety: str = VARIETY
) -> None:
    """The main contract of a variety on each day, as events."""
    days = list(contracts)
    events = [
        (after, evening_before(after), contracts[after])
        for before, after in pairwise(days)
        if contracts[before] != contracts[after]
    ]
    first = (days[0], evening_before(days[0]), contracts[days[0]])
    land_harvests(conn, [Harvest(variety, days[0], days[-1], [first, *events])])


def contract(
    name: str, variety: str, year: int, month: int, **changes: object
) -> dict[str, object]:
    row: dict[str, object] = {
        "contract": name,
        "variety": variety,
        "exchange": variety.split(".")[0],
        "name": name,
        "expire_date": date(year, month, 15),
        "price_tick": 10,
        "volume_multiple": 5,
        "delivery_year": year,
        "delivery_month": month,
    }
    return row | changes


def day_bar(name: str, day: date, close: str | None, close_oi: int) -> dict[str, object]:
    return {
        "contract": name,
        "trade_date": day,
        **dict.fromkeys(("open", "high", "low", "close"), close),
        "volume": 100,
        "open_oi": close_oi,
        "close_oi": close_oi,
    }


def stored_day(scheduled: dict[str, object], **changes: object) -> dict[str, object]:
    """A stored day of ticks for a row of futures.main_schedule."""
    day = scheduled["trading_day"]
    row: dict[str, object] = {
        "symbol": scheduled["symbol"],
        "contract": scheduled["underlying_contract"],
        "trading_day": day,
        "segment_id": scheduled["segment_id"],
        "schedule_hash": scheduled["schedule_hash"],
        "rows": 1000,
        "first_ts": f"{day} 01:00+00",
        "last_ts": f"{day} 07:00+00",
        "hash_a": 1,
        "hash_b": 2,
        "row_hash": "0000000100000002",
        "book_levels": 5,
        "status": "complete",
    }
    return row | changes
