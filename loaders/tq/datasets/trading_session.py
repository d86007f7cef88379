"""Dataset `trading_session`: the hours of each variety, with the day from which they are known to hold.

The source tells today's hours only. The first that are seen are dated the window's first day; others
land when they differ from the newest that are stored, dated the day on which they were seen.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome, records
from loaders.errors import UpstreamError
from loaders.tq import stored
from loaders.tq.context import Context, Dataset
from loaders.tq.schemas import TRADING_SESSION
from loaders.tq.trading_day import Session, trading_day_of


def fetch(run: Context, varieties: Sequence[str]) -> Iterator[Outcome]:
    return run.each(varieties, partial(_hours, run))


def _hours(run: Context, variety: str) -> Outcome:
    found = [Session(*row) for row in run.asked(variety).sessions[variety]]
    if not any(session.session == "day" for session in found):
        raise UpstreamError(f"the source tells no trading hours of {variety}")
    versions = run.ask(lambda conn: stored.sessions(conn, variety))
    if versions and set(versions[max(versions)]) == set(found):
        return Outcome(variety, skipped=NOT_DUE)
    since = run.first if not versions else trading_day_of(run.began, run.days) or run.today
    lineage = {"source_route": "instruments"} | run.lineage
    rows = [
        {"variety": variety, "valid_from": since} | vars(session) | lineage for session in found
    ]
    return Outcome(variety, rows, cursor=since)


DATASET = Dataset("trading_session", TRADING_SESSION, "instruments", fetch, records)
