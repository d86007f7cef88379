"""Checks of `quotemill doctor` about this source."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from loaders.check import Check
from loaders.settings import Settings
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

HORIZON = timedelta(days=15)  # of the calendar: qa_calendar_horizon has the same


def check_setup(_: Settings, warehouse: Warehouse | None, now: datetime) -> Iterator[Check]:
    """Check that the trading days reach far enough."""
    if warehouse is None:
        return
    with warehouse.connect() as conn:
        if not has_relation(conn, "raw_tq.trading_day"):
            return
        [(end,)] = conn.execute("select max(trade_date) from raw_tq.trading_day")
    if end is not None and end - now.date() < HORIZON:
        seen = f"trading days of futures are available up to {end}"
        yield Check("horizon", "warn", seen, "loaders run tq --mode mapping")
