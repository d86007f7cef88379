"""Which settlement prices are asked for, and which count as never to be had."""

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from loaders.tq.datasets.settlement import _load_prices

CONTRACT = "SHFE.cu2511"
DAYS = [date(2025, 10, day) for day in (20, 21, 22, 23, 24)]


def load(due: list[date], prices: dict[date, Decimal], today: date) -> Any:
    def settlements(_: str, first: date, last: date, *, days: int) -> dict[date, Decimal]:
        assert days == sum(first <= day <= last for day in DAYS)
        return {day: price for day, price in prices.items() if first <= day <= last}

    ctx: Any = SimpleNamespace(
        harvest=SimpleNamespace(settlements=settlements), days=DAYS, today=today, lineage={}
    )
    outcome = _load_prices(ctx, {CONTRACT: due}, CONTRACT)
    return [(row["trade_date"], row["settlement"]) for row in outcome.rows or ()]


def test_one_day_without_a_price_is_given_up_once_its_neighbours_have_theirs() -> None:
    """It was awaited when the other days landed, so it is asked for alone."""
    prices = {day: Decimal(80_000) for day in DAYS if day != DAYS[2]}
    assert load([DAYS[2]], prices, today=date(2025, 10, 27)) == []
    assert load([DAYS[2]], prices, today=date(2025, 11, 10)) == [(DAYS[2], None)]
    # no evidence: an answer without any price, and one that ends before the day
    short = {day: prices[day] for day in DAYS[:2]}
    assert load([DAYS[2]], short, today=date(2025, 11, 10)) == []
    assert load([DAYS[2]], {}, today=date(2025, 11, 10)) == []
    assert load([DAYS[0], DAYS[4]], prices, today=date(2025, 11, 10)) == [
        (DAYS[0], Decimal(80_000)),
        (DAYS[4], Decimal(80_000)),
    ]
