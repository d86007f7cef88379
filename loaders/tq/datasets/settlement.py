"""Dataset `settlement`: settlement prices of every contract that was ever a main one.

Asked for are days with a final bar and without a row. The source has a day's price from 19:00 on,
and those of 2020 and later. A day that is long over, and of which the source then has the price of
another contract alone, gets a row without one, so that no load asks for it again.

The prices come from a host of their own. One that gives none costs no other data and fails no load:
the contracts are skipped with the reason, and days that stay without a row are a finding.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tq import landed
from loaders.tq.context import Context, Dataset, describe
from loaders.tq.errors import TqSettlementsAway
from loaders.tq.tables import SETTLEMENT

FIRST_DAY = date(2020, 1, 2)  # the first of which the source has prices
PATIENCE = timedelta(days=10)  # for a price that is late
MOST_DAYS = 250  # in one question: the client puts row after row into its frame


def list_keys(ctx: Context, varieties: Sequence[str]) -> tuple[str, ...]:
    """Contracts with a day that lacks its settlement price."""
    return tuple(_days_due(ctx, varieties))


def fetch(ctx: Context, contracts: Sequence[str]) -> Iterator[Outcome]:
    varieties = sorted({landed.variety_of(contract) for contract in contracts})
    return ctx.load_each(contracts, partial(_load_prices, ctx, _days_due(ctx, varieties)))


def _days_due(ctx: Context, varieties: Sequence[str]) -> dict[str, list[date]]:
    first = max(ctx.first_day, FIRST_DAY)
    return ctx.ask(lambda conn: landed.days_to_settle(conn, varieties, first))


def _load_prices(ctx: Context, due: dict[str, list[date]], contract: str) -> Outcome:
    days = due.get(contract, [])
    prices = dict[date, Decimal]()
    try:
        for first, last, count in _ranges(days, ctx.days):
            prices |= ctx.harvest.settlements(contract, first, last, days=count)
        late = [day for day in days if day not in prices and day < ctx.today - PATIENCE]
        given_up = _days_of_others(ctx, contract, late) if late else set()
    except TqSettlementsAway as error:
        return Outcome(contract, skipped=describe(error))
    lineage = {"source_route": "settlement"} | ctx.lineage
    rows = [
        {"contract": contract, "trade_date": day, "settlement": prices.get(day), **lineage}
        for day in days
        if day in prices or day in given_up
    ]
    if not rows:
        return Outcome(contract, skipped=NOT_DUE)  # not published yet
    return Outcome(contract, rows)


def _days_of_others(ctx: Context, contract: str, days: Sequence[date]) -> set[date]:
    """Days of which the source has the price of another contract of the variety.

    It is asked now, of contracts with a stored price: the answer before may have been cut off.
    """
    witnesses = ctx.ask(lambda conn: landed.settled_contracts(conn, contract, days))
    return {
        day
        for other, own_days in witnesses.items()
        for first, last, count in _ranges(own_days, ctx.days)
        for day in ctx.harvest.settlements(other, first, last, days=count)
        if day in own_days
    }


def _ranges(days: Sequence[date], calendar: Sequence[date]) -> list[tuple[date, date, int]]:
    """(first, last, number of trading days) of questions that cover the days."""
    within = [day for day in calendar if days and day >= FIRST_DAY and days[0] <= day <= days[-1]]
    parts = (within[n : n + MOST_DAYS] for n in range(0, len(within), MOST_DAYS))
    asked = set(days)
    return [(part[0], part[-1], len(part)) for part in parts if asked.intersection(part)]


DATASET = Dataset("settlement", SETTLEMENT, "settlement", fetch)
