"""The HTTP face of the simulated service, with a second port to steer it.

Speaks HTTP/1.1 as the real one does: kept connections, chunked bodies above 2,048 bytes, plain text
for what is not a route, and the virtual clock in the Date header. Only the loopback is served.

`TdxSandbox` runs both servers inside a process (for tests); the command line uses it too.
"""

import json
import socket
import struct
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from loaders.errors import QuotemillError, UsageError
from loaders.sandbox.tdx.calls import LogEntry, Options, ServiceState
from loaders.sandbox.tdx.faults import FaultBook, Rule
from loaders.sandbox.tdx.routes import answer
from loaders.sandbox.tdx.wire import TEXT_TYPE, Reply, Request, go_json, parse_query
from loaders.sandbox.world.clock import moment
from loaders.sandbox.world.parts import World

CHUNKED_ABOVE = 2048
BEIJING = timedelta(hours=8)
EXAMPLE = "2025-06-30"  # of a clock, in hints


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler], owner: "TdxSandbox"):
        self.owner = owner
        super().__init__(("127.0.0.1", port), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        # every method is served: most routes do not look at it
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def send_error(self, *_: object, **__: object) -> None:
        """Only for what is not HTTP: Go answers with plain text and closes."""
        self.close_connection = True
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: {TEXT_TYPE}\r\nConnection: close\r\n\r\n"
        self.wfile.write(head.encode() + b"400 Bad Request")

    def body(self) -> bytes:
        length = self.headers.get("Content-Length")
        if length and length.isdigit():
            return self.rfile.read(int(length))
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return self._chunks()
        return b""

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def serve(self) -> None:
        raise NotImplementedError

    def head(self, reply: Reply, *, chunked: bool, date_header: str) -> bytes:
        phrase = self.responses.get(reply.status, ("",))[0]
        lines = [f"HTTP/1.1 {reply.status} {phrase}", f"Content-Type: {reply.content_type}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines.append(f"Date: {date_header}")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif len(reply.body) <= CHUNKED_ABOVE:
            lines.append(f"Content-Length: {len(reply.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, reply: Reply, date_header: str) -> None:
        large = len(reply.body) > CHUNKED_ABOVE
        chunked = large and self.request_version == "HTTP/1.1"
        if large and not chunked:
            self.close_connection = True
        content = self.head(reply, chunked=chunked, date_header=date_header)
        if self.command == "HEAD":
            self.wfile.write(content)
            return
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(reply.body), reply.body) if chunked else reply.body
        self.wfile.write(content + body)

    def reset(self) -> None:
        """RST instead of a proper end."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


class _ServiceHandler(_Handler):
    def serve(self) -> None:
        sandbox = self.server.owner
        if not sandbox.listening:
            self.reset()
            return
        parts = urlsplit(self.path)
        # urlsplit takes `//host` for a host
        path = unquote(self.path.partition("?")[0] if self.path.startswith("//") else parts.path)
        request = Request(self.command, path, parse_query(parts.query), self.body())
        try:
            reply = answer(sandbox.state, request)
        except Exception as error:  # a fault of our own must not look like a broken connection
            told = (
                f"the sandbox failed at {self.command} {self.path}: {type(error).__name__}: {error}"
            )
            sys.stderr.write(f"{told}\n{traceback.format_exc()}")
            entry = LogEntry(sandbox.clock, self.command, path, request.params, (), (told,))
            sandbox.log.append(entry)
            reply = Reply(told.encode(), 500, TEXT_TYPE)
        if reply.hang:
            sandbox.stopped.wait()
            self.reset()
        elif reply.reset:
            if reply.closed_for is not None:
                sandbox.go_away(reply.closed_for, restart=reply.restart)
            self.reset()
        elif reply.cut_at is not None:
            self._send_part(reply, sandbox.date_header())
        else:
            self.send(reply, sandbox.date_header())

    def _send_part(self, reply: Reply, date_header: str) -> None:
        """An announced body of which only the beginning arrives."""
        part = reply.body[: int(len(reply.body) * (reply.cut_at or 0))]
        content = self.head(reply, chunked=True, date_header=date_header)
        self.wfile.write(content + b"%x\r\n%s" % (len(reply.body), part))
        self.close_connection = True


class _ControlHandler(_Handler):
    """Steers the sandbox: GET state, log, faults; POST clock, faults, restart; DELETE faults, log."""

    def serve(self) -> None:
        sandbox = self.server.owner
        status = 200
        try:
            document = json.loads(self.body() or b"{}")
            shown = sandbox.control(self.command, self.path.strip("/"), document)
        except (QuotemillError, ValueError, KeyError) as error:
            status, shown = 400, {"error": str(error), "hint": getattr(error, "hint", "")}
        reply = Reply(go_json(shown) + b"\n", status)
        self.send(reply, sandbox.date_header())


class TdxSandbox:
    """The service over `world`, at `url` from entering to leaving the context.

    `clock` is a date (its end), a date-time or an ISO text of exchange time; it stands still until
    `set_clock`. `port` and `control_port` 0 pick free ones; without `control_port` there is no
    control server. `faults` are rules or their texts (see faults.py).
    """

    def __init__(
        self,
        world: World,
        *,
        clock: date | datetime | str | None = None,
        faults: Iterable[Rule | str] = (),
        port: int = 0,
        control_port: int | None = None,
        seed: int = 1,
        options: Options = Options(),
    ) -> None:
        start = world.end if clock is None else moment(clock, EXAMPLE)
        self.world, self.faults = world, FaultBook(faults, seed=seed)
        self.state = ServiceState(world, start, self.faults, options)
        self.log: deque[LogEntry] = self.state.log
        self.stopped = threading.Event()
        self.listening = False
        self._port, self._control_port = port, control_port
        self._server: _Server | None = None
        self._control: _Server | None = None
        self._lock = threading.Lock()
        self.url = self.control_url = ""

    @property
    def clock(self) -> datetime:
        return self.state.clock

    def __enter__(self) -> Self:
        """Open the ports; `UsageError` when one is taken."""
        self._listen()
        if self._control_port is not None:
            self._control = self._open(self._control_port, _ControlHandler)
            self.control_url = f"http://127.0.0.1:{self._control.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopped.set()
        self._unlisten()
        if self._control:
            self._control.shutdown()
            self._control.server_close()

    def set_clock(self, clock: date | datetime | str, *, restart: bool = False) -> None:
        """Let time pass; with `restart` the service starts anew at that moment.

        A running service reads its calendar at 09:00, so the day itself is unknown until the next
        morning, a restart, or a workday/range request that comes out empty.
        """
        self.state.set_clock(moment(clock, EXAMPLE))
        if restart:
            self.state.restart()

    def restart(self) -> None:
        self.state.restart()

    def date_header(self) -> str:
        at = (self.state.clock - BEIJING).replace(tzinfo=UTC)
        return at.strftime("%a, %d %b %Y %H:%M:%S GMT")

    def go_away(self, seconds: float, *, restart: bool = False) -> None:
        """Stop listening for a while, as a process that is being restarted."""

        def run() -> None:
            self._unlisten()
            if restart:
                self.state.restart()
            if not self.stopped.wait(seconds):
                self._listen()

        self.listening = False
        threading.Thread(target=run, daemon=True).start()

    def control(self, method: str, route: str, document: dict[str, Any]) -> dict[str, object]:
        """What the control port does; raises UsageError, ValueError or KeyError for a bad request."""
        if (method, route) == ("POST", "clock"):
            self.set_clock(str(document["clock"]), restart=bool(document.get("restart")))
        elif (method, route) == ("POST", "restart"):
            self.restart()
        elif (method, route) == ("POST", "faults"):
            self.faults.add(str(document["fault"]))
        elif (method, route) == ("DELETE", "faults"):
            self.faults.clear()
        elif (method, route) == ("DELETE", "log"):
            self.log.clear()
        elif (method, route) == ("GET", "log"):
            return {"log": [entry.as_json() for entry in list(self.log)]}
        elif (method, route) not in (("GET", "state"), ("GET", "faults")):
            raise UsageError(f"no control {method} /{route}", hint=_ControlHandler.__doc__ or "")
        return {
            "clock": self.clock.isoformat(),
            "calendar_until": self._calendar_until(),
            "faults": [str(rule) for rule in self.faults.rules],
            "calls": self.state.calls,
        }

    def _calendar_until(self) -> str | None:
        known = self.world.days[: self.state.known_days]
        return known[-1].isoformat() if known else None

    def _open(self, port: int, handler: type[BaseHTTPRequestHandler]) -> _Server:
        try:
            server = _Server(port, handler, self)
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be opened: {error.strerror}", hint="--port 0 picks a free one"
            ) from error
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def _listen(self) -> None:
        with self._lock:
            if self.stopped.is_set():
                return
            self._server = self._open(self._port, _ServiceHandler)
            self._port = self._server.server_address[1]
            self.url = f"http://127.0.0.1:{self._port}"
            self.listening = True

    def _unlisten(self) -> None:
        with self._lock:
            self.listening = False
            if self._server:
                self._server.shutdown()
                self._server.server_close()
                self._server = None
