"""What goes wrong at a gateway costs rows that say so, and nothing else."""

import dataclasses
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from loaders.errors import SettingsError
from loaders.ib.errors import ClientIdInUse, GatewayGone, GatewayTimeout, NotPermitted
from loaders.ib.service.gateway import Gateway, Quote
from loaders.ib.service.live import gateway
from loaders.ib.settings import IbSettings
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import Query, World
from tests.integration.ib_service.conftest import (
    candidate_of,
    listed,
    settings_for,
    some_contracts,
)

Opened = Callable[..., Gateway]


def kinds(quotes: list[Quote]) -> list[str | None]:
    return [quote.failure.error_type if quote.failure else None for quote in quotes]


@contextmanager
def fault(sandbox: IbSandbox, text: str) -> Iterator[None]:
    rule = sandbox.faults.add(text)
    yield
    sandbox.faults.remove(rule)


# ---------------------------------------------------------------------- who may see what
@pytest.mark.parametrize("code", [354, 10089, 10168, 10186])
def test_without_permission_rows_fail_and_delayed_data_are_those_of_a_quarter_of_an_hour_ago(
    tidy: IbSandbox, shared: Gateway, code: int
) -> None:
    ours, others = some_contracts(tidy, 3), some_contracts(tidy, 2, "MSFT")
    with fault(tidy, f"permission:symbol=AAPL:code={code}"):
        live = shared.quotes([*ours, *others], 1)
        assert kinds(live) == ["no_permission"] * 3 + [None] * 2
        assert {q.failure.error_code for q in live if q.failure} == {code}
        assert [q.bid is None and q.market_data_type is None for q in live] == [True] * 3 + [
            False
        ] * 2
        delayed = shared.quotes(ours, 3)
    assert kinds(delayed) == [None] * 3
    for quote in delayed:
        assert (quote.requested_type, quote.market_data_type) == (3, 3)
        (row,) = tidy.world.find(Query(conid=quote.contract.conid), tidy.clock.date())
        then = tidy.world.quote(row, tidy.clock - timedelta(minutes=15))
        assert quote.ask == Decimal(str(then.ask))
    assert 10167 in {event.code for event in shared.take_events()}


def test_a_part_without_permission_keeps_the_other_part(tidy: IbSandbox, shared: Gateway) -> None:
    contracts = some_contracts(tidy, 2)
    with fault(tidy, "permission:code=10090"):
        (one, _) = shared.quotes(contracts, 1)
    assert one.failure is not None
    assert (one.failure.error_type, one.failure.error_code) == ("partial", 10090)
    assert one.bid is not None
    assert one.iv is None
    assert one.greeks_source is None
    with fault(tidy, "permission:code=10091"):
        (one, _) = shared.quotes(contracts, 1)
    assert one.bid is None
    assert one.iv is not None
    assert one.has_data


@pytest.mark.parametrize("code", [0, 10089, 10090, 10091])
def test_no_line_is_left_open(tidy: IbSandbox, opened: Opened, code: int) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    if code:
        tidy.faults.add(f"permission:code={code}")
    mine.quotes(contracts, 1, streaming=True, timeout=1)
    mine.open_interest(contracts, timeout=1)
    with fault(tidy, "snapshot-end:seconds=3600"):
        mine.quotes(contracts, 1, timeout=1)
    mine.server_time()  # what was sent before has been read
    assert tidy.lines == 0


def test_another_log_in_takes_the_data(tidy: IbSandbox, shared: Gateway) -> None:
    with fault(tidy, "competing"):
        assert kinds(shared.quotes(some_contracts(tidy, 2), 1)) == ["competing_session"] * 2
        probe = shared.probe("AAPL")
    assert probe.served_type is None
    assert probe.failure is not None
    assert probe.failure.error_code == 10197


def test_a_delayed_account_is_told_by_the_probe(tidy: IbSandbox, opened: Opened) -> None:
    with fault(tidy, "permission"), fault(tidy, "history"):
        assert opened({"market_data_type": 3}).probe("AAPL").served_type == 3
        other = opened({"allow_fallback_to_delayed": False})
        stock = other.stock("MSFT")
        with pytest.raises(NotPermitted) as caught:
            other.previous_close(stock)
        assert opened().previous_close(stock).source == "ticker"
    assert "subscription" in caught.value.hint


