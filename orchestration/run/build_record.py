"""A recorded build: its lock, what it has to build, how it ended.

It serves our own builds and those of other orchestrators, which run dbt in their own way
(docs/how-to/orchestrators.md).

Only one build runs at a time: the lock is a PostgreSQL advisory lock on a separate connection. The
dbt project checks it too, so that a plain `dbt build` refuses while a recorded build runs.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from loaders import log, sources
from loaders.landing import change_feed
from loaders.settings import Settings
from loaders.warehouse import editions, turns
from loaders.warehouse.content import RestoredMeanwhile, ask_content, find_content
from quotemill.errors import INTERRUPTED, LockHeldError, UpstreamError, UsageError, innermost
from quotemill.warehouse.connections import find_process
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import INNER_SCHEMAS

LOCK = "quotemill:build"
SHOWN_TABLES = 3  # in the words about a build
WAIT_POLL = 1.0  # seconds between two tries while waiting for the lock
# A running build holds the lock: a row that says running while nobody holds it was killed.
STATUS = f"""
    case when b.status = 'running' and not {turns.is_held(f"'{LOCK}'")}
    then 'interrupted' else b.status end
"""
# what builds made in our schemas and somebody dropped, such as by `drop table … cascade`
_GONE = """
    from ops.managed_relation as m
    where m.schema_name = any(%(schemas)s)
        and to_regclass(format('%%I.%%I', m.schema_name, m.relation_name)) is null
"""
# what a build that failed wrote stays, such as the lines of a seed that broke a rule
_OTHER_FAILED = """
    exists (
        select 1 from ops.builds
        where status <> 'succeeded' and fingerprint not in (%(fingerprint)s, 'part')
            and build_id > (
                select coalesce(max(build_id), 0) from ops.builds
                where status = 'succeeded' and fingerprint = %(fingerprint)s
            )
    )
