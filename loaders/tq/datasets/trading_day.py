"""Dataset `trading_day`: the exchanges' trading days, as far as their announced holidays reach.

A day is final once a calendar has it after it is over. Until then a holiday that is announced late may
take it back; from then on its loss is a failure.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from loaders.engine.outcome import Outcome, records
from loaders.errors import UpstreamError
from loaders.tq import stored
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import TRADING_DAY

KEY = "CN"
BEFORE = timedelta(days=31)  # of the window: the day before its first must be known
AHEAD = timedelta(days=31)  # the longest holiday is over by then


def fetch(run: Context, _: Sequence[str]) -> Iterator[Outcome]:
    return run.each([KEY], lambda key: _days(run, key))


def _days(run: Context, key: str) -> Outcome:
    before = run.ask(stored.days_held)
    first = min([run.first - BEFORE, *before[:1]])
    days = run.harvest.calendar(first, run.today + AHEAD)
    past = [day for day in days if day <= run.today]
    if not past:
        raise UpstreamError(
            f"the trading calendar is empty from {first} to {run.today}",
            hint="its list of holidays may begin later: tq.start says from when on",
        )
    if lost := sorted({day for day in before if day <= run.today} - set(days)):
        raise UpstreamError(
            f"the trading calendar lost {len(lost)} days it had, the first {lost[0]}: "
            "what is stored is kept"
        )
    lineage = run.lineage
    rows = [
        {"trade_date": day, "source_route": "holidays"} | lineage | {"is_final": day < run.today}
        for day in days
    ]
    # a list of holidays that was not renewed ends with its year; else days to come are among them
    ends = days[-1] < run.today
    why = (
        f"the trading calendar ends {days[-1]}, so no later day is loaded: "
        "its list of holidays was not renewed"
    )
    return Outcome(key, rows, cursor=past[-1], failure=why if ends else None)


DATASET = Dataset("trading_day", TRADING_DAY, "holidays", fetch, records, only_key=KEY)
