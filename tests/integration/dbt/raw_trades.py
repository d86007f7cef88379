"""Raw rows beside those of raw.py: ticks, minutes, quotes, the vendor's series, a comparison."""

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg

PRICES = ("open", "high", "low", "close")


def at(day: date, clock: str) -> datetime:
    """An instant of the exchange's wall clock, UTC."""
    hour, minute = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


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
    li = int(Decimal(price) * 1000)
    morning = [at(day, "09:30") + timedelta(minutes=n) for n in range(1, 121)]
    afternoon = [at(day, "13:00") + timedelta(minutes=n) for n in range(1, 121)]
    return [
        {
            "code": code,
            "bar_end": bar_end,
            "trade_date": day,
            "source_label": f"{bar_end + timedelta(hours=8):%H:%M}",
            **dict.fromkeys(PRICES, li),
            "volume": hands,
            "amount": li * 100 * hands,
        }
        | changes
        for bar_end in morning + afternoon
    ]


def day_of(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """The day bar that minutes make."""
    return _bar(rows) | {"trade_date": rows[0]["trade_date"]}


def period_bars(
    rows: Sequence[dict[str, object]], period: str, size: int
) -> list[dict[str, object]]:
    """The service's bars of `size` minutes, or of all rows at once."""
    groups = [rows[n : n + size] for n in range(0, len(rows), size)]
    return [
        _bar(group)
        | {
            "period": period,
            "bar_end": group[-1].get("bar_end") or at(_date(group[-1]), "15:00"),
            "trade_date": group[-1]["trade_date"],
            "source_route": "/api/kline-all",
        }
        for group in groups
    ]


def _date(row: dict[str, object]) -> date:
    day = row["trade_date"]
    assert isinstance(day, date)
    return day


def _bar(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    def column(name: str) -> list[int]:
        return [int(str(row[name])) for row in rows]

    return {
        "code": rows[0]["code"],
        "open": rows[0]["open"],
        "high": max(column("high")),
        "low": min(column("low")),
        "close": rows[-1]["close"],
        "volume": sum(column("volume")),
        "amount": sum(column("amount")),
    }


def vendor_bars(code: str, bars: Iterable[dict[str, str]], prefix: str) -> list[dict[str, object]]:
    """The vendor's days from rows of a CSV file whose prices are named `prefix` + open …"""
    return [
        {
            "code": code,
            "trade_date": row["date"],
            **{p: int(Decimal(row[prefix + p]) * 1000) for p in PRICES},
            "volume": 0,
        }
        for row in bars
    ]


def real_vendor_bars(folder: Path, kind: str) -> list[dict[str, object]]:
    """The adjusted series of both real stocks: `thirdparty_forward` (another program's, a cent off
    here and there) or `expected_qfq`."""
    rows = []
    for code in ("SH600000", "SZ000002"):
        with (folder / f"{kind}_{code}.csv").open(newline="") as file:
            prefix = "qfq_" if kind == "expected_qfq" else ""
            rows += vendor_bars(code.lower(), csv.DictReader(file), prefix)
    return rows


def compare(conn: psycopg.Connection, codes: Sequence[str], first: date, last: date) -> int:
    """Record a comparison, as the command does before it builds."""
    row = conn.execute(
        "insert into ops.reconciliation_runs (as_of, month, sample, seed) "
        "values (now(), %s, 1, 1) returning run_id",
        (first,),
    ).fetchone()
    assert row is not None
    conn.execute(
        "insert into ops.reconciliation_sample (run_id, code, first_date, last_date) "
        "select %s, unnest(%s::text[]), %s, %s",
        (row[0], list(codes), first, last),
    )
    return int(row[0])
