"""HTTP/1.1 as the TDX service speaks it, which is written in Go.

Connections stay open, bodies above 2,048 bytes are chunked, what is not a route is plain text, and
the Date header shows the virtual clock.
"""

import socket
import struct
import sys
import traceback
from datetime import UTC, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from loaders.sandbox.tdx.calls import LogEntry
from loaders.sandbox.tdx.routes import answer
from loaders.sandbox.tdx.wire import TEXT_TYPE, Reply, Request, parse_query

if TYPE_CHECKING:
    from loaders.sandbox.tdx.service import TdxSandbox

CHUNKED_ABOVE = 2048
BEIJING = timedelta(hours=8)


class ServiceHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    sandbox: "TdxSandbox"

    def __getattr__(self, name: str) -> Any:
        # every method is served: most routes ignore it
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def send_error(self, *_: object, **__: object) -> None:
        """Answer what is not HTTP as Go does: plain text, then close."""
        self.close_connection = True
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: {TEXT_TYPE}\r\nConnection: close\r\n\r\n"
        self.wfile.write(head.encode() + b"400 Bad Request")

    def serve(self) -> None:
        sandbox = self.sandbox
        if not sandbox.listening:
            self._reset()
            return
        parts = urlsplit(self.path)
        # urlsplit takes `//host` for a host
        path = unquote(self.path.partition("?")[0] if self.path.startswith("//") else parts.path)
        request = Request(self.command, path, parse_query(parts.query), self._read_body())
        try:
            reply = answer(sandbox.state, request)
        except Exception as error:  # an error of the sandbox must not look like a lost connection
            reply = self._report_failure(request, error)
        if reply.hang:
            sandbox.stopped.wait()
            self._reset()
        elif reply.reset:
            if reply.closed_for is not None:
                sandbox.go_away(reply.closed_for, restart=reply.restart)
            self._reset()
        elif reply.cut_at is not None:
            self._send_part(reply, reply.cut_at)
        else:
            self._send(reply)

    def _report_failure(self, request: Request, error: Exception) -> Reply:
        message = (
            f"the sandbox failed at {self.command} {self.path}: {type(error).__name__}: {error}"
        )
        sys.stderr.write(f"{message}\n{traceback.format_exc()}")
        entry = LogEntry(
            self.sandbox.clock,
            self.command,
            route=request.path,
            params=request.params,
            codes=(),
            faults=(message,),
        )
        self.sandbox.log.append(entry)
        return Reply(message.encode(), 500, content_type=TEXT_TYPE)

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length")
        if length and length.isdigit():
            return self.rfile.read(int(length))
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return self._read_chunks()
        return b""

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, reply: Reply) -> None:
        large = len(reply.body) > CHUNKED_ABOVE
        chunked = large and self.request_version == "HTTP/1.1"
        if large and not chunked:
            self.close_connection = True
        head = self._head(reply, chunked=chunked)
        if self.command == "HEAD":
            self.wfile.write(head)
            return
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
        lines += [f"{name}: {value}" for name, value in reply.headers]
        now = (self.sandbox.clock - BEIJING).replace(tzinfo=UTC)
        lines.append(f"Date: {now:%a, %d %b %Y %H:%M:%S} GMT")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif len(reply.body) <= CHUNKED_ABOVE:
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
