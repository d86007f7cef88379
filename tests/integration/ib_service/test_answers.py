"""What a gateway answers where nothing goes wrong, compared with the market behind it."""

import asyncio
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module

import pytest

from loaders.ib import client as service
from loaders.ib.client.gateway import Gateway, open_gateway
from loaders.ib.client.ib_client import Connection
from loaders.ib.client.library import check_client
from loaders.ib.client.values import Candidate, Quote
from loaders.ib.errors import UnknownUnderlying
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import Query, World
from tests.integration.ib_service.conftest import listed, settings_for, some_contracts
from tests.requirements import IB_LIBRARY

TEN = datetime(2026, 11, 19, 15, tzinfo=UTC)
TODAY = date(2026, 11, 19)


def cents(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(round(value, 6)))


def assert_is_the_market_s(sandbox: IbSandbox, quote: Quote, at: datetime) -> None:
    (row,) = sandbox.world.find(Query(conid=quote.contract.conid), sandbox.clock.date())
    true, made = sandbox.world.quote(row, at), sandbox.world.computation(row, at)
    assert (quote.bid, quote.ask, quote.last) == (
        cents(true.bid),
        cents(true.ask),
        cents(true.last),
    )
    sizes = true.bid_size, true.ask_size, true.volume
    assert (quote.bid_size, quote.ask_size, quote.volume) == sizes
    assert quote.close_prev == (cents(true.previous_close) or None)
    greeks = [quote.iv, quote.delta, quote.gamma, quote.vega, quote.theta]
    assert greeks == pytest.approx(
        [made.iv, made.delta, made.gamma, made.vega, made.theta], abs=1e-9
    )
    assert quote.opt_price_model == pytest.approx(Decimal(str(made.price)), abs=Decimal("0.000001"))
    assert quote.und_price == cents(made.underlying)
    spot = sandbox.world.spot(row.symbol, at)
    assert (quote.und_bid, quote.und_last) == (cents(spot - 0.01), cents(spot))


def test_the_gateway_gives_its_time_and_the_origin_of_rows(shared: Gateway) -> None:
    assert shared.now() == shared.server_time() == TEN
    assert shared.source() == "SANDBOX"
    client = sys.modules["loaders.ib.client.ib_client"].IB
    assert client.__module__.startswith(IB_LIBRARY)


def test_an_older_client_takes_the_place_of_one_that_is_not_installed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ib_insync")
    loaded = import_module("loaders.ib.client.ib_client")
    monkeypatch.setattr(service, "ib_client", loaded)  # restored afterwards
    monkeypatch.delitem(sys.modules, loaded.__name__)
    monkeypatch.setitem(sys.modules, "ib_async", None)
    check_client()
    with IbSandbox(world) as served, open_gateway(settings_for(served)) as alone:
        assert alone.source() == "SANDBOX"


def test_a_stock_has_a_close_and_listed_options(shared: Gateway, sandbox: IbSandbox) -> None:
    apple = shared.find_underlying("AAPL")
    assert (apple.conid, apple.exchange, apple.currency) == (265598, "NASDAQ", "USD")
    close = shared.previous_close(apple)
    expected = sandbox.world.close_price("AAPL", date(2026, 11, 18))
    assert (close.price, close.close_date) == (cents(expected), date(2026, 11, 18))
    assert close.source == "history"
    params = shared.option_params(apple)
    assert [row.trading_class for row in params] == ["2AAPL", "AAPL"]
    chain = [r for r in sandbox.world.chain("AAPL", TODAY).values() if r.trading_class == "AAPL"]
    assert set(params[1].expirations) == {row.expiry for row in chain}
    assert params[1].strikes == tuple(sorted({cents(row.strike) for row in chain}))
    assert params[1].multiplier == 100
    with pytest.raises(UnknownUnderlying, match="NOPE"):
        shared.find_underlying("NOPE")


