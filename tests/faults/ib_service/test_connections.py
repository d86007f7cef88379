"""Limits, servers and connections that break: rows that say so, then a new connection."""

import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from loaders.ib.client import gateway as gateway_module
from loaders.ib.client.error_codes import CLOCK_OFF
from loaders.ib.client.gateway import Gateway, open_gateway
from loaders.ib.errors import ClientIdInUse, GatewayGone, GatewayTimeout
from loaders.ib.settings import IbSettings
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World
from quotemill.errors import SettingsError
from tests.integration.ib_service.conftest import Opened, fault, kinds, settings_for, some_contracts


def test_a_refused_request_fails_as_pacing_and_is_counted(tidy: IbSandbox, shared: Gateway) -> None:
    shared.take_events()
    with fault(tidy, "pacing:times=2"):
        quotes = shared.quotes(some_contracts(tidy, 4), 1)
    assert kinds(quotes).count("pacing") == 1  # the other one was the stock
    assert sum(event.is_pacing for event in shared.take_events()) == 2


def test_fewer_lines_than_set_only_take_longer(tidy: IbSandbox, shared: Gateway) -> None:
    with fault(tidy, "lines:count=3"):
        quotes = shared.quotes(some_contracts(tidy, 10), 1, lines=10)
    assert kinds(quotes) == [None] * 10


def test_messages_that_the_gateway_lost_are_pacing_and_we_go_slower(
    tidy: IbSandbox, opened: Opened
) -> None:
    contracts, mine = some_contracts(tidy, 20), opened({"settle": 5})
    mine.server_time()
    with fault(tidy, "rate:per_second=8"):
        first = mine.quotes(contracts, 1, timeout=1)
    assert "pacing" in kinds(first)
    assert set(kinds(first)) <= {None, "pacing", "gateway_gone"}
    assert all(quote.has_data == (quote.failure is None) for quote in first)
    assert any(event.is_pacing and event.request_id == -1 for event in mine.take_events())
    mine.reconnect()  # a third breach would cost the connection
    assert kinds(mine.quotes(contracts, 1)) == [None] * 20


def test_a_broken_connection_costs_its_batch_and_not_the_next(
    tidy: IbSandbox, opened: Opened
) -> None:
    waited: list[float] = []
    mine = opened({}, sleep=waited.append)
    contracts = some_contracts(tidy, 8)
    mine.server_time()
    with fault(tidy, f"disconnect:after={tidy.requests + 5}"):
        first = mine.quotes(contracts, 1, lines=3)
    assert "gateway_gone" in kinds(first)
    assert set(kinds(first)) <= {None, "gateway_gone"}
    assert all(quote.bid is None for quote in first if quote.failure)
    assert kinds(mine.quotes(contracts, 1)) == [None] * 8
    assert waited == []


def test_a_gateway_that_restarts_is_awaited(tidy: IbSandbox, opened: Opened) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert tidy.wait_until_listening()

    mine = opened({}, sleep=sleep)
    contracts = some_contracts(tidy, 3)
    mine.server_time()
    with fault(tidy, f"restart:after={tidy.requests + 2}:seconds=0.5"):
        assert "gateway_gone" in kinds(mine.quotes(contracts, 1))
    assert kinds(mine.quotes(contracts, 1)) == [None] * 3
    assert waited == [30.0]


@pytest.mark.parametrize("code", [1101, 1102])
def test_servers_that_come_back_cost_their_batch(
    tidy: IbSandbox, shared: Gateway, code: int
) -> None:
    contracts = some_contracts(tidy, 4)
    with fault(tidy, f"connectivity:after={tidy.requests + 2}:seconds=0.2:code={code}"):
        quotes = shared.quotes(contracts, 1, timeout=1)
    assert "connectivity" in kinds(quotes)
    assert set(kinds(quotes)) <= {None, "connectivity"}
    heard = set[int]()
    while code not in heard:
        shared.server_time()
        heard |= {event.code for event in shared.take_events()}
    again = shared.quotes(contracts, 1)
    assert kinds(again) == [None] * 4
    assert all(quote.iv for quote in again)


@pytest.mark.parametrize("code", [1100, 2110])
def test_a_cut_off_gateway_fails_what_is_requested(
    tidy: IbSandbox, opened: Opened, code: int
) -> None:
    mine, contracts = opened({"timeout": 0.2}), some_contracts(tidy, 2)
    mine.server_time()
    tidy.notice(code)
    try:
        assert kinds(mine.quotes(contracts, 1, timeout=0.2)) == ["connectivity"] * 2
        failed = mine.qualify([c.candidate for c in contracts]).failed
        assert [failure.error_type for _, failure in failed] == ["no_answer"] * 2
    finally:
        tidy.notice(1102)
    assert kinds(mine.quotes(contracts, 1)) == [None] * 2


