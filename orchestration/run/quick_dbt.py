"""dbt in this process without work that changes none of its results, and in an order of ours.

docs/decisions/0019 names the four attributes of other libraries that it replaces while a command
of ours runs, and what each saves. Plain `dbt` runs as it is.
"""

import contextlib
import functools
import gc
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import repeat
from operator import itemgetter
from typing import Any

from orchestration.run.build_order import ranked_queue
from quotemill.errors import SettingsError
from quotemill.warehouse.connections import take_unbroken

# what these are written for
VERSIONS = {"dbt-core": "1.11."}
IDLE = 30.0  # seconds; firewalls and servers end what idles for longer


@contextlib.contextmanager
def quick_dbt(processors: int | None = None) -> Iterator[None]:
    """Let dbt's commands in this process skip repeated work, and build prices first.

    processors: those that the server shares with dbt, if it does. Raises SettingsError with
    versions of dbt that this was not written for.
    """
    _check_versions()
    from dbt.adapters.postgres.impl import PostgresAdapter
    from dbt.context.macros import MacroNamespaceBuilder
    from dbt.graph import selector
    from dbt_common.events import event_manager_client as events
    from dbt_common.events.base_types import BaseEvent

    quiet, make_when_read = quiet_events()
    replaced: list[tuple[Any, str, Any]] = [
        (PostgresAdapter, "ConnectionManager", keeping_connections()),
        (MacroNamespaceBuilder, "build_namespace", build_namespace),
        (selector, "GraphQueue", ranked_queue(processors)),
        (BaseEvent, "__init__", make_when_read),
    ]
    before = [(owner, name, vars(owner).get(name)) for owner, name, _ in replaced]
    manager, collects = events.get_event_manager(), gc.isenabled()
    try:
        # dbt holds all that it parses, and each collection goes through it again. Before Python
        # 3.11.8 one that comes while a thread evaluates a literal may end the model (decision 0019)
        gc.disable()
        events.ctx_set_event_manager(quiet)
        for owner, name, value in replaced:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            if value is None:  # inherited
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        events.ctx_set_event_manager(manager)
        if collects:
            gc.enable()


def _check_versions() -> None:
    for package, known in VERSIONS.items():
        installed = version(package)
        if not installed.startswith(known):
            raise SettingsError(
                f"{package} {installed} is installed; our commands run with {known}x",
                hint=f"pip install '{package}=={known}*', or run dbt itself: it needs none of this",
            )


def quiet_events() -> tuple[Any, Callable[..., None]]:
    """Make a manager of events that skips those of level debug where no log takes them.

    Each statement has five of them. dbt fills two messages for each, of which its logs take none.
    With it comes the `__init__` of events, which fills the message when somebody reads it.
    """
    from dbt_common.events.base_types import BaseEvent, DebugLevel
    from dbt_common.events.event_manager import EventManager

    make: Any = BaseEvent.__init__

    class Unmade:
        """The message of an event that nobody has read."""

        def __init__(self, event: Any, values: dict[str, Any]) -> None:
            object.__setattr__(self, "parts", (event, values))

        def __getattribute__(self, name: str) -> Any:
            event, values = object.__getattribute__(self, "parts")
            make(event, **values)
            return getattr(event.pb_msg, name)

    class QuietEvents(EventManager):
        def fire_event(
            self,
            e: Any,
            level: Any = None,
            node: Any = None,
            force_warn_or_error_handling: bool = False,
        ) -> None:
            is_debug = level is None and isinstance(e, DebugLevel)
            if force_warn_or_error_handling or not is_debug or self.hears_debug():
                if type(e.pb_msg) is Unmade:
                    e.pb_msg.DESCRIPTOR  # noqa: B018  # any part of it makes it
                super().fire_event(e, level, node, force_warn_or_error_handling)

        def hears_debug(self) -> bool:
            """Does a log take that level? dbt's own callback waits for warnings alone."""
            logs = (logger._python_logger for logger in self.loggers)
            return any(log is None or log.isEnabledFor(10) for log in logs)

    def make_when_read(event: Any, *args: Any, **values: Any) -> None:
        if args or not isinstance(event, DebugLevel):
            make(event, *args, **values)
        else:
            event.pb_msg = Unmade(event, values)

    return QuietEvents(), make_when_read


