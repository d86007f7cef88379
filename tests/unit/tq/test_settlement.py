"""Which settlement prices are asked for, and which count as never to be had."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from loaders.tq.datasets.settlement import _load_prices

CONTRACT, OTHER = "SHFE.cu2511", "SHFE.cu2512"
DAYS = [date(2025, 10, day) for day in (20, 21, 22, 23, 24)]
PRICE = Decimal(80_000)


def load(
    due: list[date],
    given: Collection[date],
    today: date,
    *,
    stored: Collection[date] = DAYS,
    other: Collection[date] = DAYS,
) -> Any:
    """Rows by day, where the other contract has stored prices and the source has these of both."""
    served = {CONTRACT: given, OTHER: other}

    def settlements(name: str, first: date, last: date, *, days: int) -> dict[date, Decimal]:
        assert days == sum(first <= day <= last for day in DAYS)
        return {day: PRICE for day in served[name] if first <= day <= last}

    ctx: Any = SimpleNamespace(
        harvest=SimpleNamespace(settlements=settlements),
        ask=lambda _: {OTHER: sorted(stored)} if stored else {},
        days=DAYS,
        today=today,
        lineage={},
    )
    outcome = _load_prices(ctx, {CONTRACT: due}, CONTRACT)
    return [(row["trade_date"], row["settlement"]) for row in outcome.rows or ()]


def test_a_day_without_a_price_is_given_up_once_another_contract_has_one() -> None:
    """The first and the last day of a contract too, which no other day of it lies beyond."""
    soon, later = date(2025, 10, 27), date(2025, 11, 10)
    for missing in (DAYS[2:3], DAYS[:1], DAYS[4:], DAYS):
        given = [day for day in DAYS if day not in missing]
        assert load(missing, given, today=soon) == []
        assert load(missing, given, today=later) == [(day, None) for day in missing]
    assert load([DAYS[0], DAYS[4]], DAYS[:1], today=later) == [(DAYS[0], PRICE), (DAYS[4], None)]


def test_a_day_of_which_the_source_shows_no_price_at_all_is_asked_for_again() -> None:
    later = date(2025, 11, 10)
    assert load(DAYS, [], today=later, other=[]) == []
    assert load(DAYS, [], today=later, stored=[]) == []
    # an answer that was cut off
    assert load(DAYS, [], today=later, other=DAYS[:2]) == [(day, None) for day in DAYS[:2]]