def test_every_candidate_is_a_contract_or_impossible(shared: Gateway, sandbox: IbSandbox) -> None:
    chain = [row for row in listed(sandbox) if row.expiry is not None and row.right == "C"]
    expiries = sorted({row.expiry for row in chain if row.expiry})[:4]
    strikes = sorted({row.strike for row in chain})
    asked = [
        Candidate("AAPL", 265598, "AAPL", expiry, Decimal(str(strike)), "C")
        for expiry in expiries
        for strike in strikes
    ]
    truly = {(row.expiry, Decimal(str(row.strike))): row.conid for row in chain}
    answers = shared.qualify(asked)
    assert answers.failed == []
    assert {(c.expiry, c.strike): c.conid for c in answers.contracts} == {
        pair: conid for pair, conid in truly.items() if pair[0] in expiries
    }
    assert set(answers.impossible) == {c for c in asked if (c.expiry, c.strike) not in truly}
    assert answers.impossible
    assert {len(c.local_symbol) for c in answers.contracts} == {21}


def test_the_class_of_a_symbol_with_a_blank_has_no_blank(
    shared: Gateway, sandbox: IbSandbox
) -> None:
    params = shared.option_params(shared.find_underlying("BRK B"))
    assert [row.trading_class for row in params] == ["BRKB"]
    (contract,) = some_contracts(sandbox, 1, "BRK B")
    assert shared.qualify([contract.candidate]).contracts == [contract]


def test_quotes_equal_the_market_and_repeat(shared: Gateway, sandbox: IbSandbox) -> None:
    contracts = [*some_contracts(sandbox, 12), *some_contracts(sandbox, 4, "MSFT")]
    before = len(sandbox.asked("reqMktData"))
    answers = shared.quotes(contracts, 1, lines=10)
    assert [quote.contract for quote in answers] == contracts
    for quote in answers:
        assert quote.failure is None
        assert (quote.market_data_type, quote.greeks_source) == (1, "model")
        assert quote.captured_at == quote.asof_at == quote.und_quote_at == TEN
        assert_is_the_market_s(sandbox, quote, sandbox.clock)
    asked = sandbox.asked("reqMktData")[before:]
    assert len(asked) == len(contracts) + 2  # one each, and one for each stock
    assert {entry.fields[16] for entry in asked} == {""}  # no generic ticks on snapshots
    again = shared.quotes(contracts, 1, lines=10)
    assert [plain(quote) for quote in again] == [plain(quote) for quote in answers]
    assert sandbox.most_lines <= 10


def plain(quote: Quote) -> dict[str, object]:
    """Without how long it took."""
    return {name: value for name, value in vars(quote).items() if name != "hold_s"}


def test_open_interest_is_of_the_contracts_own_side(shared: Gateway, sandbox: IbSandbox) -> None:
    contracts = some_contracts(sandbox, 8)
    assert {contract.right for contract in contracts} == {"C", "P"}
    answers = shared.open_interest(contracts)
    for row in answers:
        (true,) = sandbox.world.find(Query(conid=row.contract.conid), TODAY)
        assert row.open_interest == sandbox.world.open_interest(true, sandbox.clock)
        assert (row.captured_at, row.failure) == (TEN, None)


def test_the_probe_names_the_data_type_that_is_served(shared: Gateway) -> None:
    answers = shared.probe("MSFT")
    assert (answers.requested_type, answers.served_type, answers.failure) == (1, 1, None)
    assert answers.time_zone == "America/New_York"
    assert (answers.accounts, answers.client_id, answers.server_version) == (1, 101, 176)
    assert answers.server_time == TEN
    times = {event.code: event.at for event in answers.events}
    assert [times[code] for code in (2104, 2106, 2158)] == [TEN] * 3  # before the clock was known
    assert "DUSANDBOX" not in repr(answers)


def test_no_order_message_was_ever_sent(shared: Gateway, sandbox: IbSandbox) -> None:
    assert shared.server_time() == TEN
    kinds = {entry.what for entry in list(sandbox.log)}
    assert kinds <= {
        "startApi",
        "reqPositions",
        "reqAccountUpdates",
        "reqAccountUpdatesMulti",
        "reqExecutions",
        "reqCurrentTime",
        "reqMarketDataType",
        "reqMktData",
        "cancelMktData",
        "reqContractDetails",
        "reqSecDefOptParams",
        "reqHistoricalData",
    }
    assert len(sandbox.asked("startApi")) == 1


def test_the_zone_of_the_log_in_may_come_in_pieces() -> None:
    async def greet() -> str | None:
        connection = Connection(lambda *_: None, 50)
        for byte in b"\0\0\0\x24176\00020261119 10:00:00 Asia/Shanghai\0":
            connection._on_data(bytes([byte]))
        return connection.time_zone

    assert asyncio.run(greet()) == "Asia/Shanghai"