def keeping_connections() -> Any:
    """Make dbt's connection manager, whose next node takes the connection of one that ended.

    dbt opens one for each node. The first queries of a new one fill its caches, which is half of
    what the server does for a build without rows.
    """
    from dbt.adapters.contracts.connection import ConnectionState
    from dbt.adapters.postgres.connections import PostgresConnectionManager

    class KeptConnections(PostgresConnectionManager):  # type: ignore[misc]
        """Connections for nodes of any thread, each with a session like a new one."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.idle: list[tuple[float, Any]] = []  # each with the time since when

        def release(self) -> None:
            connection = self.get_if_exists()
            is_open = connection is not None and connection.state == ConnectionState.OPEN
            # only a new session takes on the profile's role
            if is_open and not connection.credentials.role:
                handle = connection.handle
                with contextlib.suppress(handle.Error):
                    _clear_session(handle)
                    connection.transaction_open = False
                    connection.handle, connection.state = None, ConnectionState.CLOSED
                    self.idle.append((time.monotonic(), handle))
            super().release()

        def set_connection_name(self, name: str | None = None) -> Any:
            connection = super().set_connection_name(name)
            if connection.state != ConnectionState.OPEN and (handle := self.take_idle()):
                connection.handle, connection.state = handle, ConnectionState.OPEN
            return connection

        def cleanup_all(self) -> None:
            super().cleanup_all()
            while self.idle:
                self.idle.pop()[1].close()

        def take_idle(self) -> Any:
            """Take the connection that idles for the shortest time; None: all are in use."""
            while (newest := take_unbroken(self.idle, itemgetter(1))) is not None:
                since, handle = newest
                if time.monotonic() - since <= IDLE:
                    return handle
                handle.close()
            return None

    return KeptConnections


def _clear_session(handle: Any) -> None:
    """Roll back, and leave nothing in the session. Raises what the driver raises."""
    is_autocommit = handle.autocommit
    handle.rollback()
    handle.autocommit = True
    with handle.cursor() as cursor:
        cursor.execute("discard all")
        # as the end of a connection does
        cursor.execute("select pg_stat_force_next_flush()")
    handle.autocommit = is_autocommit


class BoundMacro(tuple[Any, ...]):
    """A macro with what it is called with: dbt's object for it is made when it is called.

    Each node and hook has some thousand, of which it calls ten. Unit tests replace a macro by what
    it returns, and ask for its parts.
    """

    __slots__ = ()
    macro, context, node, stack = (property(itemgetter(n)) for n in range(4))

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        from dbt.clients.jinja import MacroGenerator

        return MacroGenerator

    def __call__(self, *args: Any, **options: Any) -> Any:
        from dbt.clients.jinja import MacroGenerator

        return MacroGenerator(*self)(*args, **options)


def build_namespace(builder: Any, packages: dict[str, Any], context: Any) -> Any:
    """Fill the namespace of a model or hook, which has all macros, without five calls for each."""
    common = repeat(context), repeat(builder.node), repeat(builder.thread_ctx)
    bound = {
        name: dict(
            zip(
                macros,
                map(BoundMacro, zip(macros.values(), *common, strict=False)),
                strict=True,
            )
        )
        for name, macros in packages.items()
    }
    internal: dict[str, Any] = {}
    for name in reversed(builder.internal_package_names_order):
        internal |= bound.pop(name, {})
    own, root = bound.get(builder.search_package, {}), bound.get(builder.root_package, {})
    return _namespace_type()({} if own is root else root, own, internal, bound)


@functools.cache
def _namespace_type() -> Any:
    from dbt.context.macros import MacroNamespace

    class Namespace(dict[str, Any], MacroNamespace):  # type: ignore[misc]
        """All members in one dictionary, which a context takes over as it is."""

        def __init__(self, *parts: Any) -> None:
            dict.__init__(self)
            MacroNamespace.__init__(self, *parts)
            for part in reversed(list(self._search_order())):
                self.update(part)

    return Namespace
