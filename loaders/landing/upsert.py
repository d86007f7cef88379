"""The statements that land a file: COPY into a temp table, INSERT from it into the landed table.

Of a table whose rows are replaced unit by unit (a day of ticks), what the new unit lacks is deleted
in between. The same statements tell the change feed what they wrote.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing.change_feed import told
from loaders.landing.lineage import Numbers
from loaders.warehouse.tables import FILE_NO, LOAD_ID, ROUTE_NO, SOURCE_ROUTE

if TYPE_CHECKING:
    from loaders.landing.compressed import Compressed

log = logging.getLogger(__name__)

COPY_ROWS = 50_000
ROW_NO = "_row_no"  # of a row in its file, from 1
NO_NUL = "text must not hold the character NUL"
# never a reason to rewrite a row: an overlap that is read again would rewrite all of it
LINEAGE = frozenset({LOAD_ID, FILE_NO, "fetched_at", SOURCE_ROUTE, ROUTE_NO, "source_ref"})
_AHEAD = "t.fetched_at > now() + interval '1 hour'"  # of the server's clock


@dataclass(frozen=True)
class Feed:
    """How the change feed tells of a landed table: its name, and the columns of key and date."""

    table: str
    entity: str | None
    day: str | None

    def columns(self, q: Any) -> str:
        """What a write to the table, called t in it, returns for the feed."""
        key = f"t.{q(self.entity)}" if self.entity else "''"
        return f"{key} as key" + (f", t.{q(self.day)} as day" if self.day else "")

    def told(self, rows: str) -> str:
        return told(self.table, rows, "key", "day" if self.day else None)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """dlt writes constant columns dictionary-encoded; the encoder has no such type."""
    return pa.schema(
        [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    )


class FileRows:
    """The rows of a file as its table takes them: with `numbers` in the place of texts, where it has those."""

    def __init__(self, file: pq.ParquetFile, numbers: Numbers | None) -> None:
        self.file, self._numbers = file, numbers
        self._plain = plain_schema(file.schema_arrow)
        self.schema = numbers.schema(self._plain) if numbers else self._plain

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self.file.iter_batches(COPY_ROWS):
            rows = batch if batch.schema == self._plain else batch.cast(self._plain)
            yield self._numbers.of(rows) if self._numbers else rows


class Reason(NamedTuple):
    """Why a row is refused: the column, where one is to blame, and the rule that it breaks."""

    field: str
    rule: str


@dataclass
class Staged:
    """What COPY brought into the temp table `_land`: how many rows were read, in which columns.

    Where text had to do, each row has its number in the file, and `error` says why; `refused` are
    numbers of rows that no text of PostgreSQL holds.
    """

    read: int
    columns: list[str]
    is_numbered: bool = False
    error: Exception | None = None
    refused: dict[int, Reason] = field(default_factory=dict)


def copy_to_stage(conn: psycopg.Connection, rows: FileRows, q: Any) -> Staged:
    """COPY a file into the temp table `_land`, whose column types are the encoder's own.

    A file that binary COPY cannot take goes as text, slower; said in the log.
    """
    try:
        with conn.transaction():
            return _copy_binary(conn, rows, q)
    except psycopg.OperationalError:
        raise  # the server went away
    except Exception as error:  # of a type the encoder lacks, of a value the server refuses
        log.warning("binary COPY cannot take %s: %s; using text", rows.schema.names, error)
        return _copy_text(conn, rows, q, error)


def _copy_binary(conn: psycopg.Connection, rows: FileRows, q: Any) -> Staged:
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    columns = stage_ddl(q, rows.schema, encoder)
    conn.execute(f"create temp table _land ({columns}) on commit drop".encode())
    return Staged(copy_binary(conn, rows, "_land", encoder, q), rows.schema.names)


def copy_binary(
    conn: psycopg.Connection,
    rows: FileRows,
    target: str,
    encoder: ArrowToPostgresBinaryEncoder,
    q: Any,
) -> int:
    """COPY a file into a table of the encoder's own column types; how many rows were read."""
    columns, read = ", ".join(map(q, rows.schema.names)), 0
    into = f"copy {target} ({columns}) from stdin (format binary)".encode()
    with conn.cursor().copy(into) as copy:
        copy.write(encoder.write_header())
        for batch in rows.batches():
            read += batch.num_rows
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
    return read


def _copy_text(conn: psycopg.Connection, rows: FileRows, q: Any, error: Exception) -> Staged:
    fields = rows.schema.names
    staged = Staged(0, fields, is_numbered=True, error=error)
    columns = ", ".join(f"{q(name)} text" for name in fields)
    conn.execute(f"create temp table _land ({columns}, {ROW_NO} bigint) on commit drop".encode())
    names = ", ".join([*map(q, fields), ROW_NO])
    with conn.cursor().copy(f"copy _land ({names}) from stdin".encode()) as copy:
        for batch in rows.batches():
            texts = (c.cast(pa.string()).to_pylist() for c in batch.columns)
            for row in zip(*texts, strict=True):
                staged.read += 1
                for name, value in zip(fields, row, strict=True):
                    if value is not None and "\0" in value:
                        staged.refused[staged.read] = Reason(name, NO_NUL)
                if staged.read not in staged.refused:
                    copy.write_row((*row, staged.read))
    return staged


def stage_types(schema: pa.Schema, encoder: ArrowToPostgresBinaryEncoder) -> list[str]:
    """The encoder calls an aware timestamp TIMESTAMP; its bytes are right for timestamptz only."""
    return [
        "timestamptz" if pa.types.is_timestamp(own.type) and own.type.tz else column.data_type.ddl()
        for own, column in zip(schema, encoder.schema().columns, strict=True)
    ]


