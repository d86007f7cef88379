"""The statements that bring staged rows into their table, and report them to the change feed.

Of a table with units that are replaced as one (a day of ticks), rows that a new unit lacks are
deleted.
"""

from collections.abc import Callable, Sequence

import psycopg

from loaders.landing import volumes
from loaders.landing.history import keep_versions_sql
from loaders.landing.target import Target, names, quote
from loaders.warehouse.tables import FILE_NO, LOAD_ID, ROUTE_NO, SOURCE_ROUTE

# never a reason to rewrite a row: an overlap that is read again would rewrite all of it
LINEAGE = frozenset({LOAD_ID, FILE_NO, "fetched_at", SOURCE_ROUTE, ROUTE_NO, "source_ref"})


def replaces_sql(target: Target, columns: Sequence[str], new: Callable[[str], str]) -> str:
    """Whether a row replaces the stored row t: it differs, and is not worse.

    `new` writes its columns. What was fetched well ahead of now, by a wrong clock, is newer than
    nothing, and the same row takes its place. The same bar with a finer volume is never older.
    """
    values = [c for c in columns if c not in target.key and c not in LINEAGE]
    if volumes.UNIT not in columns:
        return _replaces_sql(target, columns, new, _differ_sql(values, new))
    values = [c for c in values if c not in volumes.COLUMNS]
    same = [c for c in values if c not in volumes.ROUNDED]
    is_finer = volumes.is_finer_sql(new, _stored)
    differs = f"{_differ_sql(values, new)} or {is_finer} or not {volumes.agree_sql(new, _stored)}"
    return (
        f"({_replaces_sql(target, columns, new, differs)} or {is_finer} "
        f"and not {_differ_sql(same, new)} and {new('is_final')} >= t.is_final)"
    )


def _replaces_sql(
    target: Target, columns: Sequence[str], new: Callable[[str], str], differs: str
) -> str:
    condition = differs
    if "fetched_at" in columns:
        condition = f"({condition} or {target.is_ahead})"
    if "is_final" in columns:
        condition += f" and ({new('is_final')} or not t.is_final)"
    if "fetched_at" in columns:
        condition += (
            f" and ({new('fetched_at')} >= t.fetched_at or {target.is_ahead} "
            f"or {new('is_final')} > t.is_final)"
        )
    return condition


def _differ_sql(values: Sequence[str], new: Callable[[str], str]) -> str:
    return f"(({names(values, 't')}) is distinct from ({', '.join(map(new, values))}))"


def _stored(column: str) -> str:
    return f"t.{quote(column)}"


def best_first_sql(target: Target, columns: Sequence[str]) -> str:
    """The order of staged rows by their key, the best row of a repeated key first."""
    best = [f"{c} desc" for c in ("is_final::boolean", "fetched_at::timestamptz")]
    return ", ".join([names(target.key), *(b for b in best if b.partition("::")[0] in columns)])


def upsert_sql(target: Target, columns: Sequence[str], *, distinct: bool = False) -> bytes:
    """INSERT from `_land` that feeds the change feed, returning counts of new and changed rows.

    A row is rewritten when it differs, and is not worse: a provisional row never replaces a final
    one, nor an older answer a newer one. With `distinct` the best row of a repeated key wins.
    """
    if not target.key:  # dlt's own state table: each load appends to it, by a unique id
        return f"""
            with landed as (
                insert into {target.name} ({names(columns)})
                select {target.casts(columns)} from _land
                on conflict do nothing
                returning 1
            )
            select count(*), 0 from landed
        """.encode()
    keys = names(target.key)

    def new(column: str) -> str:
        return f"excluded.{quote(column)}"

    only, order = "", ""
    if distinct:
        only, order = f"distinct on ({keys})", f"order by {best_first_sql(target, columns)}"
    update = ", ".join(
        f"{quote(c)} = {volumes.finest_sql(c, columns, new, _stored)}"
        for c in columns
        if c not in target.key
    )
    # a fresh row has no deleting transaction; a row that was updated carries ours
    return target.with_changes(
        f"""
            insert into {target.name} as t ({names(columns)})
            select {only} {target.casts(columns)} from _land {order}
            on conflict ({keys}) do update set {update}
            where {replaces_sql(target, columns, new)}
            returning (t.xmax = 0) as is_new,
        """,
        "select count(*) filter (where is_new), count(*) filter (where not is_new) from written",
    )


def replace_units(
    conn: psycopg.Connection, target: Target, near: str, delete: Callable[[str, str], int]
) -> int:
    """Delete rows of the units in `_land` that are not in `_land`; the number of rows deleted.

    `near` and `delete` belong to the table's edition (loaders.landing.editions.plain).
    A unit follows the rule of a single row: a provisional one never replaces a final one, nor an
    older answer a newer one. Units that must not land are removed from `_land`.
    """
    # with no statistics the planner would compare each row with each
    conn.execute(b"analyze _land")
    conn.execute(
        f"""
        create temp table _units on commit drop as
        select
            {names(target.unit)},
            bool_and(is_final::boolean) as _final,
            max(fetched_at::timestamptz) as _fetched_at
        from _land
        group by {names(target.unit)}
        """.encode()
    )
    conn.execute(b"analyze _units")
    units = "units as materialized (select * from _units)"
    worse = conn.execute(
        f"""
        create temp table _worse on commit drop as
        with {units}
        select distinct u.*
        from {target.name} as t
        inner join units as u on {target.equal(target.unit, "t", "u", cast=True)}{near}
        where t.is_final > u._final
            or t.is_final = u._final and t.fetched_at > u._fetched_at and not {target.is_ahead}
        """.encode()
    ).rowcount
    for staged in ("units", "land") if worse else ():
        same = target.equal(target.unit, "s", "w")
        conn.execute(f"delete from _{staged} as s using _worse as w where {same}".encode())
    held = f"""
        from {target.name} as t
        inner join units as u on {target.equal(target.unit, "t", "u", cast=True)}{near}
    """
    gone = f"""
        where not exists (
            select 1 from _land as r where {target.equal(target.key, "t", "r", cast=True)}
        )
    """
    if target.keeps_history:
        versions = keep_versions_sql(target, "u._fetched_at", f"{held} {gone}")
        conn.execute(f"with {units} {versions}".encode())
    stored = f"stored as materialized (select {names(target.key, 't')} {held})"
    stale = f"select {names(target.key, 't')} from stored as t {gone}"
    return delete(f"{units}, {stored}", stale)
