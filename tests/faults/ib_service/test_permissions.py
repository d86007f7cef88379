"""Who may see what: rows without permission say so, and older data may stand in."""

from datetime import timedelta
from decimal import Decimal

import pytest

from loaders.ib.client.gateway import Gateway
from loaders.ib.errors import NotPermitted
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import Query
from tests.integration.ib_service.conftest import Opened, fault, kinds, some_contracts


@pytest.mark.parametrize("code", [354, 10089, 10168, 10186])
def test_without_permission_rows_fail_or_are_a_quarter_of_an_hour_old(
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


def test_an_invalid_request_for_want_of_permission_is_a_permission(
    tidy: IbSandbox, opened: Opened
) -> None:
    with fault(tidy, "permission:code=420:symbol=AAPL"):
        assert kinds(opened().quotes(some_contracts(tidy, 2), 1)) == ["no_permission"] * 2
        assert kinds(opened().quotes(some_contracts(tidy, 2), 3)) == [None] * 2


def test_a_part_without_permission_keeps_the_other_part(tidy: IbSandbox, shared: Gateway) -> None:
    contracts = some_contracts(tidy, 2)
    with fault(tidy, "permission:code=10090"):
        (quote, _) = shared.quotes(contracts, 1)
    assert quote.failure is not None
    assert (quote.failure.error_type, quote.failure.error_code) == ("partial", 10090)
    assert quote.bid is not None
    assert quote.iv is None
    assert quote.greeks_source is None
    with fault(tidy, "permission:code=10091"):
        (quote, _) = shared.quotes(contracts, 1)
    assert quote.bid is None
    assert quote.iv is not None
    assert quote.has_data


@pytest.mark.parametrize("code", [0, 10089, 10090, 10091])
def test_no_line_is_left_open(tidy: IbSandbox, opened: Opened, code: int) -> None:
    contracts, mine = some_contracts(tidy, 3), opened()
    if code:
        tidy.faults.add(f"permission:code={code}")
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


def test_the_probe_reports_a_delayed_account(tidy: IbSandbox, opened: Opened) -> None:
    with fault(tidy, "permission"), fault(tidy, "history"):
        assert opened({"market_data_type": 3}).probe("AAPL").served_type == 3
        other = opened({"allow_fallback_to_delayed": False})
        stock = other.find_underlying("MSFT")
        with pytest.raises(NotPermitted) as caught:
            other.previous_close(stock)
        assert opened().previous_close(stock).source == "ticker"
    assert "Subscribe" in caught.value.hint