def stage_ddl(q: Any, schema: pa.Schema, encoder: ArrowToPostgresBinaryEncoder) -> str:
    kinds = stage_types(schema, encoder)
    return ", ".join(f"{q(name)} {kind}" for name, kind in zip(schema.names, kinds, strict=True))


def differs(q: Any, columns: Sequence[str], key: Sequence[str], new: Callable[[str], str]) -> str:
    """Whether a row replaces the stored row t: it differs, and is not worse. `new` writes its columns. What was fetched
    well ahead of now, by a clock that was wrong, is newer than nothing, and the same row takes its place."""
    seen = [c for c in columns if c not in key and c not in LINEAGE]
    stored, arriving = ", ".join(f"t.{q(c)}" for c in seen), ", ".join(map(new, seen))
    guard = f"({stored}) is distinct from ({arriving})"
    if "fetched_at" in columns:
        guard = f"({guard} or {_AHEAD})"
    if "is_final" in columns:
        guard += f" and ({new('is_final')} or not t.is_final)"
    if "fetched_at" in columns:
        guard += (
            f" and ({new('fetched_at')} >= t.fetched_at or {_AHEAD} "
            f"or {new('is_final')} > t.is_final)"
        )
    return guard


def upsert_sql(
    q: Any,
    target: str,
    columns: Sequence[str],
    types: dict[str, str],
    key: Sequence[str],
    feed: Feed,
    *,
    distinct: bool = False,
) -> bytes:
    """INSERT from `_land` and tell the change feed, returning the counts of new and of changed rows.

    A row is rewritten when it differs, and is not worse: a provisional row never replaces a final
    one, nor an older answer a newer one. Of a key that repeats in the file the best row wins.
    """
    names = ", ".join(map(q, columns))
    casts = ", ".join(f"{q(c)}::{types[c]}" for c in columns)
    keys = ", ".join(map(q, key))
    values = [c for c in columns if c not in key]
    head, tail = "select", ""
    if not key:  # dlt's own state table: every load appends to it; a unique id tells what is there
        return (
            f"with landed as (insert into {target} ({names}) {head} {casts} from _land "
            "on conflict do nothing returning 1) select count(*), 0 from landed"
        ).encode()
    guard = differs(q, columns, key, lambda c: f"excluded.{q(c)}")
    best = []
    if "is_final" in columns:
        best.append("is_final::boolean desc")
    if "fetched_at" in columns:
        best.append("fetched_at::timestamptz desc")
    update = ", ".join(f"{q(c)} = excluded.{q(c)}" for c in values)
    if distinct:
        head, tail = f"select distinct on ({keys})", f" order by {', '.join([keys, *best])}"
    return (
        f"with landed as (insert into {target} as t ({names}) {head} {casts} from _land{tail} "
        f"on conflict ({keys}) do update set {update} where {guard} "
        # a fresh row has no deleting transaction; a row that was updated carries ours
        f"returning (t.xmax = 0) as is_new, {feed.columns(q)}), told as ({feed.told('landed')}) "
        "select count(*) filter (where is_new), count(*) filter (where not is_new) from landed"
    ).encode()


def replace_units(
    conn: psycopg.Connection,
    q: Any,
    target: str,
    types: dict[str, str],
    key: Sequence[str],
    unit: Sequence[str],
    feed: Feed,
    compressed: "Compressed | None" = None,
) -> int:
    """Make way for the units in `_land`: how many rows of theirs it deleted that are not in `_land`.

    A unit follows the rule of a single row: a provisional one never replaces a final one, nor an
    older answer a newer one. Units that must not land are dropped from `_land`. Of a table with
    `compressed` chunks rows are found and deleted by literals.
    """

    def same(left: str, right: str, names: Sequence[str], cast: bool) -> str:
        return " and ".join(
            f"{left}.{q(c)} = {right}.{q(c)}{f'::{types[c]}' if cast else ''}" for c in names
        )

    columns = ", ".join(map(q, unit))
    near = f" and {compressed.bounds(conn)}" if compressed else ""
    # with no statistics the planner would compare each row with each
    conn.execute(b"analyze _land")
    conn.execute(
        f"create temp table _units on commit drop as select {columns}, "
        "bool_and(is_final::boolean) as _final, max(fetched_at::timestamptz) as _fetched_at "
        f"from _land group by {columns}".encode()
    )
    conn.execute(b"analyze _units")
    # a distributed table refuses a temp table in its DELETE, and takes a CTE made of it
    units = "units as materialized (select * from _units)"
    refused = conn.execute(
        f"create temp table _refused on commit drop as with {units} select u.* from units as u "
        f"where exists (select 1 from {target} as t where {same('t', 'u', unit, True)}{near} "
        "and (t.is_final > u._final "
        f"or t.is_final = u._final and t.fetched_at > u._fetched_at and not {_AHEAD}))".encode()
    ).rowcount
    for staged in ("units", "land") if refused else ():
        conn.execute(
            f"delete from _{staged} as s using _refused as u where {same('s', 'u', unit, False)}".encode()
        )
    stale = (
        f"select {', '.join(f't.{q(c)}' for c in key)} "
        f"from {target} as t inner join units as u on {same('t', 'u', unit, True)}{near} "
        f"where not exists (select 1 from _land as r where {same('t', 'r', key, True)})"
    )
    if compressed:
        rows = conn.execute(f"with {units} {stale} order by {', '.join(map(q, key))}".encode())
        return compressed.delete(conn, rows.fetchall(), len(unit))
    [(gone,)] = conn.execute(
        f"with {units}, stale as materialized ({stale}), "
        f"gone as (delete from {target} as t using stale as s where {same('t', 's', key, False)} "
        f"returning {feed.columns(q)}), told as ({feed.told('gone')}) "
        "select count(*) from gone".encode()
    )
    return int(gone)
