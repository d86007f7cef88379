"""The server itself with clients that send slowly, or never read; paths as they are on the wire."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestration.console.limits import Limits
from orchestration.console.serve import patient_protocol
from tests.faults.scene import wait_until
from tests.integration.console.conftest import Open

LIMITS = Limits(receiving=0.2, sending=0.2)


@contextmanager
def serving(app: Any, limits: Limits = LIMITS) -> Iterator[tuple[str, int]]:
    """A server in a thread, and its address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=patient_protocol(limits),
        ws="none",
        log_config=None,
        limit_concurrency=2 * limits.connections,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join()


def ask(address: tuple[str, int], path: str, *lines: str, method: str = "GET") -> str:
    """The answer to a request as it is on the wire."""
    with socket.create_connection(address) as client:
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines]
        client.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
        return read_all(client)


def bring_token(console: Any) -> str:
    return f"Authorization: Bearer {console.access.new_token(console.clock())}"


def read_all(client: socket.socket) -> str:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            data += part
    return data.decode("utf-8", "replace")


def test_headers_that_trickle_end_by_the_clock_and_delay_nobody(open_console: Open) -> None:
    from orchestration.console.app import create_app

    console = open_console(limits=LIMITS).console
    with serving(create_app(console)) as address:
        slow = [socket.create_connection(address) for _ in range(20)]
        for client in slow:
            client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert ask(address, "/api/health", bring_token(console)).startswith("HTTP/1.1 200")
        for client in slow:
            with contextlib.suppress(OSError):
                client.sendall(b"host\r\n")
            assert read_all(client) == ""
            client.close()


def test_silent_strangers_keep_nobody_who_is_signed_in_out(open_console: Open) -> None:
    from orchestration.console.app import create_app

    limits = Limits(connections=8)
    console = open_console(limits=limits).console
    token = bring_token(console)
    call = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    with serving(create_app(console), limits) as address, contextlib.ExitStack() as stack:
        own = stack.enter_context(socket.create_connection(address))
        head = f"GET /api/health HTTP/1.1\r\nHost: localhost\r\n{token}\r\n\r\n"
        own.sendall(head.encode())
        assert own.recv(12) == b"HTTP/1.1 200"
        for number in range(40):
            other = stack.enter_context(socket.create_connection(address))
            if number % 2:  # in a request whose body does not come
                other.sendall(call + b"Content-Type: application/json\r\n\r\n")
        assert ask(address, "/api/health", token).startswith("HTTP/1.1 200")
        own.sendall(head.encode())  # and what was open stays open
        answers = b""
        while b"HTTP/1.1 200" not in answers:
            part = own.recv(65536)
            assert part
            answers += part


def test_pages_that_strangers_open_keep_no_owner_from_signing_in(open_console: Open) -> None:
    from orchestration.console.app import create_app

    console = open_console(limits=Limits(calls=3)).console
    with serving(create_app(console)) as address:
        codes = [ask(address, "/sign-in").split(" ")[1] for _ in range(12)]
        assert "429" in codes
        lines = ("Content-Type: application/json", "Content-Length: 0")
        assert ask(address, "/api/session", *lines, method="POST").split(" ")[1] != "429"


@pytest.mark.long
def test_a_body_that_trickles_gets_408(open_console: Open) -> None:
    from orchestration.console.app import create_app

    console = open_console(limits=LIMITS).console
    with serving(create_app(console)) as address, socket.create_connection(address) as client:
        head = [
            "POST /api/connection/test HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            "Content-Length: 1000",
            bring_token(console),
        ]
        client.sendall(("\r\n".join(head) + "\r\n\r\n{").encode())
        assert read_all(client).startswith("HTTP/1.1 408")


def test_a_client_that_never_reads_is_cut_off() -> None:
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                part = {"type": "http.response.body", "body": b"x" * 2**20, "more_body": True}
                await send(part)
                if (await peek(receive)) == "http.disconnect":
                    break
        finally:
            ended.set()

    async def peek(receive: Any) -> str:
        import asyncio

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                return str((await receive())["type"])
        return ""

    with serving(app) as address, socket.create_connection(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until("the server gives up", ended.is_set)


CLIMBING = [
    "/static/../app.py",
    "/../../etc/passwd",
    "//etc/passwd",
    "/static/%2e%2e%2fapp.py",
    "/static/..\\app.py",
    "/static/..%2f..%2fcli%2fconsole.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/console.js%00.css",
    "/static/",
    "/api/jobs/..%2f..%2fsecret",
    "/static/console.js/../../security.py",
    "/api/jobs/1/log/../../../secret",
    "http://evil.example/api/jobs",
    "/%00",
    "/%ff%fe",
    "*",
]


def test_a_path_that_climbs_leads_nowhere_on_the_wire(open_console: Open) -> None:
    from orchestration.console.app import create_app

    console = open_console().console
    token = bring_token(console)
    with serving(create_app(console)) as address:
        answers = {path: ask(address, path, token) for path in CLIMBING}
    for path, answer in answers.items():
        assert answer.split(" ")[1] in ("400", "404", "405", "421", "422"), (path, answer[:200])
        assert "import" not in answer, path


def test_two_hosts_and_a_smuggled_length_are_refused(open_console: Open) -> None:
    from orchestration.console.app import create_app

    console = open_console().console
    token = bring_token(console)
    with serving(create_app(console)) as address:
        assert ask(address, "/", token, "Host: evil.example").split(" ")[1] in ("400", "421")
        both = ask(address, "/", token, "Content-Length: 3", "Transfer-Encoding: chunked")
        assert both == "" or both.split(" ")[1] in ("200", "400")
        large = ask(address, "/", f"X-Large: {'x' * 1_000_000}")
        assert large == "" or large.split(" ")[1] in ("400", "431")
