"""Simulated markets: the same arguments give the same figures; impossible ones are refused.

What they hold is proved by what loads and models make of it.
"""

from collections.abc import Callable
from datetime import date, datetime

import pytest

from loaders.sandbox.ib.hours import ET
from loaders.sandbox.ib.splits import Split, parse_split
from loaders.sandbox.ib.world import World as IbWorld
from loaders.sandbox.tq.world import World as TqWorld
from loaders.sandbox.world.market import SyntheticMarket
from quotemill.errors import UsageError


def test_the_same_seed_makes_the_same_stocks() -> None:
    day = SyntheticMarket(codes=12, days=60).days[30]
    worlds = [SyntheticMarket(codes=12, days=60, seed=seed) for seed in (5, 5, 6)]
    bars, again, other = (
        [column.tobytes() for s in w.securities for column in w.day_bars(s.code).columns()]
        for w in worlds
    )
    assert bars == again
    assert bars != other
    assert worlds[0].ticks("sz000001", day) == worlds[1].ticks("sz000001", day)


def test_the_same_arguments_make_the_same_futures() -> None:
    day = date(2025, 9, 16)
    first, again, other = (
        TqWorld(["SHFE.cu"], end=date(2025, 9, 30), holidays=(), seed=seed) for seed in (1, 1, 2)
    )
    code = str(first.main_on("SHFE.cu", day))
    assert first.day_ticks(code, day) == again.day_ticks(code, day)
    assert first.day_ticks(code, day) != other.day_ticks(code, day)


def test_the_order_of_questions_changes_no_quote() -> None:
    day, ten = date(2026, 11, 19), datetime(2026, 11, 19, 10, tzinfo=ET)
    world, other = IbWorld(["AAPL", "MSFT"]), IbWorld(["MSFT", "AAPL"])
    other.spot("MSFT", ten)
    first = [world.quote(row, ten) for row in world.chain("AAPL", day).values()]
    again = [other.quote(row, ten) for row in reversed([*other.chain("AAPL", day).values()])]
    assert again == list(reversed(first))
    assert IbWorld(["AAPL"], seed=8).spot("AAPL", ten) != world.spot("AAPL", ten)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SyntheticMarket(codes=1, days=9000), "trading days"),
        (lambda: TqWorld(["SHFE.zz"], holidays=()), r"SHFE\.zz"),
        (lambda: TqWorld(first=date(2025, 9, 1), end=date(2025, 8, 1)), "cannot end"),
        (lambda: IbWorld(["aapl"]), "not a symbol"),
        (lambda: IbWorld(["MSFT"], splits=[Split("AAPL", date(2026, 11, 20), 4)]), "no such stock"),
        (lambda: parse_split("AAPL:2026-11-20:1.5"), "AAPL:2026-11-20:1.5"),
    ],
)
def test_an_impossible_market_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()
