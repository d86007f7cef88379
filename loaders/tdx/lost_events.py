"""Stored events of companies that a newer gbbq, CSV file or answer of a quote server lacks.

Vendors correct what they sent: in four of six weekly versions of gbbq one record is taken back, or
moved by a day. A moved or corrected event is not lost. A lost one goes if it changes no price. One
that does, by bars before and since its day, stays until a witness, which is another version of the
file or the answer of another day, lacks it too. Its key fails once; after that a finding is open.
All else of the answer lands meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import orjson
import psycopg

from loaders.landing.rejects import Rejected
from loaders.tdx.actions import ADJUSTMENT, SPLIT
from loaders.tdx.losses import refuse_loss
from quotemill.wording import say_count

if TYPE_CHECKING:
    from loaders.engine.load import Load

# an ex-date moves by days; the same dividend comes again after a quarter at the earliest
NEAR = timedelta(days=31)
FIELD = "version"


class Event(NamedTuple):
    """A record of a source; of equal ones each counts."""

    code: str
    day: date
    category: int
    values: tuple[object, ...]

    @property
    def place(self) -> tuple[str, date, int]:
        return self[:3]

    def __str__(self) -> str:
        return f"{self.code}'s of {self.day}"


class Doubts(NamedTuple):
    """Lost events that stay for now.

    rejected: one for each, from which findings are made
    failure: of the load that sees them first
    """

    staying: list[Event]
    rejected: list[Rejected]
    failure: str | None = None


def find_lost(stored: Iterable[Event], present: Iterable[Event]) -> list[Event]:
    """The stored events that are absent: not corrected on their day, nor moved to a near one."""
    before, after = Counter(stored), Counter(present)
    new = list((after - before).elements())
    places = Counter(event.place for event in new)
    days = defaultdict[tuple[object, ...], list[date]](list)
    for event in new:
        days[event.code, event.category, event.values].append(event.day)
    lost = []
    for event in sorted((before - after).elements(), key=lambda it: it.place):
        moved_to = days[event.code, event.category, event.values]
        near = [day for day in moved_to if abs(day - event.day) <= NEAR]
        if places[event.place]:
            places[event.place] -= 1
        elif near:
            moved_to.remove(near[0])
        else:
            lost.append(event)
    return lost


def list_priced(conn: psycopg.Connection, lost: Iterable[Event]) -> list[Event]:
    """The lost events that change prices: those with bars before and since their day."""
    priced = [event for event in lost if event.category in (ADJUSTMENT, SPLIT)]
    query = (
        "select code, min(trade_date), max(trade_date) from raw_tdx.kline_daily"
        " where code = any(%s) group by code"
    )
    rows = conn.execute(query, ([event.code for event in priced],)).fetchall() if priced else []
    bars = {code: (first, last) for code, first, last in rows}
    return [e for e in priced if e.code in bars and bars[e.code][0] < e.day <= bars[e.code][1]]


def doubt(
    load: "Load",
    dataset: str,
    source: str,
    priced: Sequence[Event],
    open_rows: Iterable[Rejected],
    versions: tuple[str, str],
) -> Doubts:
    """Judge the lost events that change prices; none stays if the request accepts the loss.

    open_rows: open refused rows of the dataset, doubts of earlier versions among them
    versions: the stored version and the new one
    """
    stored, new = versions
    known = {row.row_key: row for row in open_rows if row.field == FIELD}
    keys = {event: f"{source} lost {event.code} {event.day} {event.category}" for event in priced}
    # a doubt of another version has a witness now
    staying = [event for event, key in keys.items() if key not in known or known[key].value == new]
    if not staying:
        return Doubts([], [])
    lacks = say_count(
        len(staying),
        "event that changes prices and is in that of",
        "events that change prices and are in that of",
    )
    loss = f"{source} of {new} lacks {lacks} {stored}, such as {staying[0]}"
    failure = refuse_loss(load, dataset, loss, "; it is taken once another version lacks the same")
    if failure is None:
        return Doubts([], [])
    rule = f"must have this event, as that of {stored} has; it stays until another version lacks it"
    rejected = [
        known.get(keys[event])
        or Rejected(keys[event], FIELD, rule, new, orjson.dumps({"lost": str(event)}).decode())
        for event in staying
    ]
    is_new = any(keys[event] not in known for event in staying)
    return Doubts(staying, rejected, failure if is_new else None)
