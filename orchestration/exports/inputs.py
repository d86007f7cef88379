"""The tables that the rows of an export are made of, and their changes since an earlier one.

A position is a number of `market.changes`: every change up to it is in the files. The feed counts
from the start in a restored warehouse, and forgets what no cursor waits for: a cursor of the
folder's own in ops.change_cursors, which neither a restore nor 90 days of silence leave, proves
that the number still means what it meant. Where the proof fails, all of it changed.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from loaders.landing.change_feed import move_cursor
from orchestration.exports.source import Source, explaining
from quotemill.warehouse.postgres import Warehouse

DAY, CODE = "day", "code"
# How far a change of what a view reads reaches: into its rows of the same code and day, or of the
# whole code. A view that reads other tables than these is read again as a whole.
_BARS = ("", "_qfq", "_hfq")
_REACHES: dict[str, dict[str, str]] = {
    "kline_daily": {"raw_tdx.kline_daily": DAY},
    "kline_daily_hfq": {"raw_tdx.kline_daily": DAY, "{market}.adjustment_segments": CODE},
    "kline_minute_raw": {"raw_tdx.kline_minute": DAY},
    "tick_trade_raw": {"raw_tdx.tick_trade": DAY},
    "qlib": {
        "raw_tdx.kline_daily": DAY,
        "raw_tdx.index_kline": DAY,
        "{market}.adjustment_segments": CODE,
    },
    **{
        view: {
            "{inner}.int_daily_figures__computed": DAY,
            "{market}.adjustment_segments": CODE,
        }
        for view in ("daily_basic", "stock_limits")
    },
    "index_kline_daily": {"raw_tdx.index_kline": DAY},
    "index_kline_minute": {"raw_tdx.index_kline": DAY},
    **{
        f"kline_{bar}{way}": {table: DAY, "{market}.adjustment_segments": CODE}
        for way in ("_qfq", "_hfq")
        for bar, table in (
            ("minute", "raw_tdx.kline_minute"),
            *((f"{minutes}m", f"{{market}}.kline_{minutes}m") for minutes in (5, 15, 30, 60)),
        )
    },
}
# what a query may give without any row being another: times, chance, settings of the session
_UNSTEADY = re.compile(
    r"\b(now|random|(clock|statement|transaction)_timestamp|timeofday|current_setting)\("
    r"|\b(current_(date|time|timestamp)|localtime(stamp)?)\b",
    re.IGNORECASE,
)
_MOST = 100_000  # rows of a table outside the feed, such as a seed, that are compared as a whole


@dataclass(frozen=True)
class Inputs:
    """The tables that the rows of an export are made of.

    tables: those that write to the feed, with the reach of their changes; None: all of it
    fingerprint: of everything else: queries of views, functions, small tables outside the feed
    is_known: whether these are all: a large table outside the feed may have changed unseen, and so
        has the time
    """

    tables: Mapping[str, str | None]
    fingerprint: str
    is_known: bool


@dataclass(frozen=True)
class Position:
    """How much of the change feed is in the files.

    change_no: every change up to this number
    seen: the snapshot
    """

    change_no: int
    seen: str


@dataclass(frozen=True)
class Changes:
    """The changes since a position: of all days and codes, unless `is_everything`.

    spans: code (empty: every one), first and last day (None: open)
    """

    is_everything: bool
    spans: Sequence[tuple[str, date | None, date | None]] = ()


def read_inputs(conn: psycopg.Connection, source: Source) -> Inputs:
    """The tables that a source reads, down through views. In a transaction that is rolled back."""
    query = f"select * from {source.rows}".replace("%%", "%")
    with explaining():
        conn.execute(f"create temporary view quotemill_probe as {query}".encode())
    texts, functions, stored = _read_lineage(conn)
    conn.execute("drop view quotemill_probe")
    names = [name for name, _ in stored]
    feeding = _list_feeding(conn, names)
    facts = [*texts, *functions, _read_settings(conn, texts)]
    is_known = not any(map(_UNSTEADY.search, texts))
    for name, estimate in stored:
        if name in feeding or name == "ops.settings":
            continue
        if estimate > _MOST or (rows := _hash_rows(conn, name)) is None:
            is_known = False
        else:
            facts.append(f"{name} {rows}")
    return Inputs(
        _find_reaches(source, feeding),
        hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16],
        is_known,
    )


def read_position(conn: psycopg.Connection) -> Position:
    """The position of the transaction's snapshot."""
    query = "select pg_snapshot_xmin(s)::text::bigint - 1, s::text from pg_current_snapshot() as s"
    [(number, seen)] = conn.execute(query)
    return Position(number, seen)