# ---------------------------------------------------------------------- values
def test_no_sentinel_gets_through(tidy: IbSandbox, shared: Gateway) -> None:
    with fault(tidy, "sentinel-greeks"), fault(tidy, "no-quote"):
        found = shared.quotes(some_contracts(tidy, 4), 1)
    for quote in found:
        assert quote.has_data
        assert (quote.bid, quote.ask, quote.iv, quote.delta, quote.vega, quote.theta) == (None,) * 6
        assert (quote.und_price, quote.bid_size) == (None, 0)
        assert quote.opt_price_model is not None
        for name in (field.name for field in dataclasses.fields(quote)):
            value = getattr(quote, name)
            if isinstance(value, float):
                assert math.isfinite(value)
                assert value >= 0 or name in ("delta", "theta")


def test_sizes_and_the_close_before_are_no_quote(tidy: IbSandbox, opened: Opened) -> None:
    untraded = [
        contract
        for contract in some_contracts(tidy, 400)
        for row in tidy.world.find(Query(conid=contract.conid), tidy.clock.date())
        if tidy.world.quote(row, tidy.clock).last is None
    ][:1]
    both = [*untraded, *some_contracts(tidy, 2, "MSFT")]
    mine = opened()
    with fault(tidy, "no-quote:symbol=AAPL"):
        assert kinds(mine.quotes(both, 1)) == [None] * 3  # the model has a price
        with fault(tidy, "no-greeks:symbol=AAPL"):
            found = mine.quotes(both, 1, timeout=1)
    assert kinds(found) == ["no_price", None, None]
    assert (found[0].bid_size, found[0].bid, found[0].has_data) == (0, None, True)
    assert found[0].close_prev is not None
    with fault(tidy, "permission:code=10090"), fault(tidy, "no-quote:symbol=AAPL"):
        assert kinds(mine.quotes(both, 1, timeout=1)) == ["no_permission", "partial", "partial"]


def test_a_contract_that_never_ticks_fails_and_serves_no_older_price(
    tidy: IbSandbox, opened: Opened
) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    assert kinds(mine.quotes(contracts, 1)) == [None] * 3
    with fault(tidy, f"mute:conid={contracts[1].conid}"):
        found = mine.quotes(contracts, 1, timeout=1)
    assert kinds(found) == [None, "no_answer", None]
    assert (found[1].bid, found[1].iv, found[1].close_prev, found[1].asof_at) == (None,) * 4
    with fault(tidy, f"mute:conid={contracts[1].conid}:times=1"):  # the stream has it
        assert kinds(mine.quotes(contracts, 1)) == [None] * 3


def test_greeks_that_come_late_are_awaited_by_a_stream_and_missing_ones_are_none(
    tidy: IbSandbox, opened: Opened
) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    with fault(tidy, "greeks-late:seconds=0.1"):
        assert all(quote.iv for quote in mine.quotes(contracts, 1))
    with fault(tidy, f"no-greeks:conid={contracts[0].conid}"):
        found = mine.quotes(contracts, 1, timeout=1)
    assert [quote.iv is None for quote in found] == [True, False, False]
    assert kinds(found) == [None] * 3
    assert found[0].bid is not None


def test_a_complete_snapshot_is_not_held_until_its_end(tidy: IbSandbox, shared: Gateway) -> None:
    contracts = some_contracts(tidy, 2)
    before = len(tidy.asked("cancelMktData"))
    with fault(tidy, "snapshot-end:seconds=3600"):
        assert kinds(shared.quotes(contracts, 1)) == [None] * 2
    assert len(tidy.asked("cancelMktData")) - before == 3  # the stock's too


def test_after_the_close_frozen_data_tell_the_last_quotes(tidy: IbSandbox, shared: Gateway) -> None:
    tidy.set_clock("2026-11-19T17:00:00")
    contracts = some_contracts(tidy, 2)
    assert [quote.bid for quote in shared.quotes(contracts, 1)] == [None, None]
    frozen = shared.quotes(contracts, 2)
    assert [quote.market_data_type for quote in frozen] == [2, 2]
    assert all(quote.ask for quote in frozen)


def test_open_interest_changes_in_the_morning_and_may_be_missing(
    tidy: IbSandbox, opened: Opened
) -> None:
    mine = opened()
    tidy.set_clock("2026-11-20T04:00:00")
    contracts = [c for c in some_contracts(tidy, 30) if c.expiry > date(2026, 11, 20)][:6]
    early = [row.open_interest for row in mine.open_interest(contracts)]
    tidy.set_clock("2026-11-20T07:30:00")
    late = [row.open_interest for row in mine.open_interest(contracts)]
    assert early != late
    with fault(tidy, f"no-oi:conid={contracts[0].conid}"):
        found = mine.open_interest(contracts, timeout=1)
    assert [row.open_interest for row in found] == [None, *late[1:]]
    assert found[0].failure is None


