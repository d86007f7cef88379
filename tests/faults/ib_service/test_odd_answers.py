"""Odd values, contracts and codes cost rows that say so, and nothing else."""

import dataclasses
import math
from datetime import date, timedelta
from decimal import Decimal

import pytest

from loaders.ib.client.gateway import Gateway
from loaders.ib.errors import GatewayTimeout, RequestFailed, UnknownUnderlying
from loaders.sandbox.ib import contracts
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import Query
from tests.integration.ib_service.conftest import Opened, fault, kinds, some_contracts


def test_no_sentinel_gets_through(tidy: IbSandbox, shared: Gateway) -> None:
    with fault(tidy, "sentinel-greeks"), fault(tidy, "no-quote"):
        quotes = shared.quotes(some_contracts(tidy, 4), 1)
    for quote in quotes:
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
            quotes = mine.quotes(both, 1, timeout=1)
    assert kinds(quotes) == ["no_price", None, None]
    assert (quotes[0].bid_size, quotes[0].bid, quotes[0].has_data) == (0, None, True)
    assert quotes[0].close_prev is not None
    with fault(tidy, "permission:code=10090"), fault(tidy, "no-quote:symbol=AAPL"):
        assert kinds(mine.quotes(both, 1, timeout=1)) == ["no_permission", "partial", "partial"]


def test_a_last_trade_of_an_earlier_day_is_no_price(tidy: IbSandbox, opened: Opened) -> None:
    contracts, mine = some_contracts(tidy, 2), opened()
    old = f"old-last:conid={contracts[0].conid}"
    with fault(tidy, old):
        assert kinds(mine.quotes(contracts, 1)) == [None] * 2  # the model has a price
        with fault(tidy, "no-greeks"):
            quotes = mine.quotes(contracts, 1, timeout=1)
    assert kinds(quotes) == ["no_price", None]
    assert (quotes[0].bid, quotes[0].volume, quotes[0].last is None) == (None, 0, False)
    # -1 says that there is no price; greeks have not come, and nothing said that there are none
    assert [quote.is_incomplete for quote in quotes] == [True, True]


def test_a_contract_that_never_ticks_fails_and_serves_no_older_price(
    tidy: IbSandbox, opened: Opened
) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    assert kinds(mine.quotes(contracts, 1)) == [None] * 3
    with fault(tidy, f"mute:conid={contracts[1].conid}"):
        quotes = mine.quotes(contracts, 1, timeout=1)
    assert kinds(quotes) == [None, "no_answer", None]
    assert (quotes[1].bid, quotes[1].iv, quotes[1].close_prev, quotes[1].asof_at) == (None,) * 4
    with fault(tidy, f"mute:conid={contracts[1].conid}:times=1"):  # the stream has it
        assert kinds(mine.quotes(contracts, 1)) == [None] * 3


def test_a_stream_waits_for_late_greeks_and_missing_ones_are_none(
    tidy: IbSandbox, opened: Opened
) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    with fault(tidy, "greeks-late:seconds=0.1"):
        assert all(quote.iv for quote in mine.quotes(contracts, 1))
    with fault(tidy, f"no-greeks:conid={contracts[0].conid}"):
        quotes = mine.quotes(contracts, 1, timeout=1)
    assert [quote.iv is None for quote in quotes] == [True, False, False]
    assert kinds(quotes) == [None] * 3
    assert quotes[0].bid is not None


def test_a_complete_snapshot_is_not_held_until_its_end(tidy: IbSandbox, shared: Gateway) -> None:
    contracts = some_contracts(tidy, 2)
    before = len(tidy.asked("cancelMktData"))
    with fault(tidy, "snapshot-end:seconds=3600"):
        assert kinds(shared.quotes(contracts, 1)) == [None] * 2
    assert len(tidy.asked("cancelMktData")) - before == 3  # the stock's too


def test_frozen_data_give_the_last_quotes_after_the_close(tidy: IbSandbox, shared: Gateway) -> None:
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
        rows = mine.open_interest(contracts, timeout=1)
    assert [row.open_interest for row in rows] == [None, *late[1:]]
    assert rows[0].failure is None


def test_the_close_before_the_open_is_yesterday_s(tidy: IbSandbox, shared: Gateway) -> None:
    tidy.set_clock("2026-11-20T09:25:00")
    apple = shared.find_underlying("AAPL")
    expected = Decimal(str(tidy.world.close_price("AAPL", date(2026, 11, 19))))
    by_bar = shared.previous_close(apple)
    assert (by_bar.price, by_bar.close_date) == (expected, date(2026, 11, 19))
    with fault(tidy, "history"):
        by_quote = shared.previous_close(apple)
    assert (by_quote.price, by_quote.close_date, by_quote.source) == (expected, None, "ticker")