def find_changes(
    conn: psycopg.Connection, inputs: Inputs, reader: str, since: int | None, fingerprint: str
) -> Changes:
    """The inputs that changed after the change `since`, which `reader` has seen.

    fingerprint: of the inputs at that time
    """
    if since is None or not inputs.is_known or fingerprint != inputs.fingerprint:
        return Changes(True)
    query = """
        select exists (
            select 1 from ops.change_cursors
            where reader = %(reader)s and fingerprint = %(fingerprint)s
                and pg_snapshot_xmin(seen)::text::bigint - 1
                between %(since)s and pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        )
    """
    values: dict[str, Any] = {"reader": reader, "fingerprint": fingerprint, "since": since}
    [(is_proven,)] = conn.execute(query, values)
    if not is_proven:
        return Changes(True)
    query = """
        select c.table_name, c.key, range_agg(days) from ops.changes as c
        cross join unnest(c.dates) as days
        where c.xid::text::bigint > %(since)s and c.table_name = any(%(tables)s)
        group by 1, 2
    """
    spans: list[tuple[str, date | None, date | None]] = []
    for table, key, days in conn.execute(query, values | {"tables": list(inputs.tables)}):
        reach = inputs.tables[table]
        if reach is None:
            return Changes(True)
        if reach == CODE:
            spans.append((key, None, None))
            continue
        for span in days:
            spans.append((key, span.lower, span.upper and span.upper - timedelta(days=1)))
    return Changes(("", None, None) in spans, spans)


def name_reader(warehouse: Warehouse, folder_id: str) -> str:
    """The name of a folder's cursor."""
    return f"{warehouse.market_schema}.export {folder_id}"


def keep_position(
    conn: psycopg.Connection, reader: str, position: Position, fingerprint: str
) -> None:
    """Record the position of `reader`; committed before the files say so."""
    move_cursor(conn, reader, position.seen, fingerprint)


def forget_position(conn: psycopg.Connection, reader: str) -> None:
    """Delete the cursor of a folder that follows nothing any more."""
    conn.execute("delete from ops.change_cursors where reader = %s", (reader,))


def _read_lineage(conn: psycopg.Connection) -> tuple[list[str], list[str], list[tuple[str, float]]]:
    """The views below the probe as text, their functions, and the tables with a row estimate."""
    used = """
        with recursive used as not materialized (
            select w.ev_class as oid, d.refclassid, d.refobjid
            from pg_rewrite as w
            inner join pg_depend as d on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
        ),
        views as (
            select 'pg_temp.quotemill_probe'::regclass::oid as oid
            union
            select c.oid from views as v
            inner join used as u on v.oid = u.oid and u.refclassid = 'pg_class'::regclass
            inner join pg_class as c on u.refobjid = c.oid and c.relkind = 'v'
        )
    """
    texts = conn.execute(
        f"{used} select pg_get_viewdef(oid) from views order by 1".encode()
    ).fetchall()
    functions = conn.execute(
        f"""{used}
        select distinct f.oid::regprocedure::text || ' ' || f.prosrc from views as v
        inner join used as u on v.oid = u.oid and u.refclassid = 'pg_proc'::regclass
        inner join pg_proc as f on u.refobjid = f.oid order by 1
        """.encode()
    ).fetchall()
    stored = conn.execute(
        f"""{used}
        select distinct n.nspname || '.' || c.relname, c.reltuples from views as v
        inner join used as u on v.oid = u.oid and u.refclassid = 'pg_class'::regclass
        inner join pg_class as c on u.refobjid = c.oid and c.relkind in ('r', 'p', 'm', 'f')
        inner join pg_namespace as n on c.relnamespace = n.oid order by 1
        """.encode()
    ).fetchall()
    return [t for (t,) in texts], [f for (f,) in functions], [(n, e) for n, e in stored]


def _list_feeding(conn: psycopg.Connection, names: Sequence[str]) -> set[str]:
    """Those of the tables that write to the feed: landed ones, and models with a cursor."""
    from loaders.sources import landed_tables

    landed = {table.qualified for table in landed_tables()}
    query = "select reader from ops.change_cursors where reader = any(%s)"
    models = {reader for (reader,) in conn.execute(query, (list(names),))}
    return {name for name in names if name in landed or name in models}


def _read_settings(conn: psycopg.Connection, texts: Sequence[str]) -> str:
    """The values in ops.settings of the keys that these queries name."""
    query = (
        "select coalesce(string_agg(key || '=' || coalesce(value, ''), ' ' order by key), '') "
        "from ops.settings where strpos(%s, quote_literal(key)) > 0"
    )
    [(values,)] = conn.execute(query, ("\n".join(texts),))
    return str(values)


def _hash_rows(conn: psycopg.Connection, name: str) -> str | None:
    """A hash of the rows of a small table; None where it is large."""
    query = sql.SQL(
        "select count(*), md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) "
        "from (select * from {} limit {}) as t"
    ).format(sql.Identifier(*name.split(".", 1)), _MOST + 1)
    [(count, rows)] = conn.execute(query)
    return None if count > _MOST else rows


def _find_reaches(source: Source, feeding: set[str]) -> dict[str, str | None]:
    if source.relation in feeding:  # its rows are in the feed themselves
        return dict.fromkeys(feeding, DAY)
    given = _REACHES.get(source.like, {})
    schemas = {"market": source.market, "inner": source.inner}
    known = {table.format(**schemas): reach for table, reach in given.items()}
    return {**known} if feeding <= set(known) else dict.fromkeys(feeding)