"""
# of ops.builds; each may be omitted
FIGURES = ("models_built", "rows_written", "tests_passed", "tests_warned", "tests_failed")


@dataclass
class BuildRecord:
    """A build that holds the lock; ops.runs has it from `begin` on, view ops.builds shows it.

    `tables` are the landed tables (raw_tdx.kline_daily) with changes that no good build has seen.
    None: build everything, for the reason `why`.
    """

    tables: list[str] | None
    why: str = ""
    build_id: int | None = None
    succeeded: bool | None = None  # None: not ended yet
    _warehouse: Warehouse = field(kw_only=True, repr=False)
    _lock: psycopg.Connection = field(kw_only=True, repr=False)
    _seen: str = field(kw_only=True, repr=False)  # the snapshot that `tables` was read from
    _fingerprint: str = field(kw_only=True, repr=False)  # of the dbt project and its server
    _content: str | None = field(kw_only=True, repr=False)  # of the warehouse
    _is_whole: bool = field(default=False, repr=False)

    def begin(self, command: str, *, part: bool = False) -> int:
        """Record that the build runs as `command`; return its id.

        A build of a `part`, only some of the models of a table, leaves `tables` to the next build.
        Raises LockHeldError where the lock was lost.
        """
        self._is_whole = not part
        with self._locked() as conn:
            # we hold the lock: any build without an end was killed
            conn.execute(
                "update ops.runs set finished_at = clock_timestamp() "
                "where build_id is not null and finished_at is null"
            )
            [(self.build_id,)] = conn.execute(
                "insert into ops.runs (run_id, build_id, command, fingerprint) "
                "select 'build-' || n, n, %s, %s "
                "from (select coalesce(max(build_id), 0) + 1 as n from ops.runs) as newest "
                "returning build_id",
                (command, "part" if part else self._fingerprint),
            )
        log.name_build(self.build_id)
        return self.build_id

    def write_progress(self, done: int, total: int, node: str | None) -> None:
        """Record how many of all nodes are done, and the one that runs."""
        figures = {"nodes_done": done, "nodes": total, "node": node}
        self._write_own(lambda conn: self._update(conn, figures))

    def end(
        self, succeeded: bool, error: str | None = None, figures: Mapping[str, int] | None = None
    ) -> None:
        """Record how the build ended.

        After a good build `tables` count as built; rows that landed since then are left to the
        next build. Raises UsageError if `begin` was not called, LockHeldError where the lock was
        lost: then others may have written, or a restore may have replaced what was built.
        """
        if self.build_id is None:
            raise UsageError("the build has not begun", hint="Call begin() before the build.")
        with self._locked() as conn:
            code, reason = (0, None) if succeeded else (1, error)
            self._update(conn, {name: (figures or {}).get(name) for name in FIGURES}, code, reason)
            if succeeded and self._is_whole:
                reader = _reader(self._warehouse)
                change_feed.move_cursor(conn, reader, self._seen, self._fingerprint)
                if self.tables is None:  # what is still gone is of a model that is no more
                    gone = {"schemas": _schemas(self._warehouse)}
                    conn.execute(f"delete {_GONE}".encode(), gone)
        self.succeeded = succeeded

    def fail(self, error: str) -> None:
        """Record a build that began and did not end as failed, with or without the lock."""
        if self.build_id is not None and self.succeeded is None:
            self._write_own(lambda conn: self._update(conn, {}, 1, error))

    def cancel(self) -> None:
        """Record that a build that began was stopped. Raises WarehouseAway."""
        if self.build_id is not None and self.succeeded is None:
            self._write_own(lambda conn: self._update(conn, {}, INTERRUPTED))

    def _write_own(self, work: Callable[[psycopg.Connection], object]) -> None:
        """Write to the build's record; nothing after a restore, when its number is another's.

        Raises WarehouseAway, at once.
        """
        with contextlib.suppress(RestoredMeanwhile):
            ask_content(self._warehouse, self._content, work, patient=False)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[psycopg.Connection]:
        """A transaction of the session that holds the lock. Raises LockHeldError where it ended."""
        try:
            with self._lock.transaction():
                yield self._lock
        except psycopg.OperationalError:
            if not self._lock.closed:
                raise
            raise LockHeldError(
                "the build lost its lock because its connection broke: another build or "
                "a restore may have started",
                hint="Run it again: what was built is kept.",
            ) from None

    def _update(
        self,
        conn: psycopg.Connection,
        figures: Mapping[str, Any],
        exit_code: int | None = None,
        error: str | None = None,
    ) -> None:
        conn.execute(
            "update ops.runs set figures = figures || %s, exit_code = coalesce(%s, exit_code), "
            "error = coalesce(%s, error), "
            "finished_at = case when %s then clock_timestamp() else finished_at end "
            "where build_id = %s",
            (Jsonb(figures), exit_code, error, exit_code is not None, self.build_id),
        )


@dataclass(frozen=True)
class Wait:
    """How long to wait for another build, in seconds; `report` prints that, once."""

    seconds: float
    report: Callable[[str], object]


@contextlib.contextmanager
def recorded_build(
    settings: Settings, warehouse: Warehouse, wait: Wait | None = None
) -> Iterator[BuildRecord]:
    """Hold the build lock and yield what to build.

    The caller calls `begin`, then `end`. dbt may run in this process or in one that it starts: the
    lock lets both through. A build has failed if its block raises, or ends without `end`, after
    `begin`. Raises LockHeldError, with `wait` once that is over.
    """
    with build_lock(warehouse, wait) as lock:
        record = _read_record(settings, warehouse, lock)
        try:
            yield record
        except KeyboardInterrupt:
            # one that cannot be written reads as interrupted, as that of a killed build
            with contextlib.suppress(UpstreamError):
                record.cancel()
            raise
        except BaseException as error:
            record.fail(innermost(error))
            raise
        finally:
            log.name_build(None)
        record.fail("the caller did not record how it ended")


@contextlib.contextmanager
def build_lock(warehouse: Warehouse, wait: Wait | None = None) -> Iterator[psycopg.Connection]:
    """Hold the build lock, and yield the session that does.

    Raises LockHeldError, with `wait` once that is over.
    """
    with contextlib.closing(
        warehouse.connect(autocommit=True, application_name="quotemill build lock")
    ) as conn:
        with turns.noticing_loss(warehouse):
            _take_lock(conn, wait)
        os.environ["QUOTEMILL_BUILD_LOCK_HELD"] = str(find_process(conn))
        try:
            yield conn
        finally:
            del os.environ["QUOTEMILL_BUILD_LOCK_HELD"]
            turns.let_go(conn)


def _take_lock(conn: psycopg.Connection, wait: Wait | None) -> None:
    """Take the build lock by trying again: a query that waits would hold back the other build."""
    end: float | None = None
    while holder := turns.take(conn, LOCK):
        if wait is not None and end is None:
            end = time.monotonic() + wait.seconds
            wait.report("build: waiting for another build of this warehouse")
        if wait is None or end is None or time.monotonic() >= end:
            after = f", still after {wait.seconds / 60:,.0f} minutes" if wait is not None else ""
            raise LockHeldError(
                f"another build is writing to this warehouse{after}: {holder}",
                hint="Wait for it to end (`quotemill status` shows it).",
            )
        time.sleep(min(WAIT_POLL, wait.seconds))


def recent(
    conn: psycopg.Connection,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[dict[str, Any]]:
    """Rows of ops.builds that started between two times, newest first; a killed one says so."""
    query = (
        f"select b.*, {STATUS} as status from ops.builds as b "
        "where b.started_at between coalesce(%s::timestamptz, '-infinity') "
        "and coalesce(%s::timestamptz, 'infinity') order by b.build_id desc limit %s"
    )
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(query.encode(), (since, until, limit)).fetchall()


def find(conn: psycopg.Connection, build_id: int) -> dict[str, Any] | None:
    """A row of ops.builds, with `status` as in `recent`; None for an unknown one."""
    query = f"select b.*, {STATUS} as status from ops.builds as b where b.build_id = %s"
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(query.encode(), (build_id,)).fetchone()


def find_next(conn: psycopg.Connection, at: datetime) -> dict[str, Any] | None:
    """The first build that began after a time and was not a part, as in `recent`."""
    query = (
        f"select b.*, {STATUS} as status from ops.builds as b "
        "where b.started_at >= %s and b.fingerprint <> 'part' order by b.build_id limit 1"
    )
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(query.encode(), (at,)).fetchone()


def describe_command(command: str) -> str:
    """What a build makes, in words; other orchestrators record a `command` of their own."""
    if command.partition(" ")[0] != "build":
        return command
    tables = re.findall(r"--select source:(?:\w+\.)?(\w+)\+", command)
    if len(tables) > SHOWN_TABLES:
        return f"the models of {len(tables)} changed tables"
    if tables:
        return f"the models of {' + '.join(tables)}"
    if named := re.search(r"--select (.+?)(?= --|$)", command):
        return f"the models {named[1]}"
    return "all tables"


def is_loaded(conn: psycopg.Connection, *, needs_end: bool) -> bool:
    """Whether a load has landed rows, somebody wrote some by hand, or a build was good.

    needs_end: rows of loads count once one of them has ended without an error, such as a full disk
    """
    [(landed, ended, built)] = conn.execute(
        "select exists (select 1 from ops.ingestion_state) or exists (select 1 from ops.changes), "
        "not exists (select 1 from ops.ingestion_jobs) or exists (select 1 from ops.ingestion_jobs "
        "where status in ('succeeded', 'partial') and error is null), "
        "exists (select 1 from ops.change_cursors)"
    )
    return built or (landed and (ended or not needs_end))


def newest_build(warehouse: Warehouse) -> tuple[int, str] | None:
    """Id and status of the newest recorded build that was not a part.

    None before the first one; a plain `dbt build` is not recorded.
    """
    query = (
        "select build_id, status from ops.builds where fingerprint <> 'part' "
        "order by 1 desc limit 1"
    )
    return warehouse.ask(lambda conn: conn.execute(query).fetchone())


def _read_record(settings: Settings, warehouse: Warehouse, lock: psycopg.Connection) -> BuildRecord:
    """Read what a build has to build, before dbt starts.

    Rows that land while dbt runs are left to the next build.
    """
    server = warehouse.ask(lambda conn: _describe_server(conn, warehouse.reader_role))
    fingerprint = f"{fingerprint_project(settings, warehouse)} {server}"
    seen, tables = warehouse.ask(
        lambda conn: change_feed.changed_tables(conn, _reader(warehouse), fingerprint)
    )
    query = f"""
        select
            (select concat_ws('.', m.schema_name, m.relation_name) {_GONE} order by 1 limit 1),
            exists (select 1 from ops.change_cursors where reader = %(reader)s),
            {_OTHER_FAILED}
    """
    values = {
        "schemas": _schemas(warehouse),
        "reader": _reader(warehouse),
        "fingerprint": fingerprint,
    }
    [(gone, was_built, other_failed)] = warehouse.ask(
        lambda conn: conn.execute(query.encode(), values).fetchall()
    )
    if not was_built:
        why = "no successful build yet, or none since a restore"
    elif tables is None:
        why = "the dbt project, a setting that it reads, the reader role or the edition has changed"
    elif other_failed:
        why = "a build failed since, before the dbt project or a setting was changed back"
    else:
        why = f"{gone} no longer exists" if gone else ""
    tables = None if why else [table for table in tables or () if table.startswith("raw_")]
    return BuildRecord(
        tables,
        why,
        _warehouse=warehouse,
        _lock=lock,
        _seen=seen,
        _fingerprint=fingerprint,
        _content=warehouse.ask(find_content),
    )


def _describe_server(conn: psycopg.Connection, reader_role: str | None) -> str:
    """What views are made for: an edition needs its own queries, a reader role its grants."""
    query = "select (select oid from pg_roles where rolname = %s)"
    [(role,)] = conn.execute(query, (reader_role,)).fetchall()
    return f"{editions.find(conn)} {role}"


def fingerprint_project(settings: Settings, warehouse: Warehouse) -> str:
    """A hash of everything but the landed rows that decides what a build makes."""
    project, variables = find_project(), sources.dbt_settings(settings)
    names = f"{warehouse.market_schema} {warehouse.reader_role}"
    digest = hashlib.sha256(f"{names} {variables}".encode())
    parts = ("models", "snapshots")
    folders = [*(project.dbt / part for part in parts), project.root / "macros"]
    for folder in (*folders, project.root / "seeds"):
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(path.relative_to(project.root).as_posix().encode())
            digest.update(path.read_bytes())
    digest.update((project.dbt / "dbt_project.yml").read_bytes())
    return digest.hexdigest()[:16]


def _schemas(warehouse: Warehouse) -> list[str]:
    """The schemas that builds write to."""
    return [warehouse.market_schema, *(warehouse.inner_schema(name) for name in INNER_SCHEMAS)]


def _reader(warehouse: Warehouse) -> str:
    """The name of our cursor in the change feed."""
    return f"build of {warehouse.market_schema}"