def test_a_broken_farm_is_only_written_down(tidy: IbSandbox, opened: Opened) -> None:
    contracts, mine = some_contracts(tidy, 2), opened({})
    mine.server_time()
    for code in (2103, 2105, 2157):
        tidy.notice(code)
    with fault(tidy, f"mute:conid={contracts[0].conid}"):
        assert kinds(mine.quotes(contracts, 1, timeout=0.5)) == ["no_answer", None]
    assert mine.previous_close(mine.find_underlying("AAPL")).source == "history"
    assert {2103, 2105, 2157} <= {event.code for event in mine.take_events()}


def test_a_client_id_that_is_in_use_makes_way_for_the_four_after_it(
    tidy: IbSandbox, shared: Gateway, opened: Opened
) -> None:
    assert shared.probe("AAPL").client_id == 101
    other = opened({"client_id": 101})
    assert other.probe("AAPL").client_id == 102
    more = [opened({"client_id": 101}) for _ in range(3)]
    assert [gateway.probe("AAPL").client_id for gateway in more] == [103, 104, 105]
    full = opened({"client_id": 101})
    with pytest.raises(ClientIdInUse) as caught:
        full.server_time()
    assert "101, 102, 103, 104, 105" in str(caught.value)
    assert "ib.client_id" in caught.value.hint
    other.reconnect()
    assert full.probe("AAPL").client_id == 102


def test_an_absent_gateway_is_reported_after_the_first_waits() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and not listened on: nobody else gets it
        port = free.getsockname()[1]
        waited: list[float] = []
        settings = IbSettings(host="127.0.0.1", port=port)
        patient = open_gateway(settings, sleep=waited.append, first_waits=(1.0, 2.0))
        with patient as nobody, pytest.raises(GatewayGone) as caught:
            nobody.server_time()
        assert waited == [1.0, 2.0]
        assert str(port) in str(caught.value)
        assert "IB_PORT" in caught.value.hint
        with (
            open_gateway(
                settings, sleep=waited.append, first_waits=(5.0,), cancelling=lambda: True
            ) as nobody,
            pytest.raises(GatewayGone),
        ):
            nobody.server_time()
        assert waited == [1.0, 2.0]
    with (
        pytest.raises(SettingsError, match="no IB gateway is configured"),
        open_gateway(IbSettings()),
    ):
        pass


def test_a_silent_port_is_a_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = IbSettings(host="127.0.0.1", port=silent.getsockname()[1], timeout=0.3)
        with open_gateway(settings) as mute, pytest.raises(GatewayTimeout, match="did not respond"):
            mute.server_time()


def test_an_unanswered_login_is_tried_again(tidy: IbSandbox, opened: Opened) -> None:
    waited: list[float] = []
    mine = opened({"timeout": 1}, sleep=waited.append, first_waits=(1.0,))
    with fault(tidy, "no-login:times=1"):
        assert mine.source() == "SANDBOX"
    assert waited == [1.0]


def test_an_injected_clock_stamps_every_row(tidy: IbSandbox, opened: Opened) -> None:
    at = datetime(2026, 11, 19, 16, 30, 7, tzinfo=UTC)
    mine = opened({}, clock=lambda: at)
    (quote,) = mine.quotes(some_contracts(tidy, 1), 1)
    assert mine.now() == quote.captured_at == quote.asof_at == quote.und_quote_at == at
    assert {event.at for event in mine.take_events()} == {at}


def test_a_clock_that_is_off_is_reported_once(
    tidy: IbSandbox, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "machine_clock", lambda: tidy.clock)

    def reports(mine: Gateway) -> list[str]:
        mine.find_underlying("AAPL")
        mine.reconnect()
        mine.find_underlying("AAPL")
        return [event.message for event in mine.take_events() if event.code == CLOCK_OFF]

    assert reports(opened({"clock": "machine"})) == []
    with fault(tidy, "clock-off:seconds=90"):
        [text] = reports(opened({"clock": "machine"}))
        assert "+90 s" in text
        assert reports(opened({"clock": "gateway"})) == []


def test_account_numbers_are_masked_everywhere() -> None:
    world = World(["AAPL"])
    with IbSandbox(world, account="U7654321") as live:
        live.faults.add("error:code=420:message=No permission for account U7654321, DU1234567")
        with open_gateway(settings_for(live)) as opened:
            assert opened.source() == "IBKR"
            heard: list[Any] = [*opened.quotes(some_contracts(live, 1), 1), opened.probe("AAPL")]
            heard += opened.take_events()
    assert "<account>" in repr(heard[0])
    assert "7654321" not in repr(heard)
    assert "1234567" not in repr(heard)
