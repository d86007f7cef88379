"""Conditions on the self-test's answers, in terms of the service's reference.

A condition gets the content of the answer's envelope. It raises Unmet with a text about what was
seen instead, also for an answer of an unexpected shape.
"""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import Any

STOCK = "sz000001"
STOCKS = (STOCK, "sh600000", "sz000002")
PULL_KLINE, PULL_TRADE = "pull_kline", "pull_trade"
PREFIXED = re.compile(r"(sh|sz|bj)[0-9]{6}")
# what a check can need from an earlier one, and the reason to skip the check without it
NEEDS = {
    "day": "the calendar (check 25) gave no previous trading day",
    PULL_KLINE: "check 28 started no task",
    PULL_TRADE: "check 29 started no task",
}


class Unmet(Exception):
    """A check's condition does not hold; the text says what was seen."""


@dataclass
class Facts:
    """Facts that earlier checks learned.

    today: the service's own date.
    day: the trading day before `today`.
    oldest: the trading day five before `day`.
    rows: row counts of checks that passed, by check name.
    tasks: ids of started tasks, by kind.
    """

    today: date
    day: date | None = None
    oldest: date | None = None
    rows: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)

    def missing(self, needs: Sequence[str]) -> str | None:
        """The reason why a check with these needs cannot run; None if it can."""
        for need in needs:
            if (self.day if need == "day" else self.tasks.get(need)) is None:
                return NEEDS[need]
        return None

    @property
    def day_text(self) -> str:
        return f"{self.day:%Y%m%d}" if self.day else ""


@dataclass(frozen=True)
class Observation:
    """Result of a condition that holds; `evidence` is for people and for the record."""

    rows: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Condition = Callable[[Any, Facts], Observation]


def demand(holds: bool, seen: str) -> None:
    if not holds:
        raise Unmet(seen)


def member(value: Any, name: str, kind: type) -> Any:
    """Return `value[name]`, which must be of exactly this type. Raises Unmet."""
    demand(type(value) is dict, f"an object was expected, not {type(value).__name__}")
    demand(name in value, f"{name} is missing")
    content = value[name]
    demand(type(content) is kind, f"{name} is {content!r:.60}, not {kind.__name__}")
    return content


def require_rows(value: Any, name: str | None = None) -> list[Any]:
    """Return the list `name` of the answer, or the answer itself; null is no rows."""
    if name is not None:
        demand(type(value) is dict and name in value, f"{name} is missing")
        value = value[name]
    if value is None:
        return []
    demand(type(value) is list, f"{name or 'data'} is {type(value).__name__}, not a list")
    return list(value)


def counted(data: Any, count: str, name: str) -> list[Any]:
    """Return the list `name`; the field `count` must be its length. Raises Unmet."""
    rows, announced = require_rows(data, name), member(data, count, int)
    demand(announced == len(rows), f"{count} says {announced}, but {name} has {len(rows)} rows")
    return rows


def times(rows: Sequence[Any], name: str = "Time") -> list[datetime]:
    """Read the exchange's local time of rows, the first 19 characters. Raises Unmet."""
    stamps = []
    for row in rows:
        text = member(row, name, str)
        try:
            stamps.append(datetime.fromisoformat(text[:19]))
        except ValueError:
            raise Unmet(f"{name} {text!r} is no time") from None
    return stamps


def ascending(stamps: Sequence[datetime], *, strictly: bool) -> None:
    for a, b in pairwise(stamps):
        demand(a < b or (a == b and not strictly), f"not ascending: {b} follows {a}")


def span(stamps: Sequence[datetime]) -> dict[str, str]:
    return {"first": str(stamps[0]), "last": str(stamps[-1])} if stamps else {}


def says(wanted: str) -> Condition:
    def holds(data: Any, _: Facts) -> Observation:
        status = member(data, "status", str)
        demand(status == wanted, f"status is {status!r}")
        return Observation()

    return holds


