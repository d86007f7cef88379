"""A partition of the network: a proxy that stops forwarding, and what it holds stays open."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Proxy:
    """Forwards to one server, of a port or of a socket's file.

    `arm` lets it stop once so many bytes have passed, both ways together. After some seconds it
    goes on, or closes every connection and forwards new ones.
    """

    def __init__(self, server: int | Path) -> None:
        self._server, self._open, self._turn = server, threading.Event(), threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._pairs: list[socket.socket] = []
        self._at, self._seconds, self._cuts = -1, 0.0, False
        self.passed, self.stops = 0, 0
        self._open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, at: int, seconds: float, cuts: bool) -> None:
        with self._turn:
            self.passed, self._at, self._seconds, self._cuts = 0, at, seconds, cuts

    def close(self) -> None:
        self._listening.close()
        self._cut()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(
                    socket.AF_UNIX if isinstance(self._server, Path) else socket.AF_INET
                )
                try:
                    far.connect(
                        str(self._server)
                        if isinstance(self._server, Path)
                        else ("127.0.0.1", self._server)
                    )
                except OSError:  # the server is away
                    near.close()
                    continue
                self._pairs += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._forward, args=(source, target), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._pass(len(data))
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pass(self, size: int) -> None:
        with self._turn:
            self.passed += size
            if 0 <= self._at <= self.passed:
                self._at = -1
                self.stops += 1
                self._open.clear()
                threading.Timer(self._seconds, self._end).start()
        self._open.wait()

    def _end(self) -> None:
        if self._cuts:
            self._cut()
        self._open.set()

    def _cut(self) -> None:
        pairs, self._pairs = self._pairs, []
        for one in pairs:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(server: int | Path) -> Iterator[Proxy]:
    made = Proxy(server)
    try:
        yield made
    finally:
        made.close()
