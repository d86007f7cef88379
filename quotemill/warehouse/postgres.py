"""The warehouse: its PostgreSQL, the origin of that setting, and connections to it.

Passwords are in `url` and `dlt_url()` only: no label, repr or error text has them.
"""

import os
import queue
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import stamina
from psycopg.conninfo import make_conninfo

from quotemill.errors import LockHeldError, UpstreamError, sqlstate
from quotemill.masks import HIDDEN, find_passwords
from quotemill.warehouse.address import build_address, parse_address
from quotemill.warehouse.connections import (
    WATCHFUL,
    Connection,
    connect,
    end,
    hang_up,
    lift_limit,
    take_unbroken,
)

T = TypeVar("T")
PATIENCE = 60.0  # seconds that a load waits for a warehouse that restarts
READERS_WAIT = "5s"  # for a table that others lock; the first rows of one can take half a minute
_NO_ROOM, _LOCKED = "53100", "55P03"  # PostgreSQL's codes of a full disk, of a lock's limit
_CROWDED = "Close other connections, or raise max_connections of the server."
_FIXES = [  # fragments of libpq's messages, and what to do about each
    ("too many ", _CROWDED),
    ("remaining connection slots", _CROWDED),
    ("Connection refused", "Check that the server is running, and its host and port ({origin})."),
    ("password authentication failed", "Check user and password ({origin})."),
    ("no password supplied", "Add the password to the URL ({origin}), or to ~/.pgpass."),
    ("no pg_hba.conf entry", "Let this user in from this machine in the server's pg_hba.conf."),
    ('database "', "Create the database (createdb), or correct the name ({origin})."),
    ('role "', "Create the role (createuser), or correct the name ({origin})."),
    ("could not translate host name", "Check the host's name ({origin})."),
    ("SSL", "Check sslmode and the certificates ({origin})."),
    ("connections to the node", "Start that node of Citus, then run the command again."),
    ("remote node", "Start that node of Citus, then run the command again."),
    (
        "starting up",
        "Wait until the server has started or recovered, then run the command again.",
    ),
    ("shutting down", "Start the server, which is shutting down, then run the command again."),
]
# of libpq's messages: where it tried, which the label says, and what is no cause
_ATTEMPT = re.compile(r"^connection failed: connection to server .+? failed: (?:FATAL: )?")
_REMARKS = re.compile(r" (?:HINT:|CONTEXT:|Is the server running ).*")
_LIMITED = re.compile(r'too many connections for (role|database) "(.+)"')
# a server may speak another language, and libpq passes on no code of the error
_ANY_FIX = "Check that the server is running, and its host, user, password and database ({origin})."


class WarehouseAway(UpstreamError):
    """The warehouse cannot be reached, or went away while in use."""


class _Pool:
    """Idle connections: `size` of them; `overflow` more may be in use at a time.

    lent: those in use
    dlt_clients: idle clients of dlt, each with a connection, by schema
    """

    def __init__(self, size: int, overflow: int) -> None:
        self._size, self._most = size, size + overflow
        self.is_closed = False
        self._begin()

    def _begin(self) -> None:
        self.idle: list[psycopg.Connection] = []
        self.lent: set[psycopg.Connection] = set()
        self.dlt_clients: defaultdict[str, list[Any]] = defaultdict(list)
        # collected batches give theirs back at any moment, also to a thread that is in here
        self._turns = queue.SimpleQueue[None]()
        for _ in range(self._most):
            self._turns.put(None)
        self._lock = threading.RLock()
        self._process = os.getpid()

    def _begin_after_fork(self) -> None:
        if self._process != os.getpid():  # drivers leave the parent's connections open
            self._begin()

    @contextmanager
    def turn(self, label: str) -> Iterator[None]:
        """Wait until fewer than all connections are in use. Raises WarehouseAway after PATIENCE."""
        self._begin_after_fork()
        turns = self._turns
        try:
            turns.get(timeout=PATIENCE)
        except queue.Empty:
            raise WarehouseAway(
                f"all {self._most} connections to the warehouse {label} are in use",
                hint="Use fewer readers at a time.",
            ) from None
        try:
            yield
        finally:
            turns.put(None)

    def mark_lent(self, conn: psycopg.Connection) -> None:
        """Put down that a connection is in use, and hang it up if the pool was closed meanwhile."""
        with self._lock:
            self.lent.add(conn)
            if self.is_closed:
                hang_up(conn)

    def take_back(self, conn: psycopg.Connection, *, is_whole: bool) -> bool:
        """Whether a lent connection is kept for others; if not, the caller closes it."""
        self._begin_after_fork()
        with self._lock:  # which `close` holds while it hangs up
            self.lent.discard(conn)
            if is_kept := is_whole and not self.is_closed and len(self.idle) < self._size:
                self.idle.append(conn)
            return is_kept

    def close(self) -> None:
        """Close the idle connections, and end what other threads do with the lent ones."""
        self._begin_after_fork()
        with self._lock:
            self.is_closed = True
            for conn in tuple(self.lent):
                hang_up(conn)
            for conn in self.idle:
                conn.close()
            for client in chain.from_iterable(self.dlt_clients.values()):
                client.close_connection()