def quotes_in_order(codes: Sequence[str]) -> Condition:
    def holds(data: Any, _: Facts) -> Observation:
        rows = require_rows(data)
        demand(len(rows) == len(codes), f"{len(rows)} quotes instead of {len(codes)}")
        last = {}
        for code, row in zip(codes, rows, strict=True):
            digits = member(row, "Code", str)
            demand(digits == code[2:], f"{digits} instead of {code}")
            last[code] = member(member(row, "K", dict), "Last", int)
            demand(last[code] > 0, f"K.Last of {code} is {last[code]}")
        return Observation(len(rows), {"last_li": last})

    return holds


def adjusted_days(data: Any, facts: Facts) -> Observation:
    stamps = times(require_rows(data, "List"))
    demand(bool(stamps), "no bar")
    ascending(stamps, strictly=True)
    if facts.oldest:
        newest = stamps[-1].date()
        demand(newest >= facts.oldest, f"the newest bar is of {newest}, before {facts.oldest}")
    return Observation(len(stamps), span(stamps))


def exactly(count: int) -> Condition:
    """Require a full page of bars or ticks."""

    def holds(data: Any, _: Facts) -> Observation:
        stamps = times(require_rows(data, "List"))
        demand(len(stamps) == count, f"{len(stamps)} rows instead of {count}")
        return Observation(count, span(stamps))

    return holds


def history(source: str, limit: int) -> Condition:
    """Require bars of a route that names their source; raw ones have a turnover."""

    def holds(data: Any, facts: Facts) -> Observation:
        rows = counted(data, "count", "list")
        demand(1 <= len(rows) <= limit, f"{len(rows)} bars instead of 1 to {limit}")
        named = member(member(data, "meta", dict), "source", str)
        demand(named == source, f"meta.source is {named!r}")
        stamps = times(rows)
        for row, stamp in zip(rows, stamps, strict=True):
            # today's bar has no turnover before the first trade
            if source == "tdx" and stamp.date() < facts.today:
                amount = member(row, "Amount", int)
                demand(amount > 0, f"Amount of {stamp.date()} is {amount}")
        return Observation(len(rows), span(stamps))

    return holds


def index_days(data: Any, facts: Facts) -> Observation:
    rows = require_rows(data, "List")
    demand(len(rows) == 10, f"{len(rows)} bars instead of 10")
    stamps = times(rows)
    full = [row for row, at in zip(rows, stamps, strict=True) if at.date() < facts.today]
    demand(bool(full), f"no bar of a day before {facts.today}")
    members = member(full[-1], "UpCount", int) + member(full[-1], "DownCount", int)
    demand(members > 0, "UpCount + DownCount of the last full day is 0")
    return Observation(10, span(stamps) | {"members": members})


def index_months(data: Any, _: Facts) -> Observation:
    rows = counted(data, "count", "list")
    demand(len(rows) == 12, f"{len(rows)} bars instead of 12")
    return Observation(12, span(times(rows)))


def whole_day_of_minutes(data: Any, _: Facts) -> Observation:
    rows = counted(data, "Count", "List")
    demand(len(rows) == 240, f"{len(rows)} minutes instead of 240")
    last = member(rows[-1], "Time", str)
    demand(last == "15:00", f"the last label is {last}")
    return Observation(240, {"last": last})


def ticks(data: Any, _: Facts) -> Observation:
    stamps = times(require_rows(data, "List"))
    demand(bool(stamps), "no tick")
    ascending(stamps, strictly=False)
    return Observation(len(stamps), span(stamps))


def whole_day_of_ticks(data: Any, facts: Facts) -> Observation:
    stamps = times(require_rows(data, "List"))
    # if the check of the page failed, require at least the 200 rows that it asks for
    page = facts.rows.get("trade_history", 200)
    demand(len(stamps) >= page, f"{len(stamps)} ticks, fewer than the {page} of one page")
    return Observation(len(stamps), span(stamps))


def ticks_of_the_range(data: Any, facts: Facts) -> Observation:
    rows = counted(data, "count", "list")
    demand(len(rows) <= 500, f"{len(rows)} ticks where 500 were the limit")
    covered = require_rows(data, "covered_dates")
    demand(covered == [facts.day_text], f"covered_dates is {covered}, not [{facts.day_text}]")
    return Observation(len(rows), span(times(rows, "time")))


def search_hit(data: Any, _: Facts) -> Observation:
    codes = [member(row, "code", str) for row in require_rows(data)]
    demand(STOCK[2:] in codes, f"{STOCK[2:]} is not among {codes}")
    return Observation(len(codes))


