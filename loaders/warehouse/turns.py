"""Locks of the warehouse that only its writers can take.

Anybody who may log in can take an advisory lock, and pg_locks shows which. So ours are taken while
the row of their name in ops.locks is locked, which needs UPDATE there, and the row says what the
advisory lock is the hash of. Where a role that may not write there holds it, the row gets another
seed: that role is left with a number that nobody asks for.
"""

import contextlib
import secrets
from collections.abc import Iterator

import psycopg
from psycopg.rows import TupleRow

from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse

MIGRATE = "quotemill:migrate"  # the lock of who prepares a warehouse
LIMIT = 60  # seconds that a short turn of another command may last
BRIEFLY = "1s"  # that we may wait for a table in use, as others wait behind us
# SQL: take the lock `name` until the transaction ends
TAKE_ROW = (
    "insert into ops.locks (name) values (%(name)s) "
    "on conflict (name) do update set name = excluded.name"
)
_SESSION = "select l.pid, a.usename::text as role, a.application_name, a.backend_start"
_LOCKS = "from pg_locks as l inner join pg_stat_activity as a on l.pid = a.pid where l.granted"
_ADVISORY = """
    and l.locktype = 'advisory' and l.objsubid = 1
    and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    and (l.classid::bigint << 32) | l.objid::bigint
"""
_FIRST_HOLDERS = f"{_SESSION} {_LOCKS} {_ADVISORY} = hashtextextended(%(name)s, 0)".encode()
_ROW_HOLDERS = (
    f"{_SESSION} {_LOCKS} and l.relation = 'ops.locks'::regclass "
    "and l.mode = 'RowExclusiveLock' and l.pid <> pg_backend_pid()"
).encode()


def _key_of(name: str) -> str:
    """SQL: the number of the advisory lock of a name, an SQL expression."""
    return (
        f"hashtextextended({name}, "
        f"coalesce((select k.seed from ops.locks as k where k.name = {name}), 0))"
    )


def _holders(name: str) -> str:
    """SQL: sessions that hold the lock of a name, an SQL expression, and whether they may write."""
    is_writer = "has_table_privilege(a.usesysid, 'ops.locks', 'update') as is_writer"
    return f"{_SESSION}, {is_writer} {_LOCKS} {_ADVISORY} = {_key_of(name)}"


def is_held(name: str) -> str:
    """SQL: whether a writer holds this database's lock of a name, an SQL expression."""
    return f"exists (select 1 from ({_holders(name)}) as h where h.is_writer)"


def take(conn: psycopg.Connection, name: str) -> str | None:
    """Take a lock until the session ends or calls `let_go`.

    Never waits for its holder. Returns a description of the writer that has it, None once taken.
    `conn` is in autocommit.
    """
    if not _is_made(conn):
        taken = "select pg_try_advisory_lock(hashtextextended(%s, 0))"
        return None if conn.execute(taken, (name,)).fetchone() == (True,) else "another command"
    with conn.transaction():
        wait_for_turn(conn, name)
        while True:
            taken = f"select pg_try_advisory_lock({_key_of('%(name)s')})"
            if conn.execute(taken.encode(), {"name": name}).fetchone() == (True,):
                return None
            sessions = conn.execute(_holders("%(name)s").encode(), {"name": name}).fetchall()
            if writer := next((row for row in sessions if row[-1]), None):
                return _describe(writer)
            if sessions:
                conn.execute(
                    "update ops.locks set seed = %s where name = %s",
                    (secrets.randbits(63), name),
                )


@contextlib.contextmanager
def noticing_loss(warehouse: Warehouse) -> Iterator[None]:
    """A block in which a connection that takes or holds locks may break: WarehouseAway."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise warehouse.away(error) from None


def let_go(conn: psycopg.Connection) -> None:
    """Let go of what `take` took: a server ends a session shortly after its client."""
    with contextlib.suppress(psycopg.Error):
        conn.execute("select pg_advisory_unlock_all()")


def wait_for_turn(conn: psycopg.Connection, name: str) -> None:
    """Take a lock until the transaction of the caller ends.

    Raises LockHeldError with the holder after LIMIT seconds.
    """
    try:
        with lock_timeout(conn, f"{LIMIT}s"):
            if not _is_made(conn):
                conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
            if _is_made(conn):  # the one before may have made it
                conn.execute(TAKE_ROW, {"name": name})
    except psycopg.errors.LockNotAvailable:
        holders = _ROW_HOLDERS if _is_made(conn) else _FIRST_HOLDERS
        holder = conn.execute(holders, {"name": name}).fetchone()
        raise LockHeldError(
            f"{_describe(holder)} has been preparing the warehouse for {LIMIT} seconds",
            hint="Wait for it, or end it as a superuser: `select "
            f"pg_terminate_backend({holder[0] if holder else 'pid'})`",
        ) from None


@contextlib.contextmanager
def lock_timeout(conn: psycopg.Connection, limit: str) -> Iterator[None]:
    """A part of the caller's transaction that waits for locks no longer than a limit, as '1s'.

    Undone where it raises psycopg.errors.LockNotAvailable.
    """
    [(before,)] = conn.execute("select current_setting('lock_timeout')")
    with conn.transaction():
        conn.execute("select set_config('lock_timeout', %s, true)", (limit,))
        yield
        conn.execute("select set_config('lock_timeout', %s, true)", (before,))


@contextlib.contextmanager
def unless_locked(conn: psycopg.Connection) -> Iterator[None]:
    """A part of the caller's transaction that is skipped where others hold what it locks.

    Every command prepares the warehouse, and none waits for an import.
    """
    with contextlib.suppress(psycopg.errors.LockNotAvailable), lock_timeout(conn, BRIEFLY):
        yield


def _is_made(conn: psycopg.Connection) -> bool:
    """Whether the warehouse was ever prepared; also for a role that may not look into ops."""
    query = (
        "select 1 from pg_class where relnamespace = to_regnamespace('ops') and relname = 'locks'"
    )
    return conn.execute(query).fetchone() is not None


def _describe(holder: TupleRow | None) -> str:
    if holder is None:
        return "another session"
    pid, role, application, since = holder[:4]
    at = f" since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return f"session {pid} of role {role} ({application or 'unnamed'}{at})"
