"""Dataset `trading_session`.

The hours of each variety, with the day from which they are known to hold.

The source gives today's hours only. The first ones seen are dated the window's first day; others
land when they differ from the newest stored ones, dated the day on which they were seen.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tq import landed
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import TRADING_SESSION
from loaders.tq.trading_day import Session, trading_day_of
from quotemill.errors import UpstreamError


def fetch(ctx: Context, varieties: Sequence[str]) -> Iterator[Outcome]:
    return ctx.load_each(varieties, partial(_load_hours, ctx))


def _load_hours(ctx: Context, variety: str) -> Outcome:
    today = [Session(*row) for row in ctx.fetch_instruments(variety).sessions[variety]]
    if not any(session.session == "day" for session in today):
        raise UpstreamError(f"the source has no trading hours of {variety}")
    versions = ctx.ask(lambda conn: landed.sessions(conn, variety))
    hours: dict[date, Sequence[Session]] = {}
    if not versions:
        hours[ctx.first_day] = today
    elif set(versions[max(versions)]) != set(today):
        hours[trading_day_of(ctx.as_of, ctx.days) or ctx.today] = today
    if versions and ctx.first_day < min(versions):  # the window starts earlier now
        hours[ctx.first_day] = versions[min(versions)]
    if not hours:
        return Outcome(variety, skipped=NOT_DUE)
    lineage = {"source_route": "instruments"} | ctx.lineage
    rows = [
        {"variety": variety, "valid_from": since} | vars(session) | lineage
        for since, sessions in hours.items()
        for session in sessions
    ]
    return Outcome(variety, rows, cursor=max(hours))


DATASET = Dataset("trading_session", TRADING_SESSION, "instruments", fetch)
