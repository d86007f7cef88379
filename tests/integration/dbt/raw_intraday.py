"""Raw rows within a day: ticks, quotes, minutes."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tests.integration.dbt.raw import minute, session_minutes

PRICES = ("open", "high", "low", "close")


def at(day: date, clock: str) -> datetime:
    """A time of the exchange's wall clock, UTC."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day, hours, minutes, tzinfo=UTC) - timedelta(hours=8)


def ticks(
    code: str, day: date, trades: Iterable[tuple[str, str, int, int]], **changes: object
) -> list[dict[str, object]]:
    """Ticks of a day from (clock, price in yuan, hands, side)."""
    return [
        {
            "code": code,
            "trade_date": day,
            "ordinal": ordinal,
            "traded_at": at(day, clock),
            "price": int(Decimal(price) * 1000),
            "volume": hands,
            "side": side,
            "order_count": 0,
        }
        | changes
        for ordinal, (clock, price, hands, side) in enumerate(trades, 1)
    ]


def quote(
    code: str, sampled_at: datetime, previous_close: str, last: str | None, **changes: object
) -> dict[str, object]:
    """A quote whose prices of the day are all `last`; None for a code without a trade."""
    close = int(Decimal(last) * 1000) if last else 0
    row: dict[str, object] = {
        "code": code,
        "sampled_at": sampled_at,
        "trade_date": (sampled_at + timedelta(hours=8)).date(),
        "previous_close": int(Decimal(previous_close) * 1000),
        **dict.fromkeys(PRICES, close),
        "total_hand": 10 if last else 0,
        "current_hand": 1 if last else 0,
        "amount_yuan": "0",
        "inside_dish": 4,
        "outer_disc": 6,
        "server_time": "1",
        "active1": 1,
        "active2": 1,
    }
    for side, step in (("bid", -10), ("ask", 10)):
        for level in range(1, 6):
            row[f"{side}{level}_price"] = close + step * level if last else 0
            row[f"{side}{level}_volume"] = level if last else 0
    return row | changes


def minutes(
    code: str, day: date, price: str = "10", hands: int = 10, **changes: object
) -> list[dict[str, object]]:
    """The 240 minutes of a day, each at one price."""
    amount = int(Decimal(price) * 1000) * 100 * hands
    ends = session_minutes(day)
    return [minute(code, end, price, volume=hands, amount=amount, **changes) for end in ends]