def test_option_parameters_may_be_empty_or_never_come(tidy: IbSandbox, opened: Opened) -> None:
    patient = opened({"timeout": 1})
    apple = patient.find_underlying("AAPL")
    with fault(tidy, "secdef-empty"):
        assert patient.option_params(apple) == []
    named = patient.option_params(apple)
    with fault(tidy, "secdef-elsewhere"):
        elsewhere = patient.option_params(apple)
        assert {dataclasses.replace(p, exchange="SMART") for p in elsewhere} == set(named)
        assert "SMART" not in {p.exchange for p in elsewhere}
    with fault(tidy, "secdef-hang"), pytest.raises(GatewayTimeout, match="option parameters"):
        patient.option_params(apple)
    assert patient.option_params(apple)


def test_a_contract_request_that_hangs_is_not_impossible(tidy: IbSandbox, opened: Opened) -> None:
    contracts = some_contracts(tidy, 6)
    asked = [contract.candidate for contract in contracts]
    with fault(tidy, f"details-hang:conid={contracts[2].conid}"):
        qualified = opened({"timeout": 1}).qualify(asked, batch_size=4)
    assert [c for c, _ in qualified.failed] == [asked[2]]
    assert qualified.failed[0][1].error_type == "no_answer"
    assert qualified.contracts == [*contracts[:2], *contracts[3:]]
    assert qualified.impossible == []


def test_rows_that_came_before_an_unknown_number_are_kept(tidy: IbSandbox, opened: Opened) -> None:
    contracts, mine = some_contracts(tidy, 3), opened({"timeout": 0.5})
    with fault(tidy, "details-cut"):
        qualified = mine.qualify([contract.candidate for contract in contracts])
        # of several listings one may not have come
        with pytest.raises(GatewayTimeout, match="error 9876"):
            mine.find_underlying("AAPL")
    assert (qualified.contracts, qualified.failed) == (contracts, [])


def test_the_exchange_settles_which_of_two_listings_a_stock_is(
    tidy: IbSandbox, shared: Gateway
) -> None:
    with pytest.raises(UnknownUnderlying, match=" MSFT at NOWHERE"):
        shared.find_underlying("MSFT", "STK", "NOWHERE")
    with fault(tidy, "two-listings:symbol=MSFT"):
        with pytest.raises(RequestFailed, match="2 stocks named MSFT: LSEETF, NASDAQ"):
            shared.find_underlying("MSFT")
        assert shared.find_underlying("MSFT", "STK", "NASDAQ").conid == 272093
        assert shared.find_underlying("MSFT", "STK", "LSEETF").conid != 272093


def test_two_rows_with_one_number_are_one_contract(tidy: IbSandbox, shared: Gateway) -> None:
    contracts = some_contracts(tidy, 3)
    with fault(tidy, "row-twice"):
        qualified = shared.qualify([contract.candidate for contract in contracts])
        assert shared.find_underlying("AAPL").conid == 265598
    assert (qualified.contracts, qualified.failed) == (contracts, [])


def test_an_unknown_contract_is_impossible_and_a_crossed_quote_stays(
    tidy: IbSandbox, shared: Gateway
) -> None:
    contracts = some_contracts(tidy, 3)
    with fault(tidy, f"flaky-contract:conid={contracts[0].conid}"):
        qualified = shared.qualify([contract.candidate for contract in contracts])
    assert qualified.impossible == [contracts[0].candidate]
    with fault(tidy, f"crossed:conid={contracts[0].conid}"):
        crossed = [q.bid > q.ask for q in shared.quotes(contracts, 1) if q.bid and q.ask]
    assert crossed[0]
    assert not any(crossed[1:])


@pytest.mark.parametrize("code", [2176, 2188, 2199, 9876])
def test_a_number_before_an_answer_costs_nothing_of_it(
    tidy: IbSandbox, opened: Opened, code: int
) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    stock = mine.find_underlying("AAPL")
    with fault(tidy, f"notice:code={code}"):
        assert kinds(mine.quotes(contracts, 1)) == [None] * 3
        assert mine.qualify([c.candidate for c in contracts]).contracts == contracts
        assert mine.option_params(stock)
        assert mine.previous_close(stock).source == "history"
        bars, _ = mine.daily_bars(stock)
        assert len(bars) == 252
        assert all(row.open_interest for row in mine.open_interest(contracts))
    assert {event.error_type for event in mine.take_events() if event.code == code} == {
        "unknown" if code == 9876 else "notice"
    }


def test_a_last_day_in_an_unknown_zone_and_without_a_clearing_symbol_fits_nothing(
    tidy: IbSandbox, shared: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "in_zone", lambda at, _: f"{at:%Y%m%d %H:%M:%S} CST")
    monkeypatch.setattr(contracts, "NEAR", timedelta(days=999))
    monkeypatch.setattr(Instrument, "local_symbol", property(lambda _: "AAPL"))
    wanted = [contract.candidate for contract in some_contracts(tidy, 2)]
    answer = shared.qualify(wanted)
    assert ([c for c, _ in answer.failed], answer.contracts) == (wanted, [])
