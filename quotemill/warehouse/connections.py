"""Connections to the warehouse: how each is opened, its session, and whether an idle one is open.

Of a server, a database, a role and the environment (PGOPTIONS, PGTZ, …) a session inherits
settings. What we rely on is set here, for sessions of dlt and dbt too.
"""

import os
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier

from quotemill.errors import SettingsError

T = TypeVar("T")
# Windows has no poll, and select takes no socket beyond 1024
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
# A crashed server or a pulled cable is noticed within a minute, not after the two hours and more of
# the system's defaults, in which a load looks frozen. Milliseconds in the last.
WATCHFUL = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # half of PATIENCE: a dead idle connection leaves time for another
}
_SETTINGS = {
    # the text of values, and how texts are read
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",  # 10-01-2024 in a seed is an error, not October
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    # work is as long as tables are large, and a lock of ours is a session that waits
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",  # of PostgreSQL 17
    # a query whose client was killed would run to its end
    "client_connection_check_interval": "2s",
    # to compile the plan of a view on views, such as qa.findings, takes a server a minute, and its
    # query without that half a second
    "jit": "off",
}
# before any transaction: a rollback would take it back. A standby refuses a serializable one, which
# may be the default
SESSION = f"""
    begin isolation level read committed;
    select set_config(name, value, false)
    from (values {", ".join(map(str, _SETTINGS.items()))}) as settings (name, value)
    where current_setting(name, true) is not null
        -- there a server cannot see that its client is gone
        and (name <> 'client_connection_check_interval'
            or current_setting('shared_memory_type') <> 'windows')
    union all
    select set_config('search_path', concat_ws(', ', '"$user"', 'public', (
        select extnamespace::regnamespace::text from pg_extension where extname = 'timescaledb'
    )), false);
    commit
"""

# A superuser reads for this transaction without access to the server's files and programs. Nodes of
# Citus let no role in that may not log in.
AS_READER = """
    select set_config('role', 'pg_read_all_data', true)
    where current_setting('is_superuser')::boolean
        and not exists (select 1 from pg_extension where extname = 'citus')
"""


class Connection(psycopg.Connection[Any]):
    """A connection of ours."""

    def check(self) -> None:
        """Look at the warehouse, once the session is set up."""


def connect(
    url: str,
    autocommit: bool = False,
    application_name: str = "quotemill",
    kind: type[Connection] = Connection,
    lock_timeout: str = "0",
) -> psycopg.Connection:
    """Connect as all of our sessions do.

    lock_timeout: how long it waits for what others lock, as '5s'; 0: for ever

    Raises what libpq says, and SettingsError for a database that is not in UTF-8.
    """
    params: dict[str, Any] = {"connect_timeout": 10} | WATCHFUL | conninfo_to_dict(url)
    # another encoding may be one that Python does not have
    params |= {"client_encoding": "UTF8", "application_name": application_name}
    connection = kind.connect(make_conninfo("", **params), autocommit=True)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        database, user = connection.info.dbname, connection.info.user
        connection.close()
        create = SQL(
            "create database {} owner {} encoding 'UTF8' locale 'C' template template0"
        ).format(Identifier(f"{database}_utf8"), Identifier(user))
        raise SettingsError(
            f"the database {database} must be UTF8, not {encoding}",
            hint=f"{create.as_string(None)}, then set QUOTEMILL_WAREHOUSE_URL to it",
        )
    connection.execute(SESSION.encode())
    connection.check()
    if lock_timeout != "0":
        connection.execute("select set_config('lock_timeout', %s, false)", (lock_timeout,))
    connection.autocommit = autocommit
    return connection


def lift_limit(kind: str, name: str) -> str:
    """How to end the connection limit of a `role` or a `database`."""
    quoted = Identifier(name).as_string(None)
    return f"run as a superuser: alter {kind} {quoted} connection limit -1"


def set_up_session(connection: Any) -> None:
    """Make a session of psycopg2, which dlt and dbt use, one of ours. It commits each statement."""
    connection.set_client_encoding("UTF8")  # what it encodes by; no statement tells it
    with connection.cursor() as cursor:
        cursor.execute(SESSION)


def read_session(conn: psycopg.Connection) -> dict[str, str]:
    """The settings of one of our sessions, without those that the server does not know."""
    names = ["search_path", *_SETTINGS]
    rows = conn.execute("select name, setting from pg_settings where name = any(%s)", (names,))
    return dict(rows.fetchall())


def find_process(conn: psycopg.Connection) -> int:
    """The number of a session's process, of the server: a pooler tells one of its own."""
    [(process,)] = conn.execute("select pg_backend_pid()")
    return int(process)


def find_options(conn: psycopg.Connection) -> dict[str, str]:
    """PGOPTIONS of a program of PostgreSQL: what it needs of this session from its first statement.

    None through a pooler, which may refuse such options.
    """
    if find_process(conn) != conn.info.backend_pid:
        return {}
    # those of the URL or of the environment, whichever libpq took
    options = [conn.info.get_parameters().get("options", "")]
    for name in ("default_transaction_isolation", "client_connection_check_interval"):
        [(value,)] = conn.execute("select current_setting(%s)", (name,))
        options.append(f"-c {name}=" + value.replace(" ", "\\ "))
    return {"PGOPTIONS": " ".join(options)}


def end(conn: psycopg.Connection, process: int) -> None:
    """Close a connection of a process, and cancel what the server does for it.

    In a fork of that process nothing is done: the parent continues to use it.
    """
    if os.getpid() == process:
        _cancel(conn)
        conn.close()


def hang_up(conn: psycopg.Connection) -> None:
    """End what the server does for another thread, which gets an error and closes it."""
    with suppress(psycopg.Error, OSError):  # of one that ends by itself
        _cancel(conn)
        line = socket.socket(fileno=conn.fileno())
        try:
            line.shutdown(socket.SHUT_RDWR)
        finally:
            line.detach()  # libpq closes it


def _cancel(conn: psycopg.Connection) -> None:
    if conn.info.transaction_status == TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            conn.cancel_safe(timeout=2)


def take_unbroken(idle: list[T], connection_of: Callable[[T], Any] = lambda conn: conn) -> T | None:
    """One of the idle connections, or of what has them, off the list.

    Those that the server has closed are closed.
    """
    while True:
        try:
            taken = idle.pop()  # another thread may have taken the last since
        except IndexError:
            return None
        conn = connection_of(taken)
        if _is_unbroken(conn):
            return taken
        conn.close()


def _is_unbroken(conn: Any) -> bool:
    """Whether an idle connection is open: what could be read would be the end of its session."""
    return not await_socket(conn.fileno(), selectors.EVENT_READ, 0)


def await_socket(fileno: int, event: int, seconds: float | None = None) -> bool:
    """Wait until a socket can be read or written, as of `selectors`; whether it can."""
    with _Selector() as waiting:
        waiting.register(fileno, event)
        return bool(waiting.select(seconds))
