"""HTTP/1.1 as clients of the TDX service see it.

Connections stay open, large bodies are chunked, what is not a route is plain text, and the Date
header shows the virtual clock.
"""

import socket
import struct
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, timedelta
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from loaders.sandbox.tdx.calls import LogEntry, ServiceState
from loaders.sandbox.tdx.routes import answer
from loaders.sandbox.tdx.wire import TEXT_TYPE, Reply, Request

CHUNKED_ABOVE = 2048
BEIJING = timedelta(hours=8)


class ServiceHandler(BaseHTTPRequestHandler):
    """Answers from the state of one sandbox, which makes a subclass of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: ClassVar[ServiceState]
    listening: ClassVar[Event]
    stopped: ClassVar[Event]
    go_away: ClassVar[Callable[..., None]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def serve(self) -> None:
        if not self.listening.is_set():
            self._reset()
            return
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, unquote(parts.path), params, body)
        try:
            reply = answer(self.state, request)
        except Exception as error:  # an error of the sandbox must not look like a lost connection
            reply = self._report_failure(request, error)
        if reply.hang:
            self.stopped.wait()
            self._reset()
        elif reply.reset:
            if reply.closed_for is not None:
                self.go_away(reply.closed_for, restart=reply.restart)
            self._reset()
        elif reply.cut_at is not None:
            self._send_part(reply, reply.cut_at)
        else:
            self._send(reply)

    do_GET = do_POST = serve

    def _report_failure(self, request: Request, error: Exception) -> Reply:
        message = (
            f"the sandbox failed at {self.command} {self.path}: {type(error).__name__}: {error}"
        )
        sys.stderr.write(f"{message}\n{traceback.format_exc()}")
        entry = LogEntry(
            self.state.clock,
            self.command,
            route=request.path,
            params=request.params,
            codes=(),
            faults=(message,),
        )
        self.state.log.append(entry)
        return Reply(message.encode(), 500, content_type=TEXT_TYPE)

    def _send(self, reply: Reply) -> None:
        chunked = len(reply.body) > CHUNKED_ABOVE
        head = self._head(reply, chunked=chunked)
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(reply.body), reply.body) if chunked else reply.body
        self.wfile.write(head + body)

    def _send_part(self, reply: Reply, share: float) -> None:
        """Announce a body and send only its first part."""
        part = reply.body[: int(len(reply.body) * share)]
        head = self._head(reply, chunked=True)
        self.wfile.write(head + b"%x\r\n%s" % (len(reply.body), part))
        self.close_connection = True

    def _head(self, reply: Reply, *, chunked: bool) -> bytes:
        phrase = self.responses.get(reply.status, ("",))[0]
        lines = [f"HTTP/1.1 {reply.status} {phrase}", f"Content-Type: {reply.content_type}"]
        now = (self.state.clock - BEIJING).replace(tzinfo=UTC)
        lines.append(f"Date: {now:%a, %d %b %Y %H:%M:%S} GMT")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {len(reply.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _reset(self) -> None:
        """Close with RST instead of a proper end."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
