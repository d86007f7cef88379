"""The tick store in the warehouse itself.

Schema `ticks`, the same tables and guarantees as in QuestDB.

For the demo, and for users who want no second server.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any, TypeVar

import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing.staging import stage_ddl
from loaders.ticks.day_hash import Dialect, measure_many_sql, measure_sql, measured, measured_row
from loaders.ticks.frame import key_of
from loaders.ticks.index_tables import SUMMARY, VISIBLE, IndexTables
from loaders.ticks.space import require_space, space_problems
from loaders.ticks.store import (
    Measured,
    MeasuredTicks,
    Span,
    Stamp,
    StoreSummary,
    VisibleTicks,
    read_back_error,
)
from loaders.ticks.tables import DAY_INDEX, MAIN_TICKS, TABLES, StoreTable
from loaders.warehouse.content import find_content, require_content
from loaders.warehouse.ownership import claim_schemas
from quotemill.errors import SettingsError
from quotemill.ticks.columns import TICKS, DayKey, window
from quotemill.ticks.questdb_http import StoreError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

T = TypeVar("T")
SCHEMA = "ticks"
_COPY_ROWS = 50_000
DAY = "symbol = %(symbol)s and underlying_contract = %(contract)s and trading_day = %(day)s"


class PostgresStore(IndexTables):
    """A TickStore in the warehouse. Each call is one transaction; of schedules, each series.

    After a restore each raises RestoredMeanwhile: what was read before may not be written to it.
    Nothing is written on a disk with less than `min_free_gb` GiB, where that is known.
    """

    def __init__(self, warehouse: Warehouse, min_free_gb: float = 0.0) -> None:
        self._min_free_gb = min_free_gb
        self.label = f"{warehouse.label}, schema {SCHEMA}"
        self._warehouse = warehouse
        self._has_answered = False
        self._content: str | None = None  # of the warehouse, when it was first asked

    def prepare(self) -> None:
        self._ask(_prepare)

    def check(self) -> list[str]:
        return space_problems(self.label, self.free_bytes(), self._min_free_gb)

    def free_bytes(self) -> int | None:
        """Free space under a server on a socket of this machine; None where it is unknown."""
        folder = self._ask(_data_directory)
        try:
            return shutil.disk_usage(folder).free if folder else None
        except OSError:  # the folder of a server in a container, or not readable
            return None

    def write_days(self, days: Sequence[pa.Table]) -> list[Measured | StoreError]:
        ticks = sum(day.num_rows for day in days)
        require_space(self.label, self.free_bytes(), self._min_free_gb, ticks=ticks)

        def work(conn: psycopg.Connection) -> list[Measured | StoreError]:
            with conn.transaction():
                return [self._write_day(conn, day) for day in days]

        return self._ask(work)

    def measure(self, symbol: str, contract: str, trading_day: date) -> Measured:
        key = {"symbol": symbol, "contract": contract, "day": trading_day}
        return self._ask(lambda conn: _measure(conn, f"{DAY} and not is_deleted", key))

    def visible_ticks(self) -> list[VisibleTicks]:
        query = VISIBLE.format(_name(MAIN_TICKS), "true").encode()
        rows = self._ask(lambda conn: conn.execute(query).fetchall())
        return [VisibleTicks(*row) for row in sorted(rows)]

    def measure_all(self) -> Iterator[list[MeasuredTicks]]:
        for start in self._ask(_weeks):
            yield self._ask(partial(_measure_week, start=start))

    def read_day(
        self, key: DayKey, columns: Sequence[str] = (), *, span: Span | None = None
    ) -> pa.Table:
        fields, names = ("symbol", "contract", "day", "first", "last"), columns or TICKS.names
        values = dict(zip(fields, (*key, *(span or window(key.trading_day))), strict=True))
        where = f"{DAY} and ts between %(first)s and %(last)s and not is_deleted order by ts, seq"
        rows = self._ask(lambda conn: _read_rows(conn, MAIN_TICKS, where, values, names))
        return rows.cast(pa.schema([TICKS.field(name) for name in names]))

    def restamp(self, symbol: str, contract: str, stamps: Sequence[Stamp]) -> None:
        values = [
            {
                "symbol": symbol,
                "contract": contract,
                "day": stamp.trading_day,
                "segment": stamp.segment_id,
                "hash": stamp.schedule_hash,
            }
            for stamp in stamps
        ]
        change = "set segment_id = %(segment)s, schedule_hash = %(hash)s"
        new = "(segment_id, schedule_hash) is distinct from (%(segment)s, %(hash)s)"

        def work(conn: psycopg.Connection) -> None:
            with conn.cursor() as cur:
                for table, extra in ((MAIN_TICKS, ""), (DAY_INDEX, ", updated_at = now()")):
                    cur.executemany(
                        f"update {_name(table)} {change}{extra} where {DAY} and {new}".encode(),
                        values,
                    )

        self._ask(work)

    def supersede(self, symbol: str, contract: str, trading_day: date) -> int:
        key = {"symbol": symbol, "contract": contract, "day": trading_day}

        def work(conn: psycopg.Connection) -> int:
            flag = (
                f"update {_name(MAIN_TICKS)} set is_deleted = true where {DAY} and not is_deleted"
            )
            flagged = conn.execute(flag.encode(), key)
            conn.execute(
                f"update {_name(DAY_INDEX)} set (status, updated_at) = ('superseded', now()) "
                f"where {DAY} and status <> 'superseded'".encode(),
                key,
            )
            return flagged.rowcount

        return self._ask(work)

    def summary(self) -> StoreSummary:
        def work(conn: psycopg.Connection) -> StoreSummary:
            if not has_relation(conn, _name(DAY_INDEX)):
                return StoreSummary(0, 0, 0, None)
            [(series, days, ticks, last)] = conn.execute(SUMMARY.format(_name(DAY_INDEX)).encode())
            return StoreSummary(series, days, int(ticks or 0), last)

        return self._ask(work)

    def close(self) -> None:
        """Do nothing: no connection stays open."""

    def _put_rows(self, table: StoreTable, rows: pa.Table) -> None:
        self._ask(lambda conn: _put(conn, table, rows))

    def _read_series(self, table: StoreTable, symbols: Collection[str] | None) -> pa.Table:
        where, values = "symbol = any(%(symbols)s)", {"symbols": list(symbols or ())}
        if symbols is None:
            where = "true"
        return self._ask(lambda conn: _read_rows(conn, table, where, values))

    def _ask(self, work: Callable[[psycopg.Connection], T]) -> T:
        def fenced(conn: psycopg.Connection) -> T:
            if self._content is None:
                self._content = find_content(conn)
            else:
                require_content(conn, self._content)
            return work(conn)

        try:
            result = self._warehouse.ask(fenced, patient=self._has_answered)
        except psycopg.errors.UndefinedTable as error:
            raise StoreError(
                f"{self.label}: {error.diag.message_primary}",
                hint="loaders run tq creates the tables",
            ) from None
        self._has_answered = True
        return result

    def _write_day(self, conn: psycopg.Connection, day: pa.Table) -> Measured | StoreError:
        """Write a day, or leave it as it was."""
        try:
            with conn.transaction():
                return self._replace_day(conn, day)
        except StoreError as error:
            return error
        except psycopg.DataError as error:
            key = key_of(day)
            return StoreError(f"{self.label} refused {key.contract} {key.trading_day}: {error}")

    def _replace_day(self, conn: psycopg.Connection, day: pa.Table) -> Measured:
        key = dict(zip(("symbol", "contract", "day"), key_of(day), strict=True))
        flags = pa.repeat(False, day.num_rows)
        _put(conn, MAIN_TICKS, day.append_column(MAIN_TICKS.schema.field("is_deleted"), flags))
        conn.execute(
            f"update {_name(MAIN_TICKS)} as t set is_deleted = true "
            "where symbol = %(symbol)s and trading_day = %(day)s and not is_deleted "
            "and not exists (select 1 from _ticks as n where "
            "(n.ts, n.underlying_contract, n.seq) = (t.ts, t.underlying_contract, t.seq))".encode(),
            key,
        )
        # all contracts: nothing else may be visible on the day
        where = "symbol = %(symbol)s and trading_day = %(day)s and not is_deleted"
        seen = _measure(conn, where, key)
        if seen != (sent := measured(day)):
            raise read_back_error(self.label, key_of(day), [seen], sent)
        return seen


def _name(table: StoreTable) -> str:
    return f"{SCHEMA}.{table.name}"


def _data_directory(conn: psycopg.Connection) -> str | None:
    if not conn.info.host.startswith(("/", "@")):
        return None
    row = conn.execute(
        "select current_setting('data_directory') "
        "where pg_has_role(current_user, 'pg_read_all_settings', 'usage')"
    ).fetchone()
    return row[0] if row else None


def _prepare(conn: psycopg.Connection) -> None:
    claim_schemas(conn, [SCHEMA])
    for table in TABLES:
        conn.execute(table.postgres_ddl(SCHEMA).encode())
        columns = _columns(conn, table)
        for name in table.names:
            kind = {"timestamptz": "timestamp with time zone"}.get(
                table.postgres_type(name), table.postgres_type(name)
            )
            if name not in columns:
                raise _shape_error(table, f"lacks the column {name}")
            if columns[name] != kind:
                raise _shape_error(table, f"has {columns[name]} as its column {name}, not {kind}")
    conn.execute(
        f"create index if not exists {MAIN_TICKS.name}_day on {_name(MAIN_TICKS)} "
        "(trading_day, symbol)".encode()
    )


def _columns(conn: psycopg.Connection, table: StoreTable) -> dict[str, str]:
    """The types of its columns by name."""
    return dict(
        conn.execute(
            "select attname, format_type(atttypid, -1) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            (_name(table),),
        ).fetchall()
    )


def _shape_error(table: StoreTable, why: str) -> SettingsError:
    return SettingsError(
        f"the table {_name(table)} was not made by quotemill: {why}",
        hint=f"move it away: alter table {_name(table)} rename to another_name",
    )


def _put(conn: psycopg.Connection, table: StoreTable, rows: pa.Table) -> None:
    """Put rows of the table's schema in place of those of the same key.

    The temporary table `_ticks` holds them until the end of the transaction.
    """
    rows = rows.cast(table.schema)
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    columns = ", ".join(table.names)
    conn.execute("drop table if exists _ticks")
    stage = stage_ddl(rows.schema, encoder)
    conn.execute(f"create temp table _ticks ({stage}) on commit drop".encode())
    with conn.cursor().copy(f"copy _ticks ({columns}) from stdin (format binary)".encode()) as copy:
        copy.write(encoder.write_header())
        for batch in rows.to_batches(_COPY_ROWS):
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
    values = [name for name in table.names if name not in table.key]
    changes = ", ".join(f"{name} = excluded.{name}" for name in values)
    old, new = (", ".join(f"{t}.{name}" for name in values) for t in ("t", "excluded"))
    conn.execute(
        f"insert into {_name(table)} as t ({columns}) select {columns} from _ticks "
        f"on conflict ({', '.join(table.key)}) do update set {changes} "
        f"where ({old}) is distinct from ({new})".encode()
    )


def _read_rows(
    conn: psycopg.Connection,
    table: StoreTable,
    where: str,
    values: dict[str, Any],
    names: Sequence[str] = (),
) -> pa.Table:
    schema = pa.schema([table.schema.field(name) for name in names or table.names])
    with conn.cursor(binary=True) as cur:
        cur.execute(
            f"select {', '.join(schema.names)} from {_name(table)} where {where}".encode(), values
        )
        rows = cur.fetchall()
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, f.type) for column, f in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _weeks(conn: psycopg.Connection) -> list[date]:
    """The first day of each week between the first and the last trading day."""
    rows = conn.execute(
        "select generate_series(min(trading_day), max(trading_day), interval '7 days')::date "
        f"from {_name(MAIN_TICKS)}".encode()
    )
    return [start for (start,) in rows]


def _measure_week(conn: psycopg.Connection, start: date) -> list[MeasuredTicks]:
    where = "trading_day >= %(start)s and trading_day < %(start)s + 7"
    query = _measure_query(measure_many_sql, where)
    return [MeasuredTicks(*row) for row in conn.execute(query, {"start": start})]


def _measure_query(make: Callable[[Dialect, str, str], str], where: str) -> bytes:
    # a per cent sign would start a parameter
    head, _, tail = make("postgres", _name(MAIN_TICKS), "\0").partition("\0")
    return f"{head.replace('%', '%%')}{where}{tail.replace('%', '%%')}".encode()


def _measure(conn: psycopg.Connection, where: str, values: dict[str, Any]) -> Measured:
    cur = conn.execute(_measure_query(measure_sql, where), values)
    row = cur.fetchone()
    assert row is not None
    assert cur.description is not None
    return measured_row(dict(zip([c.name for c in cur.description], row, strict=True)))
