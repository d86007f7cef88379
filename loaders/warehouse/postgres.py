"""The warehouse: its PostgreSQL, the origin of that setting, and connections to it.

Passwords are in `url` and `dlt_url()` only: no label, repr or error text has them.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import stamina
from psycopg.conninfo import make_conninfo

from loaders.errors import QuotemillError, SettingsError, UpstreamError, sqlstate
from loaders.masks import HIDDEN, find_passwords
from loaders.refusals import LIMITS, name_role
from loaders.settings import Settings
from loaders.warehouse import citus, timescale
from loaders.warehouse.address import build_address, label_address, parse_address
from loaders.warehouse.connections import WATCHFUL, connect, take_unbroken
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded.settings import Address
from loaders.warehouse.ownership import check_market_schema

T = TypeVar("T")
OLDEST = 15  # PostgreSQL's major version
PATIENCE = 60.0  # seconds that a load waits for a warehouse that restarts
# For a session whose work is as long as tables are large, in spite of those limits. Some servers
# lack some of them. Asking pg_settings would take the server ten times as long.
NO_TIMEOUTS = f"""
    select set_config(name, '0', false) from unnest(array{list(LIMITS.values())}) as name
    where current_setting(name, true) is not null
"""
NO_TIMEOUTS_ONCE = NO_TIMEOUTS.replace("false", "true")  # until the transaction ends
PASSING = "1s"  # that we may wait for a table in use, as others wait behind us
_FIXES = [  # fragments of libpq's messages, and what to do about each
    ("password authentication failed", "check user and password ({origin})"),
    ("no password supplied", "add the password to the URL ({origin}), or to ~/.pgpass"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf must admit this user from this machine"),
    ('database "', "make the database (createdb), or correct the name ({origin})"),
    ('role "', "make the role (createuser), or correct the name ({origin})"),
    ("could not translate host name", "check the host's name ({origin})"),
    ("SSL", "check sslmode and the certificates ({origin})"),
    ("too many clients", "close other connections, or raise max_connections"),
    ("remaining connection slots", "close other connections, or raise max_connections"),
    ("connections to the node", "start that node of Citus, then run the command again"),
    ("remote node", "start that node of Citus, then run the command again"),
    ("starting up", "the server is starting or recovering: run the command again in a moment"),
    ("shutting down", "the server is stopping: start it, then run the command again"),
]
# a server may speak another language, and libpq passes on no code of the error
_ANY_FIX = "is the server running, and are host, user, password and database right ({origin})?"


class WarehouseAway(UpstreamError):
    """The warehouse cannot be reached, or went away while in use."""


class _Pool:
    """Idle connections: `size` of them; `overflow` more may be in use at a time.

    dlt_clients: idle clients of dlt, each with a connection, by schema
    """

    def __init__(self, size: int, overflow: int) -> None:
        self.idle: list[psycopg.Connection] = []
        self.dlt_clients: defaultdict[str, list[Any]] = defaultdict(list)
        self._size, self._most = size, size + overflow
        self._turns = threading.BoundedSemaphore(self._most)

    @contextmanager
    def turn(self, label: str) -> Iterator[None]:
        """Wait until fewer than all connections are in use. Raises WarehouseAway after PATIENCE."""
        if not self._turns.acquire(timeout=PATIENCE):
            raise WarehouseAway(
                f"all {self._most} connections to the warehouse {label} are in use",
                hint="raise max_overflow, or let fewer readers work at a time",
            )
        try:
            yield
        finally:
            self._turns.release()

    def keep(self, conn: psycopg.Connection) -> None:
        if len(self.idle) < self._size:
            self.idle.append(conn)
        else:
            conn.close()


@dataclass(frozen=True)
class Warehouse:
    """One PostgreSQL database.

    url: a libpq URI with the password
    origin, label: for people, without the password
    home: QUOTEMILL_HOME, where the embedded server lives
    sizes: those that the settings give the embedded server
    listen: where it lets readers in
    history: landed tables whose old rows stay when a load corrects them
    connection: how its sessions behave
    """

    url: str = field(repr=False)
    origin: str
    embedded: bool
    market_schema: str
    reader_role: str | None
    label: str
    home: Path = field(repr=False)
    may_start: bool = field(default=True, repr=False)
    sizes: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    listen: Address | None = field(default=None, repr=False, compare=False)
    history: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    pool_size: int = field(default=10, repr=False, compare=False)
    max_overflow: int = field(default=20, repr=False, compare=False)
    pool: "_Pool | None" = field(default=None, repr=False, compare=False)
    connection: type[psycopg.Connection[Any]] = field(
        default=psycopg.Connection, repr=False, compare=False
    )

    @contextmanager
    def keeping_connections(self) -> Iterator["Warehouse"]:
        """This warehouse, whose `ask` reuses connections until the end of the block.

        In any thread, not in a process that is forked meanwhile. At most `pool_size` connections
        stay and `max_overflow` more are open at a time: further callers wait. They are made as they
        are needed, since a command mostly needs one.
        """
        pool = _Pool(self.pool_size, self.max_overflow)
        try:
            yield replace(self, pool=pool)
        finally:
            for conn in pool.idle:
                conn.close()
            for client in chain.from_iterable(pool.dlt_clients.values()):
                client.close_connection()

    def connect(
        self, *, autocommit: bool = False, application_name: str = "quotemill"
    ) -> psycopg.Connection:
        """Connect; the session's time zone is UTC. An embedded server that died is started again.

        Raises WarehouseAway with the fix as its hint.
        """
        try:
            try:
                return connect(self.url, autocommit, application_name, self.connection)
            except psycopg.OperationalError:
                if not (self.embedded and self.may_start):
                    raise
                url = embedded.ensure_running(self.home, self.sizes, self.listen).url
                return connect(url, autocommit, application_name, self.connection)
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
                    with self._transaction() as conn:
                        return work(conn)
                except psycopg.OperationalError as error:
                    raise self.away(error) from None
        raise AssertionError("stamina re-raises the last error")

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        turn = self.pool.turn(self.label) if self.pool else nullcontext()
        with turn, self.lend(self.connect) as conn:
            yield conn

    @contextmanager
    def lend(self, connect: Callable[[], psycopg.Connection]) -> Iterator[psycopg.Connection]:
        """A connection for one piece of work, which is committed: an idle one, or a new one."""
        pool = self.pool
        conn = (take_unbroken(pool.idle) if pool else None) or connect()
        if pool:  # a pooler between us and the server may know no such statement
            conn.prepare_threshold = None
        try:
            yield conn
            conn.commit()
        except BaseException:
            conn.close()
            raise
        if pool:
            pool.keep(conn)
        else:
            conn.close()

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
        password = params.pop("password", None)
        return make_conninfo("", **params), {"PGPASSWORD": password} if password else {}

    def scrub(self, text: str) -> str:
        """`text` without the password."""
        for password in sorted(find_passwords(self.url), key=len, reverse=True):
            text = text.replace(password, HIDDEN)
        return text

    def away(self, error: BaseException) -> QuotemillError:
        """The error to raise when a connection failed or broke, or a limit ended its work."""
        reason = self.scrub(str(error).strip())
        limit = LIMITS.get(sqlstate(error) or "")
        if limit is not None and self._is_ended_by(limit, reason):
            role = name_role(self.params().get("user"))
            return SettingsError(
                f"the warehouse {self.label} ended a statement by its {limit}: "
                f"{reason.partition(chr(10))[0]}",
                hint=f"alter role {role} set {limit} = 0, then run again; fetched rows are kept",
            )
        fix = next((fix for part, fix in _FIXES if part in reason), "")
        if self.embedded:
            fix = f"quotemill warehouse {'status' if self.may_start else 'start'}"
        return WarehouseAway(
            f"the warehouse {self.label} cannot be reached: {reason}",
            hint=(fix or _ANY_FIX).format(origin=self.origin),
        )

    def _is_ended_by(self, limit: str, reason: str) -> bool:
        """Whether sessions have the limit, and it was not somebody who cancelled the statement.

        Both have one code, so the words are compared with those of a timeout, in any language.
        """
        try:
            with connect(self.url, autocommit=True) as conn:
                [(value,)] = conn.execute("select current_setting(%s, true)", (limit,))
                if value in (None, "", "0") or limit != "statement_timeout":
                    return value not in (None, "", "0")
                conn.execute("set statement_timeout = '1ms'")
                conn.execute("select pg_sleep(1)")
        except psycopg.errors.QueryCanceled as timeout:
            return (timeout.diag.message_primary or "") in reason
        except psycopg.Error:
            return False
        return False


def open_warehouse(settings: Settings, *, start: bool = True) -> Warehouse:
    """The warehouse that the settings name, running and of a supported version (15 or newer).

    The embedded server is started if need be. With start=False no server is started or spoken to.
    Raises SettingsError (exit 3) for a bad URL, an old server, an old TimescaleDB or one beside
    Citus, UpstreamError (4) when it is down.
    """
    check_market_schema(settings.market_schema, settings.origin("market_schema"))
    if settings.warehouse_url is None:
        allow_embedded(settings)
        return _open_embedded(settings, start)
    origin = settings.origin("warehouse_url")
    url = settings.warehouse_url.get_secret_value()
    params = parse_address(url, origin)
    warehouse = Warehouse(
        url=url,
        origin=origin,
        embedded=False,
        market_schema=settings.market_schema,
        reader_role=settings.reader_role,
        label=label_address(params),
        home=settings.home,
        history=settings.history.tables,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
    )
    if not start:
        return warehouse
    with warehouse.connect(autocommit=True) as connection:
        info = connection.info
        if info.server_version < OLDEST * 10000:
            major = info.server_version // 10000
            raise SettingsError(
                f"the warehouse {warehouse.label} is PostgreSQL {major}; "
                f"quotemill needs {OLDEST} or newer",
                hint=f"point {origin} at a newer server, or remove it to use the embedded one",
            )
        timescale.find(connection)
        citus.find_version(connection)
        # what libpq took from ~/.pgpass, PG* variables or its defaults must reach dlt and dbt too
        used = {"host": info.host, "port": str(info.port), "user": info.user}
        used |= {"dbname": info.dbname, "password": info.password}
    url = build_address({k: v for k, v in used.items() if v} | params)
    return replace(warehouse, url=url, label=label_address(parse_address(url, origin)))


def find_warehouse(settings: Settings) -> Warehouse | None:
    """The warehouse for commands that only read; None where it would be a new server."""
    if settings.warehouse_url is None and not embedded.is_made(settings.home):
        allow_embedded(settings)
        return None
    return open_warehouse(settings)


def require_warehouse(settings: Settings) -> Warehouse:
    """The warehouse for a command that reads. Raises SettingsError before the first load."""
    warehouse = find_warehouse(settings)
    if warehouse is None:
        raise SettingsError(
            f"no warehouse yet below {settings.home} ({settings.origin('home')})",
            hint="`quotemill run` makes it, after `quotemill init` where no source is configured;"
            " QUOTEMILL_HOME=/absolute/path names another one",
        )
    return warehouse


def allow_embedded(settings: Settings) -> None:
    """Raises SettingsError where the settings refuse the embedded server."""
    if not settings.embedded_server:
        raise SettingsError(
            "no warehouse is named, and the embedded server is refused "
            f"({settings.origin('embedded_server')})",
            hint="set QUOTEMILL_WAREHOUSE_URL=postgresql://user:password@host:5432/database",
        )


def _open_embedded(settings: Settings, start: bool) -> Warehouse:
    home, sizes, listen = settings.home, settings.server.given(), settings.server.address
    if start:
        server = embedded.ensure_running(home, sizes, listen)
        url, name = server.url, f"embedded PostgreSQL {server.major} ({server.socket_dir})"
    else:
        url = embedded.expected_url(home)
        name = f"embedded PostgreSQL ({home})"
    return Warehouse(
        url=url,
        origin="default: embedded server",
        embedded=True,
        market_schema=settings.market_schema,
        reader_role=settings.reader_role,
        label=name,
        home=home,
        may_start=start,
        sizes=sizes,
        listen=listen,
        history=settings.history.tables,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
    )


@contextmanager
def unless_locked(conn: psycopg.Connection) -> Iterator[None]:
    """A part of the caller's transaction that is skipped where others hold what it locks.

    Every command prepares the warehouse, and none waits for an import.
    """
    [(timeout,)] = conn.execute("select current_setting('lock_timeout')")
    with suppress(psycopg.errors.LockNotAvailable), conn.transaction():
        conn.execute("select set_config('lock_timeout', %s, true)", (PASSING,))
        yield
        conn.execute("select set_config('lock_timeout', %s, true)", (timeout,))
