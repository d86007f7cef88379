"""Count and hash of rows in any order: the same from the warehouse and from a file.

Each value becomes text: whole numbers and numerics with all digits, dates as days and timestamps as
microseconds since 1970, doubles as their bits, arrays with commas, null as U+001E; U+001F separates
values. The first 16 bytes of the SHA-256 of a row's text are two numbers, summed over rows modulo
2^64. So contents add up: a compacted file's is the sum of what went into it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NULL, _BETWEEN = "\x1e", "\x1f"
_WHOLE = 2**64
_MOST_SCALE = 6  # beyond, Arrow writes small numerics with an exponent


@dataclass(frozen=True)
class Content:
    """The number of rows and their two sums."""

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: "Content") -> "Content":
        return Content(
            self.rows + other.rows,
            (self.first + other.first) % _WHOLE,
            (self.second + other.second) % _WHOLE,
        )

    @property
    def hash(self) -> str:
        return f"{self.first % _WHOLE:016x}{self.second % _WHOLE:016x}"

    @classmethod
    def parse(cls, rows: int, content_hash: str) -> "Content":
        """The content that a count and a hash record."""
        return cls(rows, int(content_hash[:16], 16), int(content_hash[16:], 16))


def sums_query(schema: pa.Schema, rows: str, keys: Sequence[str]) -> str:
    """A query of the count and both sums of `rows` by `keys`.

    rows: what follows `from`, with the columns of `schema`
    """
    text = f" || chr({ord(_BETWEEN)}) || ".join(
        f"coalesce({_sql_text(field)}, chr({ord(_NULL)}))" for field in schema
    )
    by = ", ".join(keys)
    # offset keeps the planner from hashing a row for each sum
    digests = f"select {by}, sha256(convert_to({text}, 'UTF8')) as digest from {rows} offset 0"

    def total(start: int) -> str:
        number = f"('x' || encode(substring(digest from {start} for 8), 'hex'))::bit(64)::bigint"
        return f"sum({number})"

    sums = f"count(*), {total(1)}, {total(9)}"
    return f"select {by}, {sums} from ({digests}) as hashed group by {by}"


def content_from_sums(rows: int, first: Any, second: Any) -> Content:
    """The content that a query by `sums_query` returned."""
    return Content(rows, int(first or 0) % _WHOLE, int(second or 0) % _WHOLE)


def _sql_text(field: pa.Field) -> str:
    name, kind = f'"{field.name}"', field.type
    if pa.types.is_string(kind):
        return name
    if pa.types.is_list(kind):
        return f"array_to_string({name}, ',')"
    if pa.types.is_date(kind):
        return f"({name} - date '1970-01-01')::text"
    if pa.types.is_timestamp(kind):
        return f"(extract(epoch from {name}) * 1000000)::bigint::text"
    if pa.types.is_floating(kind):
        return f"('x' || encode(float8send({name}), 'hex'))::bit(64)::bigint::text"
    if pa.types.is_boolean(kind):
        return f"{name}::integer::text"
    return f"{name}::text"


def content(rows: pa.Table) -> Content:
    """The content of all rows over all columns."""
    return sum_hashes(row_hashes(rows))


def runs(keys: pa.Table) -> Iterable[tuple[Any, int, int]]:
    """Runs of adjacent rows with the same key: key, start, end."""
    if keys.num_rows == 0:
        return
    changes = np.zeros(keys.num_rows - 1, bool)
    for column in keys.columns:
        codes = column.combine_chunks().dictionary_encode()
        codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
        numbers = codes.indices.to_numpy(zero_copy_only=False)
        changes |= numbers[1:] != numbers[:-1]
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    for start, end in zip(starts, [*starts[1:], keys.num_rows], strict=True):
        yield tuple(column[start].as_py() for column in keys.columns), start, end


def row_hashes(rows: pa.Table) -> Any:
    """Two 64-bit numbers per row, as an array of two columns."""
    if rows.num_rows == 0:
        return np.empty((0, 2), np.uint64)
    texts = [_arrow_text(rows[name]) for name in rows.column_names]
    joined = pc.binary_join_element_wise(
        *texts, _BETWEEN, null_handling="replace", null_replacement=_NULL
    )
    sha256 = hashlib.sha256
    halves = b"".join(sha256(text).digest()[:16] for text in joined.cast(pa.binary()).to_pylist())
    return np.frombuffer(halves, ">u8").astype(np.uint64).reshape(-1, 2)


def sum_hashes(hashes: Any) -> Content:
    """The content of rows with these hashes."""
    first, second = hashes.sum(axis=0, dtype=np.uint64).tolist() if len(hashes) else (0, 0)
    return Content(len(hashes), first, second)


def _arrow_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_list(kind):
        return pc.binary_join(column, ",")
    if pa.types.is_date(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_floating(kind):
        column = pa.chunked_array([c.view(pa.int64()) for c in column.chunks], pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(kind) and kind.scale > _MOST_SCALE:
        raise ValueError(f"a numeric with {kind.scale} decimals has no unique text")
    return column.cast(pa.string())


def difference(
    wanted: Mapping[tuple[Any, ...], Content], actual: Mapping[tuple[Any, ...], Content]
) -> str | None:
    """The first key whose contents differ, as text."""
    keys = sorted(k for k in wanted.keys() | actual.keys() if wanted.get(k) != actual.get(k))
    return " ".join(map(str, keys[0])) if keys else None
