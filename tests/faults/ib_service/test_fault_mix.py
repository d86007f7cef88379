"""Any mix of faults: one quote for every contract, and no failure without a reason."""

import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from loaders.ib.client.gateway import Gateway
from loaders.ib.client.values import OptionContract, Quote
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import Query
from tests.integration.ib_service.conftest import some_contracts

FAULTS = (
    "disconnect:after={soon}",
    "restart:after={soon}:seconds=0.2",
    "pacing:after={soon}:times=3",
    "connectivity:after={soon}:seconds=0.2:code=1101",
    "connectivity:after={soon}:seconds=0.2:code=1102",
    "lines:count=4",
    "rate:per_second=12",
    "permission:symbol=MSFT",
    "permission:symbol=AAPL:code=10090",
    "competing:times=2",
    "mute:times=2",
    "mute:share=0.3:times=3",
    "error:code=420:times=2",
    "no-greeks:share=0.3",
    "sentinel-greeks:share=0.5",
    "no-quote:share=0.3",
    "greeks-late:seconds=0.1",
    "latency:seconds=0.02:jitter=0.05",
    "snapshot-end:seconds=0.3",
)


def mix(seed: int, requests: int) -> list[str]:
    dice = random.Random(seed)
    chosen = dice.sample(FAULTS, dice.randint(2, 5))
    return [text.format(soon=requests + dice.randint(1, 40)) for text in chosen]


def assert_is_true(sandbox: IbSandbox, quote: Quote) -> None:
    (row,) = sandbox.world.find(Query(conid=quote.contract.conid), sandbox.clock.date())
    true = sandbox.world.quote(row, sandbox.clock)
    assert quote.bid in (Decimal(str(true.bid)), None)
    assert quote.ask in (Decimal(str(true.ask)), None)
    assert quote.iv in (pytest.approx(sandbox.world.computation(row, sandbox.clock).iv), None)
    assert quote.volume in (true.volume, None)


def holds(sandbox: IbSandbox, mine: Gateway, contracts: list[OptionContract], seed: int) -> None:
    faults = mix(seed, sandbox.requests)
    for text in faults:
        sandbox.faults.add(text)
    for _ in range(2):
        quotes = mine.quotes(contracts, 1, lines=10, timeout=0.6)
        assert [quote.contract for quote in quotes] == contracts, faults
        for quote in quotes:
            kind = quote.failure.error_type if quote.failure else None
            is_part = kind in ("partial", "no_price")
            assert quote.has_data != (quote.failure is not None) or is_part, (faults, quote)
            assert_is_true(sandbox, quote)
    sandbox.faults.clear()
    mine.reconnect()
    again = mine.quotes(contracts, 1, timeout=5)
    assert [quote.failure for quote in again] == [None] * len(contracts), faults
    assert all(quote.iv and quote.ask for quote in again)


def test_no_contract_gets_lost_in_some_mixes_of_faults(
    tidy: IbSandbox, opened: Callable[..., Gateway]
) -> None:
    def sleep(_: float) -> None:
        assert tidy.wait_until_listening()

    contracts = [*some_contracts(tidy, 8), *some_contracts(tidy, 4, "MSFT")]
    for seed in range(1, 4):
        holds(tidy, opened(sleep=sleep), contracts, seed)