def three_parts(data: Any, _: Facts) -> Observation:
    demand(type(data) is dict, "data is no object")
    missing = [name for name in ("quote", "kline_day", "minute") if name not in data]
    # the service leaves out a part whose source failed; the answer is useless without two parts
    demand(len(missing) < 2, f"missing: {', '.join(missing)}")
    return Observation(len(data), {}, tuple(f"{name} is missing" for name in missing))


def listed_codes(data: Any, _: Facts) -> Observation:
    rows = counted(data, "total", "codes")
    demand(bool(rows), "the list is empty")
    return Observation(len(rows))


def ten_codes(data: Any, _: Facts) -> Observation:
    rows = counted(data, "count", "list")
    demand(len(rows) == 10, f"{len(rows)} codes instead of 10")
    bare = [row for row in rows if not (type(row) is str and PREFIXED.fullmatch(row))]
    demand(not bare, f"without a prefix: {bare}")
    return Observation(10, {"first": rows[0]})


def five_funds_of_sh(data: Any, _: Facts) -> Observation:
    rows = counted(data, "total", "list")
    demand(len(rows) == 5, f"{len(rows)} funds instead of 5")
    others = [row for row in rows if member(row, "exchange", str) != "sh"]
    demand(not others, f"of another exchange: {others}")
    return Observation(5)


def stats_of_two_exchanges(data: Any, _: Facts) -> Observation:
    totals = {name: member(member(data, name, dict), "total", int) for name in ("sh", "sz")}
    for name, total in totals.items():
        demand(total > 0, f"{name}.total is {total}")
    return Observation(evidence=totals)


def counts_of_three_exchanges(data: Any, _: Facts) -> Observation:
    rows = require_rows(data, "exchanges")
    counts = {member(row, "exchange", str): member(row, "count", int) for row in rows}
    demand(len(rows) == 3 and set(counts) == {"sh", "sz", "bj"}, f"exchanges: {', '.join(counts)}")
    total = member(data, "total", int)
    demand(total == sum(counts.values()), f"total is {total}, the sum {sum(counts.values())}")
    return Observation(3, counts)


def calendar_day(value: Any) -> date:
    """Read a day in the calendar's notation. Raises Unmet."""
    text = member(value, "iso", str)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unmet(f"{text!r} is no day") from None


def calendar_days(data: Any, name: str) -> list[date]:
    """Read the days of a list in the calendar's answer. Raises Unmet."""
    return [calendar_day(row) for row in require_rows(data, name)]


def three_days_before(data: Any, _: Facts) -> Observation:
    days = calendar_days(data, "previous")
    demand(len(days) == 3, f"{len(days)} previous days instead of 3")
    return Observation(3, {"previous": [str(day) for day in days]})


def ten_days_of_a_month(data: Any, _: Facts) -> Observation:
    days = calendar_days(data, "list")
    demand(len(days) >= 10, f"{len(days)} trading days in 30 days")
    return Observation(len(days), {"first": str(days[0]), "last": str(days[-1])})


def returns(data: Any, _: Facts) -> Observation:
    rows = counted(data, "count", "list")
    demand(bool(rows), "no offset lies within the data")
    return Observation(len(rows), {"offsets": [member(row, "offset", int) for row in rows]})


def new_task(data: Any, _: Facts) -> Observation:
    text = member(data, "task_id", str)
    try:
        uuid.UUID(text)
    except ValueError:
        raise Unmet(f"task_id {text!r} is no UUID") from None
    return Observation(evidence={"task_id": text})


def both_tasks(data: Any, facts: Facts) -> Observation:
    listed = {member(row, "id", str) for row in require_rows(data)}
    missing = [f"{name} {id_}" for name, id_ in facts.tasks.items() if id_ not in listed]
    demand(not missing, f"not in the list: {', '.join(missing)}")
    return Observation(len(listed))


def the_task(data: Any, facts: Facts) -> Observation:
    answered_id = member(data, "id", str)
    demand(answered_id == facts.tasks[PULL_TRADE], f"the task answers with the id {answered_id}")
    return Observation(evidence={"status": member(data, "status", str)})
