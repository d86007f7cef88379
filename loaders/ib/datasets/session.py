"""Dataset `session`: the sessions of NYSE, from the first that was loaded to some days ahead.

A session is final once its day has come; until then a closure that is announced may take it back.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.context import Context, Dataset
from loaders.ib.queries import landed
from loaders.ib.slots import Session, calendar_version, oldest_set, sessions_between
from loaders.ib.tables import SESSION

KEY = "NYSE"
AHEAD = timedelta(days=10)


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    today, is_set = ctx.timetable.today, ctx.settings.slot_before_close_enabled
    known = ctx.ask(landed.read_added_slots)
    first = min([oldest_set(today), *known])

    def added_slot(session: Session) -> datetime | None:
        if session.trade_date < today:  # the setting of its own day stays
            return known.get(session.trade_date)
        return session.slot_before_close.at if is_set else None

    rows = [
        {
            "trade_date": session.trade_date,
            "open_at": session.open_at,
            "close_at": session.close_at,
            "slots": len(session.slots),
            "is_early_close": session.is_early_close,
            "slot_before_close_at": added_slot(session),
            "source_route": calendar_version(),
        }
        | ctx.lineage
        | {"is_final": session.trade_date <= today}
        for session in sessions_between(first, today + AHEAD)
    ]
    yield Outcome(KEY, rows, cursor=today)


DATASET = Dataset("session", SESSION, "calendar", fetch, keys=Keys(only=KEY))