def test_the_close_before_the_open_is_yesterday_s(tidy: IbSandbox, shared: Gateway) -> None:
    tidy.set_clock("2026-11-20T09:25:00")
    apple = shared.stock("AAPL")
    expected = Decimal(str(tidy.world.close_price("AAPL", date(2026, 11, 19))))
    by_bar = shared.previous_close(apple)
    assert (by_bar.price, by_bar.close_date) == (expected, date(2026, 11, 19))
    with fault(tidy, "history"):
        by_quote = shared.previous_close(apple)
    assert (by_quote.price, by_quote.close_date, by_quote.source) == (expected, None, "ticker")


# ---------------------------------------------------------------------- contracts
def test_option_parameters_may_be_empty_or_never_come(tidy: IbSandbox, opened: Opened) -> None:
    patient = opened({"timeout": 1})
    apple = patient.stock("AAPL")
    with fault(tidy, "secdef-empty"):
        assert patient.option_params(apple) == []
    with fault(tidy, "secdef-hang"), pytest.raises(GatewayTimeout, match="option parameters"):
        patient.option_params(apple)
    assert patient.option_params(apple)


def test_a_look_up_that_hangs_is_not_impossible(tidy: IbSandbox, opened: Opened) -> None:
    contracts = some_contracts(tidy, 6)
    asked = [candidate_of(contract) for contract in contracts]
    with fault(tidy, f"details-hang:conid={contracts[2].conid}"):
        found = opened({"timeout": 1, "qualify_batch_size": 4}).qualify(asked)
    assert [c for c, _ in found.failed] == [asked[2]]
    assert found.failed[0][1].error_type == "no_answer"
    assert found.contracts == [*contracts[:2], *contracts[3:]]
    assert found.impossible == []


def test_what_is_told_not_to_exist_is_impossible_and_a_crossed_quote_is_kept_as_it_came(
    tidy: IbSandbox, shared: Gateway
) -> None:
    contracts = some_contracts(tidy, 3)
    with fault(tidy, f"flaky-contract:conid={contracts[0].conid}"):
        found = shared.qualify([candidate_of(contract) for contract in contracts])
    assert found.impossible == [candidate_of(contracts[0])]
    with fault(tidy, f"crossed:conid={contracts[0].conid}"):
        crossed = [q.bid > q.ask for q in shared.quotes(contracts, 1) if q.bid and q.ask]
    assert crossed[0]
    assert not any(crossed[1:])


# ---------------------------------------------------------------------- limits
def test_what_is_turned_away_fails_as_pacing_and_is_counted(
    tidy: IbSandbox, shared: Gateway
) -> None:
    shared.take_events()
    with fault(tidy, "pacing:times=2"):
        found = shared.quotes(some_contracts(tidy, 4), 1)
    assert kinds(found).count("pacing") == 1  # the other one was the stock
    assert sum(event.is_pacing for event in shared.take_events()) == 2


def test_fewer_lines_than_thought_only_take_longer(tidy: IbSandbox, shared: Gateway) -> None:
    with fault(tidy, "lines:count=3"):
        found = shared.quotes(some_contracts(tidy, 10), 1, lines=10)
    assert kinds(found) == [None] * 10


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


