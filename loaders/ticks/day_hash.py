"""The hash of a day: the same from Arrow and, its first half, from QuestDB.

It covers the quoted columns of a row, in the order of HASHED: x = price or volume in
ten-thousandths, the stamp as it is, a fixed number for null. m = x mod P, made positive; L = Σ m·c
mod P, and L² mod P is the hash of the row. A day's hash is the sum over its rows, so their order
does not matter; squared, so that cells swapped between rows do. Twice, with the coefficients c
forwards and backwards. Digits beyond the fourth do not count. `segment_id`, `schedule_hash` and
`is_deleted` are left out: a revised schedule changes no hash.

Every step is exact in 64 bits and in doubles, so no engine can differ. The order of the columns and
the coefficients are the hash's version.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks.store import Measured, split_days
from quotemill.ticks.columns import BOOK, LEVELS, QUOTED

P = 2**31 - 1
SCALE = 10_000
AT_ONCE = 50_000  # ticks of several days: more of them leave the processor's caches
NULL = -9_007_199_254_740_991
HASHED = ("datetime_ns", *(name for name, _ in QUOTED))
_FLOATS = {name for name, kind in QUOTED if pa.types.is_floating(kind)}
_DEEP = BOOK[4:]  # the levels that few exchanges give
_NO_PRICES = " and ".join(f"{name} is null" for name in _DEEP if "price" in name)
_NO_VOLUMES = " and ".join(f"{name} = 0" for name in _DEEP if "volume" in name)
_MISSING_VOLUMES = " and ".join(f"{name} is null" for name in _DEEP if "volume" in name)


def _coefficients() -> list[int]:
    """Reproducible 31-bit numbers, none of them 0."""
    return [
        int.from_bytes(hashlib.sha256(b"gh2:%d" % i).digest()[:4], "big") % (P - 1) + 1
        for i in range(len(HASHED))
    ]


COEFFICIENTS = _coefficients()


def row_hash(hash_a: int, hash_b: int) -> str:
    return f"{hash_a % 2**31:08x}{hash_b % 2**31:08x}"


def measured(day: pa.Table) -> Measured:
    """The measures of rows of quotemill.ticks.columns.TICKS, which may be none."""
    (seen,) = measure_days([day])
    return seen


def measure_days(days: Sequence[pa.Table]) -> list[Measured]:
    """The measures of each day; short ones are hashed together, as calls are most of their time."""
    batches = split_days(days, AT_ONCE, lambda day: day.num_rows)
    return [seen for batch in batches for seen in _measure_batch(batch)]


def _measure_batch(days: Sequence[pa.Table]) -> Iterator[Measured]:
    ends = np.cumsum([day.num_rows for day in days])[:-1]
    lines = [np.split(line, ends) for line in _row_hashes(pa.concat_tables(days))]
    for day, *hashes in zip(days, *lines, strict=True):
        a, b = (int(line.sum()) for line in hashes)
        first, last = pc.min_max(day["ts"]).as_py().values()
        deepest = [n for n in range(1, LEVELS + 1) if _has_level(day, n)]
        levels = max(deepest, default=0)
        yield Measured(day.num_rows, first, last, a, b, row_hash(a, b), levels)


def _row_hashes(rows: pa.Table) -> list[Any]:
    """The hashes of each row, with the coefficients forwards and backwards."""
    lines = [np.zeros(rows.num_rows, np.int64) for _ in range(2)]
    for place, name in enumerate(HASHED):
        rest = _numbers(rows[name], name) % P  # never negative in numpy
        for line, coefficients in zip(lines, (COEFFICIENTS, COEFFICIENTS[::-1]), strict=True):
            line += rest * coefficients[place]
            if place % 2:  # see _sum
                line %= P
    return [line * line % P for line in lines]


def measure_sql(relation: str, where: str) -> str:
    """A query for MeasuredTicks: its fields in their order, a row for each."""
    key = "symbol, underlying_contract, trading_day, segment_id, schedule_hash"
    return f"""
        select
            {key}, count(*) as rows, min(ts) as first_ts, max(ts) as last_ts,
            cast(sum((line * line) % {P}) as long) as hash_a
        from (
            select {key}, ts, {_line()} as line
            from {relation}
            where {where} and not is_deleted
        ) as days
        group by {key}
    """


def _line() -> str:
    """L mod P, or that minus P: their squares are the same mod P.

    An engine's time goes by the number of its operations, so levels that an exchange does not give
    are one number, for prices that are missing and volumes of 0 or missing ones.
    """
    pairs = list(zip(HASHED, COEFFICIENTS, strict=True))
    first, deep = pairs[: -len(_DEEP)], pairs[-len(_DEEP) :]
    zero = sum(0 if "volume" in name else NULL * coefficient for name, coefficient in deep) % P
    missing = sum(NULL * coefficient for _, coefficient in deep) % P
    return (
        f"(({_sum(first)} + case when {_NO_PRICES} and {_NO_VOLUMES} then {zero} "
        f"when {_NO_PRICES} and {_MISSING_VOLUMES} then {missing} "
        f"else {_sum(deep)} end) % {P})"
    )


def _sum(pairs: Sequence[tuple[str, int]]) -> str:
    """Two products fit 64 bits beside a rest, so every second one is followed by a remainder."""
    products = [_product(name, coefficient) for name, coefficient in pairs]
    total = "0"
    for first, second in zip(products[::2], products[1::2], strict=True):
        total = f"(({total} + {first} + {second}) % {P})"
    return total


def _product(name: str, coefficient: int) -> str:
    if name == "datetime_ns":
        return f"{name} % {P} * {coefficient}"
    null = NULL % P * coefficient
    if name not in _FLOATS:
        return f"coalesce({name} % {P} * {coefficient * SCALE % P}, {null})"
    # half up by floor: engines round ties differently
    value = f"cast(floor({name} * {SCALE} + 0.5) as long)"
    return f"coalesce({value} % {P} * {coefficient}, {null})"


def _numbers(column: pa.ChunkedArray, name: str) -> Any:
    if name == "datetime_ns":
        return column.to_numpy()
    if name not in _FLOATS:
        return pc.fill_null(pc.multiply(column, SCALE), NULL).to_numpy()
    scaled = np.floor(column.to_numpy() * SCALE + 0.5)  # a null is not a number here
    scaled[np.isnan(scaled)] = NULL
    return scaled.astype(np.int64)


def _has_level(day: pa.Table, level: int) -> bool:
    return any(day[f"{side}_price{level}"].null_count < day.num_rows for side in ("bid", "ask"))
