"""Dataset `session`: the sessions of NYSE, from the first that was loaded to some days ahead."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from loaders.engine.outcome import Outcome
from loaders.ib.context import Context, Dataset
from loaders.ib.planning.timetable import oldest_set
from loaders.ib.slots import calendar_version, sessions_between
from loaders.ib.tables import SESSION

KEY = "NYSE"
AHEAD = timedelta(days=10)


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    today = ctx.timetable.today
    known = ctx.ask(lambda c: c.execute("select min(trade_date) from raw_ib.session").fetchone())
    first = min(filter(None, [oldest_set(today), known and known[0]]))
    rows = [
        {
            "trade_date": session.trade_date,
            "open_at": session.open_at,
            "close_at": session.close_at,
            "slots": len(session.slots),
            "is_early_close": session.is_early_close,
            "source_route": calendar_version(),
        }
        | ctx.lineage
        for session in sessions_between(first, today + AHEAD)
    ]
    yield Outcome(KEY, rows, cursor=today)


DATASET = Dataset("session", SESSION, "calendar", fetch, only_key=KEY)