# ---------------------------------------------------------------------- the connection
def test_a_broken_connection_costs_the_rows_of_its_batch_and_the_next_batch_none(
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
def test_servers_that_are_lost_and_found_cost_nothing(
    tidy: IbSandbox, shared: Gateway, code: int
) -> None:
    contracts = some_contracts(tidy, 4)
    with fault(tidy, f"connectivity:after={tidy.requests + 2}:seconds=0.2:code={code}"):
        found = shared.quotes(contracts, 1)
    assert kinds(found) == [None] * 4
    assert all(quote.iv for quote in found)
    assert {1100, code} <= {event.code for event in shared.take_events()}


def test_a_look_up_while_the_servers_are_lost_is_made_again(
    tidy: IbSandbox, opened: Opened
) -> None:
    contracts = some_contracts(tidy, 3)
    mine = opened({"timeout": 1})
    mine.server_time()
    tidy.lose_servers(1.5)
    assert mine.qualify([candidate_of(c) for c in contracts]).contracts == contracts


def test_servers_that_stay_lost_are_said_to_be(tidy: IbSandbox, opened: Opened) -> None:
    mine = opened({"connectivity_wait": 0.2, "timeout": 1})
    mine.server_time()
    tidy.notice(1100)
    try:
        assert kinds(mine.quotes(some_contracts(tidy, 2), 1, timeout=0.2)) == ["connectivity"] * 2
        (failed,) = mine.qualify([candidate_of(c) for c in some_contracts(tidy, 1)]).failed
        assert failed[1].error_type == "no_answer"
    finally:
        tidy.notice(1102)


def test_a_broken_farm_is_awaited(tidy: IbSandbox, shared: Gateway) -> None:
    with fault(tidy, f"farm:after={tidy.requests + 1}:seconds=0.3"):
        found = shared.quotes(some_contracts(tidy, 2), 1)
    assert kinds(found) == [None] * 2


def test_a_client_id_that_is_in_use_makes_way_for_the_next_of_the_pool(
    tidy: IbSandbox, shared: Gateway, opened: Opened
) -> None:
    assert shared.probe("AAPL").client_id == 101
    other = opened({"client_id": 101, "client_id_pool": [42, 43]})
    assert other.probe("AAPL").client_id == 42
    full = opened({"client_id": 101, "client_id_pool": [42]})
    with pytest.raises(ClientIdInUse) as caught:
        full.server_time()
    assert "101, 42" in str(caught.value)
    assert "client_id_pool" in caught.value.hint
    other.reconnect()
    assert full.probe("AAPL").client_id == 42


def test_no_gateway_is_said_at_once_and_a_first_wait_is_kept() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waited: list[float] = []
    settings = IbSettings(host="127.0.0.1", port=port)
    patient = gateway(settings, sleep=waited.append, first_waits=(1.0, 2.0))
    with patient as nobody, pytest.raises(GatewayGone) as caught:
        nobody.server_time()
    assert waited == [1.0, 2.0]
    assert str(port) in str(caught.value)
    assert "IB_PORT" in caught.value.hint
    with (
        gateway(
            settings, sleep=waited.append, first_waits=(5.0,), cancelling=lambda: True
        ) as nobody,
        pytest.raises(GatewayGone),
    ):
        nobody.server_time()
    assert waited == [1.0, 2.0]
    with pytest.raises(SettingsError, match="no gateway is named"), gateway(IbSettings()):
        pass


def test_a_port_where_nobody_answers_is_a_time_out() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = IbSettings(host="127.0.0.1", port=silent.getsockname()[1], connect_timeout=0.3)
        with gateway(settings) as mute, pytest.raises(GatewayTimeout, match="did not answer"):
            mute.server_time()


def test_a_log_in_that_is_never_answered_is_tried_again(tidy: IbSandbox, opened: Opened) -> None:
    waited: list[float] = []
    mine = opened({"connect_timeout": 1}, sleep=waited.append, first_waits=(1.0,))
    with fault(tidy, "no-login:times=1"):
        assert mine.source() == "SANDBOX"
    assert waited == [1.0]


def test_an_injected_clock_stamps_every_row(tidy: IbSandbox, opened: Opened) -> None:
    at = datetime(2026, 11, 19, 16, 30, 7, tzinfo=UTC)
    mine = opened({}, clock=lambda: at)
    (quote,) = mine.quotes(some_contracts(tidy, 1), 1)
    assert mine.now() == quote.captured_at == quote.asof_at == quote.und_quote_at == at
    assert {event.at for event in mine.take_events()} == {at}


def test_account_numbers_are_in_nothing_that_comes_out() -> None:
    world = World(["AAPL"])
    with IbSandbox(world, account="U7654321") as live:
        live.faults.add("error:code=420:message=No permission for account U7654321, DU1234567")
        with gateway(settings_for(live)) as opened:
            assert opened.source() == "IBKR"
            told: list[Any] = [*opened.quotes(some_contracts(live, 1), 1), opened.probe("AAPL")]
            told += opened.take_events()
    assert "<account>" in repr(told[0])
    assert "7654321" not in repr(told)
    assert "1234567" not in repr(told)


def test_a_code_that_nobody_knows_fails_its_row_and_is_told(
    tidy: IbSandbox, shared: Gateway
) -> None:
    contracts = [row.conid for row in listed(tidy)[:1]]
    with fault(tidy, f"error:conid={contracts[0]}:code=9876:message=What is this"):
        (quote,) = shared.quotes(some_contracts(tidy, 1), 1)
    assert quote.failure is not None
    assert (quote.failure.error_type, quote.failure.error_code) == ("unknown", 9876)
    assert quote.failure.error_message == "What is this"
