"""The xdxr request against the stand-in for a quote server."""

import contextlib
import socket
import struct
from datetime import date
from decimal import Decimal

import pytest

from loaders.engine.outcome import SourceGone
from loaders.sandbox.tdx.quote_server import Address, Temper, serve_quotes
from loaders.sandbox.tdx.quote_wire import LONG
from loaders.tdx.client import quote_server, xdxr
from loaders.tdx.client.xdxr import QuoteServers, build_actions
from quotemill.errors import UpstreamError


def packed(*rows: tuple[int, date, int, tuple[float, ...]]) -> bytes:
    """An xdxr body: market, date, category and four single floats of each row."""
    body = b"\0" * 9 + struct.pack("<H", len(rows))
    for market, day, category, values in rows:
        number = day.year * 10000 + day.month * 100 + day.day
        body += struct.pack("<B6sBIB4f", market, b"600000", 0, number, category, *values)
    return body


SH600000 = (1, b"600000")
ONE_ROW = packed((1, date(2011, 6, 3), 1, (1.6, 0.0, 3.0, 0.0)))


@pytest.fixture
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xdxr, "TIMEOUT", 0.2)


def asking(*addresses: Address) -> contextlib.closing[QuoteServers]:
    """Asks these servers; a server's end waits for its connections."""
    return contextlib.closing(QuoteServers(list(addresses)))


def refusing() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address: Address = gone.getsockname()
        return address


def test_the_servers_answer_becomes_actions() -> None:
    with serve_quotes({SH600000: ONE_ROW}) as server, asking(server.address) as servers:
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
    assert len(events) > LONG
    with serve_quotes({SH600000: events}) as server, asking(server.address) as servers:
        actions = build_actions("sh600000", servers.ask("sh600000"))
    assert [row.total_shares_10k for row in actions.rows] == counts


OLD_LOGIN = "0c031899000120002000db0fd5d0c9ccd6a4a8af0000008fc22540130000d500c9ccbdf0d7ea00000002"


@pytest.mark.parametrize(("login", "events"), [("", 1), (OLD_LOGIN, 0)])
def test_a_server_that_punishes_old_clients_answers_after_one_packet_only(
    login: str, events: int
) -> None:
    with serve_quotes({SH600000: ONE_ROW}, Temper.PUNISHING) as server:
        asked = quote_server.QuoteServer(server.address, timeout=xdxr.TIMEOUT)
        with contextlib.closing(asked):
            asked.greet()
            if login:
                asked._ask(bytes.fromhex(login))
            refused = pytest.raises(ValueError, match="2 bytes")
            with contextlib.nullcontext() if events else refused:
                assert len(asked.request_xdxr(1, "600000")) == events


@pytest.mark.parametrize("body", [ONE_ROW[:-1], ONE_ROW[:-29], b"", b"\0\0", b"\0" * 10])
def test_an_answer_without_all_events_or_their_count_is_left_for_the_next(body: bytes) -> None:
    with (
        serve_quotes({SH600000: body}) as cutting,
        serve_quotes({SH600000: ONE_ROW}) as good,
        asking(cutting.address, good.address) as servers,
    ):
        assert len(servers.ask("sh600000")) == 1
        assert cutting.commands[-1] == good.commands[-1]


def test_a_server_without_bars_of_a_known_code_is_asked_for_no_event() -> None:
    with (
        serve_quotes({SH600000: packed()}, Temper.BARLESS) as barless,
        serve_quotes({SH600000: ONE_ROW}) as good,
        asking(barless.address, good.address) as servers,
    ):
        assert [len(servers.ask("sh600000")) for _ in range(2)] == [1, 1]
        assert (barless.came, len(barless.commands)) == (1, 2)


def test_a_server_that_refuses_is_left_for_the_next() -> None:
    with (
        serve_quotes({SH600000: ONE_ROW}) as server,
        asking(refusing(), server.address) as servers,
    ):
        assert len(servers.ask("sh600000")) == 1


def test_a_server_that_breaks_off_is_left_for_the_next() -> None:
    with (
        serve_quotes({SH600000: None}) as breaking,
        serve_quotes({SH600000: ONE_ROW}) as good,
        asking(breaking.address, good.address) as servers,
    ):
        assert len(servers.ask("sh600000")) == 1


def test_a_code_that_no_server_answers_fails_alone() -> None:
    answers = {SH600000: ONE_ROW, (0, b"000002"): None}
    with serve_quotes(answers) as server, asking(server.address) as servers:
        servers.ask("sh600000")
        with pytest.raises(UpstreamError, match="no TDX quote server answered") as caught:
            servers.ask("sz000002")
        assert not isinstance(caught.value, SourceGone)
        assert len(servers.ask("sh600000")) == 1


@pytest.mark.usefixtures("_short_wait")
def test_a_server_that_is_mute_is_asked_once_in_a_load() -> None:
    with serve_quotes(temper=Temper.MUTE) as mute, serve_quotes() as good:
        servers = QuoteServers([mute.address, good.address])
        for _ in range(3):
            servers.ask("sh600000")
            servers.close()
        assert mute.came == 1


@pytest.mark.usefixtures("_short_wait")
@pytest.mark.parametrize("temper", [Temper.MUTE, Temper.BARLESS])
def test_without_a_server_that_answers_there_is_no_waiting_for_each_code(temper: Temper) -> None:
    with serve_quotes(temper=temper) as first, serve_quotes(temper=temper) as second:
        servers = QuoteServers([first.address, second.address])
        for _ in range(3):
            with pytest.raises(SourceGone, match="no TDX quote server answered"):
                servers.ask("sh600000")
        assert (first.came, second.came) == (1, 1)


def test_no_server_at_all_is_an_upstream_failure() -> None:
    with pytest.raises(SourceGone, match="no TDX quote server answered"):
        QuoteServers([refusing()]).ask("sh600000")
