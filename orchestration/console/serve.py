"""Listen: the address, the link that opens it, and clients that take their time."""

import asyncio
import errno
import gc
import ipaddress
import os
import signal
import socket
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loaders.engine import signals
from loaders.files import lock, whole_file
from loaders.settings import Settings
from orchestration.console.access import Access
from quotemill.errors import SettingsError, UsageError
from quotemill.installation import install_hint

if TYPE_CHECKING:
    from orchestration.console.limits import Limits

HOST, PORT = "127.0.0.1", 8765
NEXT_PORTS = 20  # tried where the first is in use
GRACE = 2  # seconds that streams get to end
RUNNING = "running"  # of the console's folder: a file for each that runs


@dataclass(frozen=True)
class Address:
    """Where a console listens.

    link: opens it in a browser, once
    is_local: whether this machine alone reaches it
    """

    url: str
    link: str
    is_local: bool


def make_token(settings: Settings) -> str:
    """A new token in place of the last one, which counts from the next request on."""
    return Access(settings.home / "console").new_token(datetime.now(UTC))


def make_link(settings: Settings, port: int | None) -> str:
    """A new link of the console at `port`, or the newest. Raises UsageError where none runs."""
    access = Access(settings.home / "console")
    files = [path for path in (access.folder / RUNNING).glob("*") if lock.is_held(path)]
    files.sort(key=lambda path: path.stat().st_mtime)
    urls = [path.read_text("utf-8") for path in files]
    if port is not None:
        urls = [url for url in urls if urlsplit(url).port == port]
    if not urls:
        raise UsageError(
            f"no console is running for {settings.home}" + (f" on port {port}" if port else ""),
            hint="Run `quotemill console`, which prints its link.",
        )
    return _name_link(urls[-1], access)


def _name_link(url: str, access: Access) -> str:
    return f"{url}sign-in#{access.new_link(datetime.now(UTC))}"


def serve(
    host: str,
    port: int | None,
    *,
    as_of: str | None = None,
    announce: Callable[[Address], object],
    opens: bool = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM; what was started goes on.

    Raises SettingsError where the extra is not installed, UsageError for an address that cannot be
    bound.
    """
    try:
        with _collecting_nothing():
            import uvicorn

            from orchestration.console.app import create_app
            from orchestration.console.context import Console
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "starlette", "uvicorn"):
            raise
        hint = install_hint("console")
        raise SettingsError(f"the console needs {error.name}", hint=hint) from None
    listening = _bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    is_local = is_loopback(host)
    console = Console(Path.cwd(), dict(os.environ), lambda: datetime.now(UTC), as_of)
    own = (shown.lower(), socket.gethostname().lower(), socket.getfqdn().lower())
    with _collecting_nothing():
        app = create_app(console, names=own[:1] if is_local else own)

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # by default it raises the signal again: Ctrl-C is the usual end
            end: signals.Handler = self.handle_exit
            with signals.handled({signal.SIGINT: end, signal.SIGTERM: end}):
                yield

    config = uvicorn.Config(
        app,
        http=patient_protocol(console.limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody could send them
        limit_concurrency=2 * console.limits.connections,
        timeout_graceful_shutdown=GRACE,
    )
    url = f"http://{shown}:{listening.getsockname()[1]}/"
    address = Address(url, _name_link(url, console.access), is_local)
    with listening, _listing_as_running(console.access.folder, url) as running:
        announce(address)
        if opens:
            _open_link(address.link, running.with_suffix(".html"))
        Server(config).run(sockets=[listening])


@contextmanager
def _listing_as_running(folder: Path, url: str) -> Iterator[Path]:
    """Let `--link` find this console: by a file with its address, whose lock it holds."""
    path = folder / RUNNING / str(os.getpid())
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with lock.hold(path):
            path.write_text(url, "utf-8")
            yield path
    finally:
        path.unlink(missing_ok=True)
        path.with_suffix(".html").unlink(missing_ok=True)


def _open_link(link: str, page: Path) -> None:
    """Open a browser by a file that leads to the link: all users see the words of a command."""
    whole_file.write(page, f'<meta http-equiv="refresh" content="0;url={escape(link)}">\n')
    webbrowser.open(page.as_uri())


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Imports and routes stay: looking for what to free would take a tenth of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int | None) -> socket.socket:
    """A listening socket: at the port, or else at the first free one."""
    ports = [port] if port is not None else [*range(PORT, PORT + NEXT_PORTS), 0]
    for number in ports:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except socket.gaierror as error:
            raise UsageError(f"--host {host}: {error.strerror}") from None
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(128)
        except OSError as error:
            listening.close()
            if number == ports[-1] or error.errno != errno.EADDRINUSE:
                where = f"{host}:{number}"
                raise UsageError(
                    f"{where} cannot be bound: {error.strerror}",
                    hint="Choose another one with --port.",
                ) from None
            continue
        return listening
    raise AssertionError("the last port raises")


def patient_protocol(limits: "Limits") -> Any:
    """uvicorn's protocol with an end to a request, or a reader, that does not go on.

    If there are too many strangers the oldest is disconnected: other users' silent connections keep
    nobody out.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    strangers: dict[Any, None] = {}  # connections, until a request has been found to be signed in

    class PatientProtocol(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None
        _sending: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_request()
            strangers[self] = None
            while len(strangers) > limits.connections:
                first = next(iter(strangers))
                del strangers[first]
                if not (first.scope or {}).get("is_known"):
                    first.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            strangers.pop(self, None)
            self._forget("_waiting")
            self._forget("_sending")
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._forget("_waiting")
            else:  # a part of the headers
                self._expect_request()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle is not None and not self.cycle.response_complete:
                self._forget("_waiting")  # the next request had come with the last

        def pause_writing(self) -> None:
            super().pause_writing()
            self._sending = self.loop.call_later(limits.sending, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._forget("_sending")

        def _expect_request(self) -> None:
            """Close where no whole request has come in time, however its bytes trickle."""
            if self._waiting is None:
                self._waiting = self.loop.call_later(limits.receiving, self.transport.abort)

        def _forget(self, name: str) -> None:
            timer = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)

    return PatientProtocol
