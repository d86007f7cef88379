"""Dataset `trading_day`.

The exchanges' trading days, as far as their announced holidays reach.

A day is final once a calendar has it after it is over. Until then a holiday that is announced late
may take it back; from then on its loss is a failure.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.tq import landed
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import TRADING_DAY
from quotemill.errors import UpstreamError
from quotemill.wording import say_count

KEY = "CN"
BEFORE = timedelta(days=31)  # of the window: the day before its first must be known
AHEAD = timedelta(days=31)  # the longest holiday is over by then


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    return ctx.load_each([KEY], lambda key: _load_calendar(ctx, key))


def _load_calendar(ctx: Context, key: str) -> Outcome:
    before = ctx.ask(landed.held_days)
    first = min([ctx.first_day - BEFORE, *before[:1]])
    days = ctx.harvest.calendar(first, ctx.today + AHEAD)
    past = [day for day in days if day <= ctx.today]
    if not past:
        raise UpstreamError(
            f"the trading calendar is empty from {first} to {ctx.today}",
            hint="Set tq.start to a later day, in case its list of holidays starts later.",
        )
    if lost := sorted({day for day in before if day <= ctx.today} - set(days)):
        raise UpstreamError(
            f"the trading calendar has lost {say_count(len(lost), 'day')} (first: "
            f"{lost[0]}): the stored calendar is kept"
        )
    lineage = {"source_route": "holidays"} | ctx.lineage
    rows = [{"trade_date": day} | lineage | {"is_final": day < ctx.today} for day in days]
    # a list of holidays that was not renewed ends with its year; else future days are among them
    is_outdated = days[-1] < ctx.today
    why = (
        f"the trading calendar ends on {days[-1]}, so later days are not loaded: its list "
        "of holidays was not renewed"
    )
    return Outcome(key, rows, cursor=past[-1], failure=why if is_outdated else None)


DATASET = Dataset("trading_day", TRADING_DAY, "holidays", fetch, keys=Keys(only=KEY))
