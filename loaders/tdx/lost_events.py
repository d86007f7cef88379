"""Stored events of companies that a newer gbbq, CSV file or answer of a quote server lacks.

Vendors correct what they sent: in four of six weekly versions of gbbq one record is taken back, or
moved by a day. A moved or corrected event is not lost. A lost one goes if it changes no price. One
that changes prices (its code has bars before its day and from that day on) stays until a witness
lacks it too: another version of the file, or the answer of another day. Its key fails once; after
that a finding is open. All else of the answer lands meanwhile.
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
from quotemill.errors import name_acceptance
from quotemill.foreign import read_records
from quotemill.warehouse.dbt_project import find_project

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
        return f"{self.code} on {self.day}"


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
    """The lost events that change prices: those with bars before and since their day.

    Bars under an old code count, as the events of both stand under the new one.
    """
    priced = [event for event in lost if event.category in (ADJUSTMENT, SPLIT)]
    if not priced:
        return []
    old_codes = _read_old_codes()
    query = (
        "select code, min(trade_date), max(trade_date) from raw_tdx.kline_daily"
        " where code = any(%s) group by code"
    )
    codes = {event.code: {event.code, *old_codes[event.code]} for event in priced}
    rows = conn.execute(query, (sorted(set().union(*codes.values())),)).fetchall()
    days = {code: its_days for code, *its_days in rows}
    bars = {
        code: [day for name in names if name in days for day in days[name]]
        for code, names in codes.items()
    }
    return [e for e in priced if bars[e.code] and min(bars[e.code]) < e.day <= max(bars[e.code])]


def leave_doubted(source: str, lost: Iterable[Event], open_rows: Iterable[Rejected]) -> list[Event]:
    """The lost events without an open doubt: only they are a new loss."""
    known = {row.row_key for row in open_rows if row.field == FIELD}
    return [event for event in lost if name_doubt(source, event) not in known]


def name_doubt(source: str, event: Event) -> str:
    """The key of the refused row of a doubt."""
    return f"{source} lost {event.code} {event.day} {event.category}"


def _read_old_codes() -> defaultdict[str, list[str]]:
    """Old codes by their new one, as seeds/code_changes_known.csv lists them."""
    old_codes = defaultdict[str, list[str]](list)
    file = find_project().root / "seeds" / "code_changes_known.csv"
    for _, row in read_records(file, ("old_code", "new_code")):
        old_codes[row["new_code"]].append(row["old_code"])
    return old_codes


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
    if not priced:
        return Doubts([], [])
    stored, new = versions
    known = {row.row_key: row for row in open_rows if row.field == FIELD}
    keys = {event: name_doubt(source, event) for event in priced}
    # a doubt of another version has a witness now
    staying = [event for event, key in keys.items() if key not in known or known[key].value == new]
    if not staying:
        return Doubts([], [])
    loss = (
        f"{source} of {new} is missing {len(staying):,} price-changing events of the "
        f"version of {stored}, such as {staying[0]}"
    )
    failure = refuse_loss(
        load, dataset, loss, ". It is accepted if another version is missing the same"
    )
    if failure is None:
        return Doubts([], [])
    rule = (
        f"must have this event, like the version of {stored}: it is kept until another "
        f"version is missing it ({name_acceptance('tdx', dataset)})"
    )
    rejected = [
        known.get(keys[event])
        or Rejected(keys[event], FIELD, rule, new, orjson.dumps({"lost": str(event)}).decode())
        for event in staying
    ]
    is_new = any(keys[event] not in known for event in staying)
    return Doubts(staying, rejected, failure if is_new else None)
