"""The real client against the sandbox; tests without faults share both."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from loaders.ib.client.gateway import Gateway, open_gateway
from loaders.ib.client.values import OptionContract, Quote
from loaders.ib.settings import IbSettings
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World
from tests.requirements import require_ib

QUICK = {"quote_timeout": 3.0, "settle": 0.05}
Opened = Callable[..., Gateway]


@pytest.fixture(scope="session", autouse=True)
def _client_is_there() -> None:
    require_ib()


@pytest.fixture(scope="module")
def world() -> World:
    return World(["AAPL", "MSFT", "BRK B"])


@pytest.fixture(scope="module")
def sandbox(world: World) -> Iterator[IbSandbox]:
    with IbSandbox(world) as running:
        yield running


@pytest.fixture(scope="module")
def shared(sandbox: IbSandbox) -> Iterator[Gateway]:
    with open_gateway(settings_for(sandbox)) as opened:
        yield opened


@pytest.fixture
def tidy(sandbox: IbSandbox) -> Iterator[IbSandbox]:
    """The module's sandbox, without faults and at its clock again afterwards."""
    at = sandbox.clock
    yield sandbox
    sandbox.faults.clear()
    sandbox.virtual_clock.set(at)


@pytest.fixture
def opened(tidy: IbSandbox) -> Iterator[Callable[..., Gateway]]:
    """Make further gateways to the module's sandbox, by settings and arguments.

    A wait that is cut short belongs to one of these: on the shared one, a message may have to wait
    for those of the test before.
    """
    made: list[Any] = []
    ids = itertools.count(200)

    def make(settings: dict[str, Any] | None = None, **arguments: Any) -> Gateway:
        mine = {"client_id": next(ids), **(settings or {})}
        context = open_gateway(settings_for(tidy, **mine), **arguments)
        made.append(context)
        return context.__enter__()

    yield make
    for context in made:
        context.__exit__(None, None, None)


def settings_for(sandbox: IbSandbox, **others: Any) -> IbSettings:
    return IbSettings(**{**sandbox.settings(), **QUICK, **others})


def listed(sandbox: IbSandbox, symbol: str = "AAPL", width: float = 0.1) -> list[Instrument]:
    """What is listed near the money, of the class of its own name, not expiring today."""
    world, today = sandbox.world, sandbox.clock.date()
    spot = world.spot(symbol, sandbox.clock)
    return [
        row
        for row in world.chain(symbol, today).values()
        if abs(row.strike / spot - 1) < width
        and row.trading_class == row.stock.root
        and row.expiry is not None
        and row.expiry > today
    ]


def to_contract(row: Instrument) -> OptionContract:
    assert row.expiry is not None
    return OptionContract(
        conid=row.conid,
        local_symbol=row.local_symbol,
        symbol=row.symbol,
        underlying_conid=row.stock.conid,
        trading_class=row.trading_class,
        expiry=row.expiry,
        strike=Decimal(str(row.strike)),
        right="C" if row.right == "C" else "P",
        multiplier=Decimal(100),
    )


def some_contracts(sandbox: IbSandbox, count: int, symbol: str = "AAPL") -> list[OptionContract]:
    return [to_contract(row) for row in listed(sandbox, symbol)[:count]]


def kinds(quotes: Sequence[Quote]) -> list[str | None]:
    """Why each failed, or None."""
    return [quote.failure.error_type if quote.failure else None for quote in quotes]


@contextmanager
def fault(sandbox: IbSandbox, text: str) -> Iterator[None]:
    rule = sandbox.faults.add(text)
    yield
    sandbox.faults.remove(rule)
