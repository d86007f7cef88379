"""A split puts the market on new terms and changes nothing else."""

from datetime import date, datetime

import pytest

from loaders.sandbox.ib.hours import ET
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.splits import Split, parse_split
from loaders.sandbox.ib.world import Query, World
from quotemill.errors import UsageError

BEFORE, EX = date(2026, 11, 19), date(2026, 11, 20)
LATER = date(2026, 12, 2)


def at(day: date, hour: int = 10) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=ET)


@pytest.fixture(scope="module")
def split() -> World:
    return World(["AAPL", "MSFT"], splits=[Split("AAPL", EX, 4)])


@pytest.fixture(scope="module")
def plain() -> World:
    return World(["AAPL", "MSFT"])


def pairs(split: World) -> list[tuple[Instrument, Instrument]]:
    """Contracts that continue, each after the contract that it was."""
    return [
        (row.before, row)
        for row in split.chain("AAPL", EX).values()
        if row.before is not None and row.ends_at > at(EX, 17)
    ]


def test_prices_are_divided_from_the_ex_date_on_and_the_close_before_too(
    split: World, plain: World
) -> None:
    assert split.spot("AAPL", at(BEFORE)) == plain.spot("AAPL", at(BEFORE))
    assert split.spot("AAPL", at(EX)) == pytest.approx(plain.spot("AAPL", at(EX)) / 4, abs=0.02)
    stock = split.find(Query(symbol="AAPL", kind="STK"), EX)[0]
    divided = pytest.approx(plain.close_price("AAPL", BEFORE) / 4, abs=0.01)
    assert split.previous_close(stock, EX) == divided
    assert split.chain("MSFT", EX) == plain.chain("MSFT", EX)


def test_contracts_continue_with_divided_strikes_and_new_numbers(
    split: World, plain: World
) -> None:
    assert split.chain("AAPL", BEFORE) == plain.chain("AAPL", BEFORE)
    carried = pairs(split)
    assert {old.conid for old, _ in carried} <= plain.chain("AAPL", EX).keys()
    assert len(carried) == len(
        [r for r in plain.chain("AAPL", EX).values() if r.ends_at > at(EX, 17)]
    )
    for old, new in carried[::40]:
        assert new.strike == round(old.strike / 4, 2)
        assert split.find(Query(conid=new.conid), EX) == [new]
        assert split.find(Query(conid=old.conid), EX) == []
        assert split.find(Query(conid=new.conid), BEFORE) == []
        assert split.open_interest(new, at(EX)) == 4 * plain.open_interest(old, at(EX))
        there, here = plain.computation(old, at(EX)), split.computation(new, at(EX))
        assert here.price * 4 == pytest.approx(there.price, abs=0.1)
        assert here.delta == pytest.approx(there.delta, abs=0.01)
        close = split.previous_close(new, EX)
        assert close * 4 == pytest.approx(plain.previous_close(old, EX), abs=0.1)


def test_later_contracts_are_around_the_new_price_with_new_numbers(split: World) -> None:
    spot = split.spot("AAPL", at(LATER))
    chains = [split.chain("AAPL", day) for day in (BEFORE, EX, LATER)]
    strikes = [row.strike for row in chains[2].values()]
    assert min(strikes) < spot < max(strikes) < 2 * spot
    numbers = [conid for chain in chains for conid in chain]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 2**31


def test_an_impossible_split_is_refused() -> None:
    assert parse_split("aapl:2026-11-20:4") == Split("AAPL", EX, 4)
    for text in ("AAPL:4", "AAPL:2026-11-20:1", "AAPL:soon:4", "AAPL:2026-11-20:1.5"):
        with pytest.raises(UsageError):
            parse_split(text)
    with pytest.raises(UsageError, match="no such stock"):
        World(["MSFT"], splits=[Split("AAPL", EX, 4)])
