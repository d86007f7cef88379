"""Minutes from ticks: rules one by one, and against minutes and day bars of the vendor."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.ticks.frame import day_frame
from loaders.tq.tick_days.minute_bars import make_minutes
from loaders.trading_time import SHANGHAI
from quotemill.ticks.columns import QUOTED, DayKey

DAY = date(2019, 9, 16)
Hours = list[tuple[datetime, datetime]]
Tick = tuple[str, float | None, int]


def at(clock: str, day: date = DAY) -> datetime:
    return datetime.combine(day, datetime.min.time(), SHANGHAI) + timedelta(
        **dict(zip(("hours", "minutes", "seconds"), map(float, clock.split(":")), strict=False))
    )


def hours(*parts: str) -> Hours:
    edges = [part.split("-") for part in parts]
    return [(at(start).astimezone(UTC), at(end).astimezone(UTC)) for start, end in edges]


def frame(rows: list[dict[str, Any]], day: date = DAY) -> pa.Table:
    """A day of ticks of these values; all others are missing."""
    columns = {name: pa.array([row.get(name) for row in rows], pa.float64()) for name, _ in QUOTED}
    columns["datetime_ns"] = pa.array([row["datetime_ns"] for row in rows], pa.int64())
    key = DayKey("KQ.m@SHFE.cu", "SHFE.cu1909", day)
    return day_frame(pa.table(columns), key, segment_id=1, schedule_hash="0")


def ticks(*rows: Tick) -> pa.Table:
    """(Shanghai clock, last price, lots so far); a lot costs five times the price."""
    return frame(
        [
            {
                "datetime_ns": round(at(clock).timestamp() * 10**3) * 10**6,
                "last_price": price,
                "volume": lots,
                "amount": lots * 500.0,
                "open_interest": 1000 + lots,
            }
            for clock, price, lots in rows
        ]
    )


def shown(bars: pa.Table) -> list[tuple[Any, ...]]:
    """(Shanghai clock, open, high, low, close, lots) of each minute."""
    return [
        (
            bar["start_at"].astimezone(SHANGHAI).strftime("%H:%M"),
            *(None if bar[name] is None else float(bar[name]) for name in PRICES),
            bar["volume"],
        )
        for bar in bars.to_pylist()
    ]


PRICES = ("open", "high", "low", "close")
MORNING = hours("9:00-9:03", "9:20-9:22")


@pytest.mark.parametrize("clock", ["9:20:00", "9:22:00"])
def test_a_session_with_one_tick_at_its_end_was_held(clock: str) -> None:
    bars = make_minutes(ticks(("9:00:30", 100, 7), (clock, 101, 9)), MORNING)
    assert [bar[0] for bar in shown(bars)] == ["09:00", "09:01", "09:02", "09:20", "09:21"]


def test_the_auction_is_of_the_first_minute_and_late_ticks_of_the_last() -> None:
    bars = make_minutes(
        ticks(
            ("8:59:00.5", 100, 7),
            ("9:00:30", 101, 8),
            ("9:02:59", 102, 9),
            ("9:03:00.5", 103, 11),
            ("9:20:10", 104, 12),
            ("9:22:00.5", 99, 15),
        ),
        MORNING,
    )
    assert shown(bars) == [
        ("09:00", 100, 101, 100, 101, 8),
        ("09:01", 101, 101, 101, 101, 0),
        ("09:02", 101, 103, 101, 103, 3),
        ("09:20", 104, 104, 104, 104, 1),
        ("09:21", 104, 104, 99, 99, 3),
    ]
    assert bars["session_start"].to_pylist() == [MORNING[0][0]] * 3 + [MORNING[1][0]] * 2
    assert bars["close_oi"].to_pylist() == [1008, 1008, 1011, 1012, 1015]
    assert bars["tick_count"].to_pylist() == [2, 0, 2, 1, 1]
    assert sum(bars["amount"].to_pylist()) == 15 * 500


def test_a_tick_at_the_full_minute_ends_a_minute() -> None:
    bars = make_minutes(
        ticks(("9:00:00", 100, 1), ("9:01:00", 101, 2), ("9:01:00.5", 102, 4)), MORNING[:1]
    )
    assert shown(bars) == [
        ("09:00", 100, 101, 100, 101, 2),
        ("09:01", 101, 102, 101, 102, 2),
        ("09:02", 102, 102, 102, 102, 0),
    ]


def test_prices_before_the_first_trade_are_none_of_the_day() -> None:
    bars = make_minutes(ticks(("9:00:10", 90, 0), ("9:01:10", 100, 1)), MORNING[:1])
    nothing = (None, None, None, None)
    assert shown(bars) == [
        ("09:00", *nothing, 0),
        ("09:01", 100, 100, 100, 100, 1),
        ("09:02", 100, 100, 100, 100, 0),
    ]


def test_a_session_without_a_tick_was_not_held() -> None:
    bars = make_minutes(ticks(("9:20:10", 100, 1)), MORNING)
    assert [row[0] for row in shown(bars)] == ["09:20", "09:21"]


def test_trades_outside_of_todays_hours_have_minutes_of_their_own() -> None:
    night = [(f"9:{minute}:30", 100.0, minute) for minute in range(1, 16)]
    longer = make_minutes(ticks(*night), MORNING[:1])
    assert [row[0] for row in shown(longer)] == [f"09:{minute:02}" for minute in range(16)]
    assert sum(row[-1] for row in shown(longer)) == 15
    without_hours = make_minutes(ticks(("9:05:10", 100, 3), ("9:50:10", 101, 4)), [])
    assert shown(without_hours) == [
        ("09:05", 100, 100, 100, 100, 3),
        ("09:50", 101, 101, 101, 101, 1),
    ]


@pytest.mark.parametrize(
    ("clock", "minutes"),
    [("9:09:00", 3), ("9:09:00.001", 10), ("8:54:00", 3), ("8:53:59.999", 10)],
)
def test_trades_six_minutes_off_are_still_of_the_session(clock: str, minutes: int) -> None:
    first, second = sorted([clock, "9:01:30"])
    bars = make_minutes(ticks((first, 100, 1), (second, 100, 2)), MORNING[:1])
    assert len(shown(bars)) == minutes


def test_figures_that_fall_or_lack_cost_nothing_else() -> None:
    rows = [
        {"datetime_ns": int(at(clock).timestamp()) * 10**9, "last_price": price, "volume": lots}
        for clock, price, lots in [
            ("9:00:10", 100, 5),
            ("9:00:20", None, 3),
            ("9:01:10", 102.35, 9),
        ]
    ]
    bars = make_minutes(frame(rows), MORNING[:1])
    assert [row[-1] for row in shown(bars)] == [5, 4, 0]
    assert bars["close"].to_pylist()[1] == Decimal("102.35")
    assert bars["amount"].null_count == bars["close_oi"].null_count == 3


def test_prices_and_turnover_have_nine_places() -> None:
    values = (("9:00:10", 0.1 + 0.2, 12345.600000000001), ("9:01:10", 100.30000000000001, 2e5 / 3))
    rows = [
        {"datetime_ns": int(at(clock).timestamp()) * 10**9, "last_price": price, "volume": lots}
        | {"amount": amount}
        for lots, (clock, price, amount) in enumerate(values, 1)
    ]
    bars = make_minutes(frame(rows), MORNING[:1])
    assert bars["close"].to_pylist()[:2] == [Decimal("0.3"), Decimal("100.3")]
    assert sum(bars["amount"].to_pylist()) == Decimal("66666.666666667")


def test_a_figure_of_another_day_or_too_great_costs_nothing_else() -> None:
    bars = make_minutes(
        ticks(
            ("8:59:00", 90, 900),
            ("8:59:01", 90, 900),
            ("9:00:10", 100, 2),
            ("9:00:20", 101, 5),
            ("9:01:10", 102, 2**40),
            ("9:01:20", 102, 7),
            ("9:02:10", 103, 9),
        ),
        MORNING[:1],
    )
    assert shown(bars) == [
        ("09:00", 100, 101, 100, 101, 5),
        ("09:01", 101, 102, 101, 102, 2),
        ("09:02", 102, 103, 102, 103, 2),
    ]
    assert sum(bars["amount"].to_pylist()) == 9 * 500


def minutes_of(file: Path) -> dict[date, list[dict[str, Any]]]:
    """The recorded minutes of each trading day that is whole in the file."""
    rows = pq.read_table(file).to_pylist()
    clocks = [datetime.fromisoformat(row["datetime_cst"][:19]) for row in rows]
    days = sorted({clock.date() for clock in clocks if 9 <= clock.hour < 16})
    whole = defaultdict(list)
    for row, clock in zip(rows, clocks, strict=True):
        evening = clock.date() + timedelta(days=clock.hour >= 18)
        whole[next((day for day in days if day >= evening), date.max)].append(row)
    return {day: whole[day] for day in days[1:-1]}


def ticks_of(bars: list[dict[str, Any]], day: date) -> pa.Table:
    """Ticks that a vendor's minutes may have come from.

    A minute opens at the price of the one before it; only the first after a break has an own first
    trade. Its last tick has the stamp of its end.
    """
    rows, lots, before = [], 0, 0
    for bar in bars:
        prices = [bar["high"], bar["low"], bar["close"]]
        if bar["datetime"] - before > 60 * 10**9:
            prices = [bar["open"], *prices]
        before = bar["datetime"]
        if not bar["volume"]:
            continue  # nor a tick
        for number, price in enumerate(prices, 1):
            lots += bar["volume"] if number == len(prices) else 0
            shares = {"volume": max(lots, 1), "open_interest": bar["close_oi"]}
            stamp = bar["datetime"] + number * 60 * 10**9 // len(prices)
            rows.append({"datetime_ns": stamp, "last_price": price} | shares)
    return frame(rows, day)


FILES = ["SHFE.au1912", "SHFE.cu2001", "CFFEX.T2003", "DCE.m2005"]


@pytest.mark.parametrize("contract", FILES)
def test_minutes_equal_those_that_the_vendor_recorded(real_tq_data: Path, contract: str) -> None:
    compared = 0
    for day, bars in minutes_of(real_tq_data / f"klines_60s_{contract}.parquet").items():
        stamps = np.array([bar["datetime"] for bar in bars])
        breaks = np.flatnonzero(np.diff(stamps) > 60 * 10**9)
        starts, ends = [0, *(breaks + 1)], [*breaks, len(stamps) - 1]
        spans = [
            tuple(
                datetime.fromtimestamp(int(ns) / 10**9, UTC) for ns in (stamps[a], stamps[b] + 6e10)
            )
            for a, b in zip(starts, ends, strict=True)
        ]
        made = make_minutes(ticks_of(bars, day), spans).to_pylist()  # type: ignore[arg-type]
        assert len(made) == len(bars)
        for bar, own in zip(bars, made, strict=True):
            if own["close"] is None:  # before the first trade the vendor has another day's price
                assert bar["volume"] == own["volume"] == 0
                continue
            assert [float(own[name]) for name in PRICES] == [bar[name] for name in PRICES], bar
            assert (own["volume"], own["close_oi"]) == (bar["volume"], bar["close_oi"])
            compared += 1
    assert compared > 9_000


def test_minutes_of_a_day_add_up_to_the_vendors_day_bar(real_tq_data: Path) -> None:
    recorded = pq.read_table(real_tq_data / "klines_86400s_SHFE.au1912.parquet").to_pylist()
    daily = {date.fromisoformat(row["datetime_cst"][:10]): row for row in recorded}
    days = minutes_of(real_tq_data / "klines_60s_SHFE.au1912.parquet")
    for day, bars in days.items():
        made = make_minutes(ticks_of(bars, day), []).to_pylist()
        bar = daily[day]
        extremes = (max(float(b["high"]) for b in made), min(float(b["low"]) for b in made))
        assert (float(made[0]["open"]), *extremes, float(made[-1]["close"])) == tuple(
            bar[name] for name in PRICES
        )
        assert sum(b["volume"] for b in made) == bar["volume"]
        assert made[-1]["close_oi"] == bar["close_oi"]
    assert len(days) == 61


def test_recorded_ticks_make_the_vendors_recorded_minutes(real_tq_data: Path) -> None:
    rows = pq.read_table(real_tq_data / "ticks_SHFE.cu1909.parquet").to_pylist()
    day = frame([row | {"datetime_ns": row["datetime"]} for row in rows])
    made = make_minutes(day, hours("9:00-10:15", "10:30-11:30", "13:30-15:00")).to_pylist()
    vendors = defaultdict(list)
    for row in pq.read_table(real_tq_data / "klines_10s_SHFE.cu1909.parquet").to_pylist():
        vendors[row["datetime"] // (60 * 10**9) * 60].append(row)
    del vendors[min(vendors)]  # a part of a minute
    compared = 0
    for own in made:
        parts = vendors.get(int(own["start_at"].timestamp()))
        if parts is None:
            continue
        assert [float(own[name]) for name in PRICES] == [
            parts[0]["open"],
            max(part["high"] for part in parts),
            min(part["low"] for part in parts),
            parts[-1]["close"],
        ]
        assert own["volume"] == sum(part["volume"] for part in parts)
        assert own["close_oi"] == parts[-1]["close_oi"]
        compared += 1
    assert compared == len(vendors) == 33
