"""Raw rows to compare with: bars from minutes, the service's and the vendor's bars."""

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from tests.integration.dbt.raw_intraday import PRICES, at


def day_of(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """The day bar of minutes."""
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
