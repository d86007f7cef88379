"""A TDX quote server on loopback: day bars of sh600000 and corporate actions, in three tempers.

It speaks the frames of a real one (a head of ten bytes, an answer packed by zlib if that is long).
"""

import contextlib
import socket
import socketserver
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

Address = tuple[str, int]
Answers = Mapping[tuple[int, bytes], bytes | None]

LONG = 100  # bytes; longer answers come packed
NO_EVENTS = b"\0" * 11
REFUSAL = b"\x20\x03"  # what the servers of 2026 answer to clients that they refuse
_LOGIN, _XDXR, _BARS = 0x0FDB, 0x000F, 0x052D
_REQUEST, _COMMAND = struct.Struct("<BIBHH"), struct.Struct("<H")
_BAR = struct.pack("<HI5B2f", 1, 20260716, 0xA0, 1, 0, 0, 0, 1000.0, 1e6)
_KNOWN = (1, b"600000")


class Temper(Enum):
    """How a server treats its clients.

    PUNISHING: refuses a client that sends the third packet of old ones everything but a greeting
    MUTE: accepts connections and never answers
    BARLESS: refuses everybody bars
    """

    GOOD = "good"
    PUNISHING = "punishing"
    MUTE = "mute"
    BARLESS = "barless"


@dataclass
class QuoteServer:
    """A running server.

    came: the connections so far
    commands: of all requests, in order
    """

    address: Address
    came: int = 0
    commands: list[int] = field(default_factory=list)


@contextmanager
def serve_quotes(
    answers: Answers | None = None,
    temper: Temper = Temper.GOOD,
    *,
    heard: Callable[[], object] = lambda: None,
) -> Iterator[QuoteServer]:
    """Run a server.

    answers: bodies of xdxr answers by exchange and digits; None breaks the connection
    heard: called at each connection
    """
    held: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server.came += 1
            held.append(self.request)
            heard()
            with contextlib.suppress(OSError):
                self._converse()

        def _converse(self) -> None:
            is_refused = False
            while head := self.request.recv(_REQUEST.size, socket.MSG_WAITALL):
                request = self.request.recv(_REQUEST.unpack(head)[3], socket.MSG_WAITALL)
                (command,) = _COMMAND.unpack_from(request)
                server.commands.append(command)
                is_refused |= temper is Temper.PUNISHING and command == _LOGIN
                if temper is Temper.MUTE:
                    continue
                if command not in (_XDXR, _BARS):
                    body: bytes | None = b"\0" * 8
                elif is_refused or (temper is Temper.BARLESS and command == _BARS):
                    body = REFUSAL
                elif command == _BARS:
                    body = _BAR if struct.unpack_from("<2xH6s", request) == _KNOWN else b"\0\0"
                else:
                    body = (answers or {}).get((request[4], request[5:11]), NO_EVENTS)
                if body is None:
                    return
                sent = zlib.compress(body) if len(body) > LONG else body
                self.request.sendall(struct.pack("<12xHH", len(sent), len(body)) + sent)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        server = QuoteServer(listener.server_address[:2])  # type: ignore[arg-type]
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            for connection in held:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            listener.shutdown()
            thread.join()