@dataclass(frozen=True)
class Warehouse:
    """One PostgreSQL database.

    url: a libpq URI with the password
    origin, label: for people, without the password
    home: QUOTEMILL_HOME, where the embedded server lives
    start: starts an embedded server that is down; its URL. None: it is left down
    admits_reader: whether the role of `server.listen` gets in
    history: landed tables whose old rows stay when a load corrects them
    connection: how its sessions behave
    lock_timeout: how long they wait for what others lock; 0: for ever
    """

    url: str = field(repr=False)
    origin: str
    embedded: bool
    market_schema: str
    reader_role: str | None
    label: str
    home: Path = field(repr=False)
    start: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    admits_reader: bool = field(default=False, repr=False, compare=False)
    history: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    pool_size: int = field(default=10, repr=False, compare=False)
    max_overflow: int = field(default=20, repr=False, compare=False)
    pool: "_Pool | None" = field(default=None, repr=False, compare=False)
    connection: type[Connection] = field(default=Connection, repr=False, compare=False)
    lock_timeout: str = field(default="0", repr=False, compare=False)

    @contextmanager
    def keeping_connections(self) -> Iterator["Warehouse"]:
        """This warehouse, whose `ask` reuses connections until the end of the block.

        In any thread; a process that is forked meanwhile opens its own. At most `pool_size`
        connections stay and `max_overflow` more are open at a time: further callers wait. They are
        created as they are needed, since a command mostly needs one.
        """
        pool = _Pool(self.pool_size, self.max_overflow)
        try:
            yield replace(self, pool=pool)
        finally:
            pool.close()

    def connect(
        self, *, autocommit: bool = False, application_name: str = "quotemill"
    ) -> psycopg.Connection:
        """Connect. An embedded server that died is started again.

        Raises WarehouseAway with the fix as its hint.
        """
        try:
            options = autocommit, application_name, self.connection, self.lock_timeout
            try:
                return connect(self.url, *options)
            except psycopg.OperationalError:
                if self.start is None:
                    raise
                return connect(self.start(), *options)
        except psycopg.OperationalError as error:
            raise self.away(error) from None

    def ask(self, work: Callable[[psycopg.Connection], T], *, patient: bool = True) -> T:
        """Do one piece of work in one transaction; while the warehouse is away, retry for a while.

        Raises WarehouseAway, at once where not `patient`.
        """
        for attempt in stamina.retry_context(
            on=WarehouseAway,
            attempts=None if patient else 1,
            timeout=PATIENCE if patient else None,
            wait_max=5.0,
        ):
            with attempt:
                try:
                    with self.lend(self.connect) as conn:
                        return work(conn)
                except psycopg.OperationalError as error:
                    raise self.away(error) from None
        raise AssertionError("stamina re-raises the last error")

    @contextmanager
    def lend(self, connect: Callable[[], psycopg.Connection]) -> Iterator[psycopg.Connection]:
        """A connection for one piece of work, which is committed: an idle one, or a new one."""
        pool, process = self.pool, os.getpid()
        with pool.turn(self.label) if pool else nullcontext():
            conn = (take_unbroken(pool.idle) if pool else None) or connect()
            if pool:
                pool.mark_lent(conn)
                # a pooler between us and the server may know no such statement
                conn.prepare_threshold = None
            is_whole = False
            try:
                yield conn
                conn.commit()
                is_whole = True
            finally:
                if not (pool and pool.take_back(conn, is_whole=is_whole)):
                    end(conn, process)

    def inner_schema(self, name: str) -> str:
        """The name of `futures`, `qa` and other inner schemas beside this market schema.

        Each market schema has its own, so that two can share a database, as in
        macros/generate_schema_name.sql.
        """
        return name if self.market_schema == "market" else f"{name}_{self.market_schema}"

    def params(self) -> dict[str, str]:
        """libpq's parameters by name: host, port, user, password, dbname, sslmode, …"""
        return parse_address(self.url, self.origin)

    def dlt_url(self) -> str:
        """The URL as dlt takes it.

        It insists on host and password, even where a socket (by ?host=, which libpq prefers to the
        host in front) needs neither.
        """
        defaults = {"host": "localhost", "port": "5432", "user": "postgres", "dbname": "postgres"}
        params = defaults | WATCHFUL | self.params()
        return build_address(
            params | {"password": params.get("password") or "x"}, socket_host="localhost"
        )

    def without_password(self) -> tuple[str, dict[str, str]]:
        """Connection string fit for a command line, and the environment that completes it."""
        params = self.params()
        apart = {"PGPASSWORD": params.pop("password", ""), "PGOPTIONS": params.pop("options", "")}
        return make_conninfo("", **params), {name: text for name, text in apart.items() if text}

    def scrub(self, text: str) -> str:
        """`text` without the password."""
        for password in sorted(find_passwords(self.url), key=len, reverse=True):
            text = text.replace(password, HIDDEN)
        return text

    def away(self, error: BaseException) -> UpstreamError | LockHeldError:
        """The error to raise when a connection failed or broke, or the server lacks what it needs.

        Its disk can be full, or a table locked for longer than a reader waits.
        """
        whole = self.scrub(" ".join(str(error).split()))
        reason = _REMARKS.sub("", _ATTEMPT.sub("", whole))
        if sqlstate(error) == _NO_ROOM:
            return UpstreamError(
                f"the warehouse {self.label} has no room left: {reason}",
                hint="Free some space on the disk of its server, then run again: nothing is lost.",
            )
        if sqlstate(error) == _LOCKED:
            return LockHeldError(
                f"a table of the warehouse {self.label} is locked by the load of its first rows, "
                "or by a command that changes it",
                hint="Run again in a minute (`quotemill loads` lists the loads).",
            )
        fix = next((fix for part, fix in _FIXES if part in whole), "")
        if self.embedded and fix != _CROWDED:
            fix = f"Run `quotemill warehouse {'status' if self.start else 'start'}`."
        hint = (fix or _ANY_FIX).format(origin=self.origin)
        if limited := _LIMITED.search(whole):
            hint = f"Close other connections, or {lift_limit(*limited.groups())}"
        return WarehouseAway(
            f"the warehouse {self.label} cannot be reached: {reason}",
            hint=hint,
        )
