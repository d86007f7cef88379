"""A partition of the network: a proxy that stops forwarding, and what it holds stays open."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Proxy:
    """Forwards to a server, at a port of this machine or at a socket's file.

    `arm` lets it stop once so many bytes have passed, both ways together; `stops` counts that.
    After some seconds it goes on, or closes every connection and forwards new ones.
    """

    def __init__(self, server: int | Path) -> None:
        self._server, self._open, self._turn = server, threading.Event(), threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._plan: tuple[int, float, bool] | None = None
        self.passed, self.stops = 0, 0
        self._open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, plan: tuple[int, float, bool] | None) -> None:
        """After how many bytes from now, for how many seconds, and whether it then closes all."""
        with self._turn:
            self.passed, self._plan = 0, plan

    def close(self) -> None:
        self._listening.close()
        self._close_all()

    def _accept(self) -> None:
        is_file = isinstance(self._server, Path)
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX if is_file else socket.AF_INET)
                self._sockets += [near, far]
                try:
                    far.connect(str(self._server) if is_file else ("127.0.0.1", self._server))
                except OSError:  # the server is away
                    near.close()
                for ways in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=ways, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._pass(len(data))
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pass(self, size: int) -> None:
        with self._turn:
            self.passed += size
            if self._plan and self.passed >= self._plan[0]:
                _, seconds, closes = self._plan
                self._plan, self.stops = None, self.stops + 1
                self._open.clear()
                threading.Timer(seconds, self._go_on, (closes,)).start()
        self._open.wait()

    def _go_on(self, closes: bool) -> None:
        if closes:
            self._close_all()
        self._open.set()

    def _close_all(self) -> None:
        ends, self._sockets = self._sockets, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(server: int | Path) -> Iterator[Proxy]:
    made = Proxy(server)
    try:
        yield made
    finally:
        made.close()
