"""futures.main_daily against a series computed in fractions, and against a real contract."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land, weekdays
from tests.integration.dbt.raw_futures import (
    day_bar,
    land_days,
    land_schedule,
)

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
DAILY = ("run", "-s", "main_schedule", "main_daily")
PRICES = ("open", "high", "low", "close")
Row = dict[str, Any]
Bars = Mapping[tuple[str, date], Row]


def daily(conn: psycopg.Connection, series: str = "main_daily") -> list[Row]:
    query = f"select * from futures.{series} order by variety, trading_day".encode()
    return conn.cursor(row_factory=dict_row).execute(query).fetchall()


def rounded(value: Fraction, places: int) -> Decimal:
    scaled = value * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole).scaleb(-places)


def oracle(contracts: Mapping[date, str | None], bars: Bars) -> list[Row]:
    """The series, roll by roll."""
    days = [day for day in contracts if contracts[day]]
    gaps = {
        after: common_closes(str(contracts[before]), str(contracts[after]), after, bars)
        for before, after in pairwise(days)
        if contracts[before] != contracts[after]
    }
    rows = []
    for day in days:
        bar = bars.get((str(contracts[day]), day), {})
        later = [gap for roll, gap in gaps.items() if roll > day]
        until = [gap for roll, gap in gaps.items() if roll <= day]
        row: Row = {"trading_day": day, "underlying_contract": contracts[day]}
        for way, known in (("back", later), ("forward", until)):
            diff, ratio = Fraction(0), Fraction(1)
            for old, new in (gap for gap in known if gap):
                diff += new - old if way == "back" else old - new
                ratio *= new / old if way == "back" else old / new
            unknown = None in known
            row[f"{way}_diff"] = None if unknown else rounded(diff, 9)
            row[f"{way}_ratio"] = None if unknown else rounded(ratio, 18)
            for name in PRICES:
                price = bar.get(name)
                none = unknown or price is None
                raw = Fraction(price or 0)
                row[f"{name}_{way}_diff"] = None if none else rounded(raw + diff, 9)
                row[f"{name}_{way}_ratio"] = None if none else rounded(raw * ratio, 9)
        row |= {name: bar.get(name) for name in PRICES}
        row |= {"is_roll": day in gaps}
        rows.append(row)
    return rows


def common_closes(old: str, new: str, roll: date, bars: Bars) -> tuple[Fraction, Fraction] | None:
    """The closes of the newest day before a roll on which both traded."""
    days = {day for name, day in bars if day < roll}
    for day in sorted(days, reverse=True):
        pair = [bars.get((name, day)) for name in (old, new)]
        if all(bar and bar["close"] and bar["volume"] for bar in pair):
            first, second = (Fraction(bar["close"]) for bar in pair if bar)
            return first, second
    return None


def random_case(
    variety: str, seed: int
) -> tuple[dict[date, str | None], dict[tuple[str, date], Row]]:
    """Days with rolls, rolls back, days without a contract, bar or trade."""
    rng, names = random.Random(seed), [f"{variety}{name}" for name in "ABCD"]
    days = weekdays(date(2025, 3, 3), 40)
    contracts: dict[date, str | None] = {}
    current: str | None = names[0]
    for day in days:
        if rng.random() < 0.2:
            current = rng.choice([*names, None])
        contracts[day] = current
    bars = {}
    for name in names:
        for day in days:
            if rng.random() < 0.15:
                continue
            low = Decimal(rng.randint(30_000, 60_000)).scaleb(-rng.choice([0, 1, 3]))
            bar = day_bar(name, day, None, 1) | {"volume": rng.choice([0, 5, 9, 12])}
            if rng.random() > 0.1:
                # a step of prices with a prime in it, and one without
                prices = (low + Decimal("0.2"), low + Decimal("7"), low, low + Decimal("0.7"))
                bar |= dict(zip(PRICES, prices, strict=True))
            bars[name, day] = bar
    return contracts, bars


def test_day_by_day_and_from_nothing_equal_the_exact_series(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    cases = {variety: random_case(variety, seed) for variety, seed in (("X.a", 1), ("X.b", 2))}
    [days] = {tuple(contracts) for contracts, _ in cases.values()}
    land_days(conn, days)
    for first, end in pairwise((0, 20, 21, len(days))):
        until = set(days[:end])
        for variety, (contracts, bars) in cases.items():
            new = [bar for (_, day), bar in bars.items() if day in days[first:end]]
            land(conn, "raw_tq.contract_daily", new)
            land_schedule(conn, {d: n for d, n in contracts.items() if d in until}, variety)
        dbt(*DAILY)
        series = daily(conn)
        for variety, (contracts, bars) in cases.items():
            known = {key: bar for key, bar in bars.items() if key[1] in until}
            expected = oracle({day: contracts[day] for day in days[:end]}, known)
            made = [row for row in series if row["variety"] == variety]
            assert [{n: row[n] for n in expected[0]} for row in made] == expected, variety
    assert {row["variety"] for row in series if row["is_roll"]} == cases.keys()

    again = dbt(*DAILY)
    assert {name: count for name, count in again.written.items() if count > 0} == {}
    conn.execute("drop table futures.main_daily")
    dbt(*DAILY)
    assert daily(conn) == series


def real_bars(folder: Path) -> Sequence[Row]:
    """The day bars of a real contract, from its listing to its last day."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "klines_86400s_SHFE.au1912.parquet").to_pylist()
    return [
        {name: Decimal(repr(row[name])) for name in PRICES}
        | {"day": date.fromisoformat(row["datetime_cst"][:10]), "volume": row["volume"]}
        for row in rows
    ]


# of each way the gaps by which a contract is moved from the one after it; the newest is a real one
MOVES: dict[str, dict[str, Callable[[Decimal], Decimal]]] = {
    "diff": {"X.d1": lambda p: p - 3, "X.d2": lambda p: p + Decimal("1.55")},
    "ratio": {"X.r1": lambda p: p * Decimal("0.96"), "X.r2": lambda p: p * Decimal("1.03")},
}


def test_a_series_of_parts_is_the_real_contract_that_they_were_made_of(
    conn: psycopg.Connection, dbt: Dbt, real_tq_data: Path
) -> None:
    """Three contracts: the newest a real one, each before it the same moved by a gap of its own."""
    real, newest = real_bars(real_tq_data), "SHFE.au1912"
    days = [bar["day"] for bar in real]
    land_days(conn, days)
    moved = {newest: lambda price: price} | MOVES["diff"] | MOVES["ratio"]
    for name, move in moved.items():
        bars = [
            day_bar(name, bar["day"], None, 1)
            | {price: move(bar[price]) for price in PRICES}
            | {"volume": bar["volume"]}
            for bar in real
        ]
        land(conn, "raw_tq.contract_daily", bars)
    for way, (first, second) in MOVES.items():
        parts = dict.fromkeys(days[:90], first) | dict.fromkeys(days[90:170], second)
        land_schedule(conn, parts | dict.fromkeys(days[170:], newest), f"X.{way}")
    dbt(*DAILY)

    for way, (first, _) in MOVES.items():
        series = [row for row in daily(conn) if row["variety"] == f"X.{way}"]
        assert [row["trading_day"] for row in series] == days
        assert [row["trading_day"] for row in series if row["is_roll"]] == [days[90], days[170]]
        for price in PRICES:
            assert [row[f"{price}_back_{way}"] for row in series] == [bar[price] for bar in real]
            oldest = [moved[first](bar[price]) for bar in real]
            assert [row[f"{price}_forward_{way}"] for row in series] == oldest, way
