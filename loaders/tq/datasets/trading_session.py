"""Dataset `trading_session`: the hours of each variety, with the day from which they are known to hold.

The source tells today's hours only. The first that are seen are dated the window's first day; others
land when they differ from the newest that are stored, dated the day on which they were seen.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome, records
from loaders.errors import UpstreamError
from loaders.tq import stored
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import TRADING_SESSION
from loaders.tq.trading_day import Session, trading_day_of


def fetch(run: Context, varieties: Sequence[str]) -> Iterator[Outcome]:
    return run.each(varieties, partial(_hours, run))


def _hours(run: Context, variety: str) -> Outcome:
    found = [Session(*row) for row in run.asked(variety).sessions[variety]]
    if not any(session.session == "day" for session in found):
        raise UpstreamError(f"the source tells no trading hours of {variety}")
    versions = run.ask(lambda conn: stored.sessions(conn, variety))
    hours: dict[date, Sequence[Session]] = {}
    if not versions:
        hours[run.first] = found
    elif set(versions[max(versions)]) != set(found):
        hours[trading_day_of(run.began, run.days) or run.today] = found
    if versions and run.first < min(versions):  # the window begins earlier now
        hours[run.first] = versions[min(versions)]
    if not hours:
        return Outcome(variety, skipped=NOT_DUE)
    lineage = {"source_route": "instruments"} | run.lineage
    rows = [
        {"variety": variety, "valid_from": since} | vars(session) | lineage
        for since, sessions in hours.items()
        for session in sessions
    ]
    return Outcome(variety, rows, cursor=max(hours))


DATASET = Dataset("trading_session", TRADING_SESSION, "instruments", fetch, records)
