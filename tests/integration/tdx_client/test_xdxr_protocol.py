"""The xdxr request against a small server that speaks the quote protocol."""

import contextlib
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import pytest

from loaders.engine.outcome import SourceGone
from loaders.tdx.client import xdxr
from loaders.tdx.client.xdxr import QuoteServers, build_actions
from quotemill.errors import UpstreamError

Address = tuple[str, int]


def packed(*rows: tuple[int, date, int, tuple[float, ...]]) -> bytes:
    """An xdxr body: market, date, category and four single floats of each row."""
    body = b"\0" * 9 + struct.pack("<H", len(rows))
    for market, day, category, values in rows:
        number = day.year * 10000 + day.month * 100 + day.day
        body += struct.pack("<B6sBIB4f", market, b"600000", 0, number, category, *values)
    return body


@contextmanager
def quote_server(answers: dict[tuple[int, bytes], bytes | None]) -> Iterator[tuple[str, int]]:
    """Speaks the quote protocol on loopback. A code answered with None breaks the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while request := connection.recv(1024):
                    body: bytes | None = b"\0" * 8
                    if request[:2] == b"\x0c\x1f":
                        body = answers.get((request[14], request[15:21]), packed())
                    if body is None:
                        break
                    sent = zlib.compress(body) if len(body) > SHORT else body
                    connection.sendall(struct.pack("<12xHH", len(sent), len(body)) + sent)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


SHORT = 100  # bytes; longer answers come packed
ONE_ROW = packed((1, date(2011, 6, 3), 1, (1.6, 0.0, 3.0, 0.0)))


@pytest.fixture
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xdxr, "TIMEOUT", 0.2)


@contextmanager
def mute_server(heard: Callable[[], object] = lambda: None) -> Iterator[tuple[Address, list[int]]]:
    """Accepts and never answers; counts who comes."""
    listener, came, held = socket.create_server(("127.0.0.1", 0)), [0], []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(listener.accept()[0])
                came[0] += 1
                heard()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname(), came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


def asking(*addresses: Address) -> contextlib.closing[QuoteServers]:
    """Asks these servers; a server's end waits for its connections."""
    return contextlib.closing(QuoteServers(list(addresses)))


def refusing() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address: Address = gone.getsockname()
        return address


def test_the_servers_answer_becomes_actions() -> None:
    with quote_server({(1, b"600000"): ONE_ROW}) as address, asking(address) as servers:
        actions = build_actions("sh600000", servers.ask("sh600000"))
        nothing = build_actions("sz000002", servers.ask("sz000002"))
    (row,) = actions.rows
    assert (row.cash_per10_yuan, row.bonus_total_per10) == (Decimal("1.6"), Decimal(3))
    # an empty answer is a loss of what is stored
    assert (nothing.rows, nothing.covers) == ([], {"sz000002"})
    assert actions.covers == {"sh600000"}


def test_a_packed_answer_has_every_count_of_shares_as_it_was_sent() -> None:
    counts = [0.5, 1.25, 3.0, 100.5, 255.0, 16777215.0]
    events = packed(*((1, date(2011, 6, 3 + n), 5, (0, 0, 0, c)) for n, c in enumerate(counts)))
    assert len(events) > SHORT
    with quote_server({(1, b"600000"): events}) as address, asking(address) as servers:
        actions = build_actions("sh600000", servers.ask("sh600000"))
    assert [row.total_shares_10k for row in actions.rows] == counts


@pytest.mark.parametrize("cut", [1, 29])
def test_an_answer_with_fewer_events_than_it_announces_is_left_for_the_next(cut: int) -> None:
    with (
        quote_server({(1, b"600000"): ONE_ROW[:-cut]}) as cutting,
        quote_server({(1, b"600000"): ONE_ROW}) as address,
        asking(cutting, address) as servers,
    ):
        assert len(servers.ask("sh600000")) == 1


def test_a_server_that_refuses_is_left_for_the_next() -> None:
    with (
        quote_server({(1, b"600000"): ONE_ROW}) as address,
        asking(refusing(), address) as servers,
    ):
        assert len(servers.ask("sh600000")) == 1


def test_a_server_that_breaks_off_is_left_for_the_next() -> None:
    with (
        quote_server({(1, b"600000"): None}) as breaking,
        quote_server({(1, b"600000"): ONE_ROW}) as address,
        asking(breaking, address) as servers,
    ):
        assert len(servers.ask("sh600000")) == 1


def test_a_code_that_no_server_answers_fails_alone() -> None:
    answers = {(1, b"600000"): ONE_ROW, (0, b"000002"): None}
    with quote_server(answers) as address, asking(address) as servers:
        servers.ask("sh600000")
        with pytest.raises(UpstreamError, match="no TDX quote server answered") as caught:
            servers.ask("sz000002")
        assert not isinstance(caught.value, SourceGone)
        assert len(servers.ask("sh600000")) == 1


@pytest.mark.usefixtures("_short_wait")
def test_a_server_that_is_mute_is_asked_once_in_a_load() -> None:
    with mute_server() as (mute, came), quote_server({}) as breaking:
        servers = QuoteServers([mute, breaking])
        for _ in range(3):
            servers.ask("sh600000")
            servers.close()
        assert came == [1]


@pytest.mark.usefixtures("_short_wait")
def test_without_a_server_that_answers_there_is_no_waiting_for_each_code() -> None:
    with mute_server() as (first, came), mute_server() as (second, too):
        servers = QuoteServers([first, second])
        for _ in range(3):
            with pytest.raises(SourceGone, match="no TDX quote server answered"):
                servers.ask("sh600000")
        assert came + too == [1, 1]


def test_no_server_at_all_is_an_upstream_failure() -> None:
    with pytest.raises(SourceGone, match="no TDX quote server answered"):
        QuoteServers([refusing()]).ask("sh600000")
