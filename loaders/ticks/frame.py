"""A day of ticks as an Arrow table.

Its schema, and the checks that every day passes before it is sent.

QuestDB silently stores what it should refuse: a missing time stamp becomes its clock, a missing
`seq` a null part of the key, a fractional volume is cut off. So all of that is refused here.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quotemill.errors import DataQualityError
from quotemill.ticks.columns import QUOTED, TICKS, DayKey, window

MOST = 9 * 10**14  # of a price, volume or amount: ten thousand times as much fits 64 bits
_MOST_SEQ = 2**31 - 1


class TickError(DataQualityError):
    """A broken rule of a day of ticks; names the row (from 0), field and rule."""


def key_of(day: pa.Table) -> DayKey:
    """The key of a checked table."""
    return DayKey(
        day["symbol"][0].as_py(),
        day["underlying_contract"][0].as_py(),
        day["trading_day"][0].as_py(),
    )


def day_frame(quoted: pa.Table, key: DayKey, *, segment_id: int, schedule_hash: str) -> pa.Table:
    """The checked day of a source's ticks, in the order in which they came.

    `quoted` has `datetime_ns` and the columns of QUOTED. Raises TickError.
    """
    stamps = _whole(quoted, "datetime_ns")
    if stamps.null_count:
        _refuse(_first(pc.is_null(stamps)), "datetime_ns", "must not be missing")
    micros = np.asarray(stamps) // 1000
    length = quoted.num_rows
    made = {
        "ts": pa.array(micros, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "symbol": pa.repeat(key.symbol, length),
        "underlying_contract": pa.repeat(key.contract, length),
        "trading_day": pa.repeat(pa.scalar(key.trading_day, pa.date32()), length),
        "seq": pa.array(_places(micros), pa.int64()),
        "segment_id": pa.repeat(pa.scalar(segment_id, pa.int32()), length),
        "schedule_hash": pa.repeat(schedule_hash, length),
    }
    return checked(
        pa.table({name: made[name] if name in made else quoted[name] for name in TICKS.names})
    )


def checked(table: pa.Table) -> pa.Table:
    """The table with the columns and types of TICKS, in one chunk; NaN becomes null.

    Raises TickError that names row, field and rule: for no row, a missing column, stamp, key or
    seq, a fractional volume, an infinite or huge number, `ts` other than `datetime_ns` cut to
    microseconds, two rows of one (ts, seq), and rows of more than one (symbol, contract, trading
    day).
    """
    if missing := [name for name in TICKS.names if name not in table.column_names]:
        raise TickError(f"column missing in a day of ticks: {missing[0]}")
    if not table.num_rows:
        raise TickError("a day of ticks has no rows")
    columns = [_column(table, field) for field in TICKS]
    day = pa.table(columns, schema=TICKS)
    for name in ("symbol", "underlying_contract", "trading_day"):
        _refuse_where(
            pc.not_equal(day[name], day[name][0]), name, f"must be {day[name][0]} as in row 0"
        )
    for name in ("segment_id", "schedule_hash"):
        _refuse_where(pc.not_equal(day[name], day[name][0]), name, "must be the same in all rows")
    micros, nanos = _numbers(day["ts"]), _numbers(day["datetime_ns"])
    _refuse_where(micros != nanos // 1000, "ts", "must be datetime_ns cut to microseconds")
    first, last = (pa.scalar(at, TICKS.field("ts").type) for at in window(key_of(day).trading_day))
    outside = pc.or_(pc.less(day["ts"], first), pc.greater_equal(day["ts"], last))
    _refuse_where(outside, "ts", "must lie near its trading day")
    seq = _numbers(day["seq"])
    _refuse_where((seq < 0) | (seq > _MOST_SEQ), "seq", f"must lie between 0 and {_MOST_SEQ}")
    order = np.lexsort((seq, micros))
    same = (np.diff(micros[order]) == 0) & (np.diff(seq[order]) == 0)
    if same.any():
        _refuse(int(order[1:][same][0]), "seq", "occurs twice in one ts")
    return day


def _column(table: pa.Table, field: pa.Field) -> Any:
    array = _whole(table, field.name) if pa.types.is_int64(field.type) else _cast(table, field)
    if not field.nullable:
        _refuse_where(pc.is_null(array), field.name, "must not be missing")
    if pa.types.is_floating(field.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, field.type), array)
        _refuse_where(pc.is_inf(array), field.name, "must be a finite number")
    if field.name in dict(QUOTED):
        beyond = pc.or_(pc.greater(array, MOST), pc.less(array, -MOST))
        _refuse_where(beyond, field.name, f"must lie between {-MOST} and {MOST}")
    return array


def _whole(table: pa.Table, name: str) -> Any:
    """A column of whole numbers; NaN becomes null."""
    column = _one_chunk(table[name])
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        _refuse_where(pc.not_equal(pc.floor(column), column), name, "must be a whole number")
        _refuse_where(pc.greater(pc.abs(column), 2.0**53), name, "must be a whole number")
    return _cast_array(column, name, pa.int64())


def _cast(table: pa.Table, field: pa.Field) -> Any:
    return _cast_array(_one_chunk(table[field.name]), field.name, field.type)


def _cast_array(column: Any, name: str, kind: pa.DataType) -> Any:
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        for row, value in enumerate(column):
            try:
                value.cast(kind)
            except pa.ArrowException:
                raise TickError(f"row {row}, {name}: must be {kind}, is {value}") from None
        raise TickError(f"{name}: must be {kind} ({error})") from None


def _one_chunk(column: pa.ChunkedArray) -> Any:
    chunk = column.combine_chunks()
    return chunk if isinstance(chunk, pa.Array) else pa.concat_arrays(chunk.chunks)


def _numbers(column: pa.ChunkedArray) -> Any:
    return np.asarray(_one_chunk(column).cast(pa.int64()))


def _places(micros: Any) -> Any:
    """The number of equal stamps before each stamp."""
    order = np.argsort(micros, kind="stable")
    ordered = micros[order]
    places = np.arange(len(micros))
    starts = np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(micros)]
    firsts = np.maximum.accumulate(np.where(starts, places, 0))
    seq = np.empty(len(micros), np.int64)
    seq[order] = places - firsts
    return seq


def _refuse_where(mask: Any, field: str, rule: str) -> None:
    broken = np.asarray(pc.fill_null(mask, False)) if not isinstance(mask, np.ndarray) else mask
    if broken.any():
        _refuse(int(broken.argmax()), field, rule)


def _first(mask: Any) -> int:
    return int(np.asarray(mask).argmax())


def _refuse(row: int, field: str, rule: str) -> None:
    raise TickError(f"row {row}, {field}: {rule}")
