"""Conditions on the self-test's answers, in terms of the service's reference."""

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import Any, NamedTuple

CALENDAR = "workday"
PULL_KLINE, PULL_TRADE = "task_pull_kline", "task_pull_trade"
PREFIXED = re.compile(r"(sh|sz|bj)[0-9]{6}")
# what a check can need from an earlier one, and the reason to skip the check without it
NEEDS = {
    "day": "the calendar (check 25) has no previous trading day",
    PULL_KLINE: "check 28 started no task",
    PULL_TRADE: "check 29 started no task",
}


@dataclass
class Facts:
    """Facts that earlier checks learned.

    today: the service's own date.
    day: the trading day before `today`.
    oldest: the trading day five before `day`.
    tasks: id of each started task by its check; empty if the start got no answer.
    """

    today: date
    day: date | None = None
    oldest: date | None = None
    tasks: dict[str, str] = field(default_factory=dict)

    @property
    def day_text(self) -> str:
        return f"{self.day:%Y%m%d}" if self.day else ""

    def missing(self, needs: Iterable[str]) -> str | None:
        """The reason why a check with these needs cannot run; None if it can."""
        for need in needs:
            if not (self.day if need == "day" else self.tasks.get(need)):
                return NEEDS[need]
        return None

    def learn(self, name: str, data: Any) -> None:
        """Store the facts in the answer to a check; an answer of another shape has none."""
        if name == CALENDAR:
            self.today = date.fromisoformat(data["date"]["iso"])
            before = days(data["previous"])
            self.day, self.oldest = before[0], before[-1]
        elif name in (PULL_KLINE, PULL_TRADE) and isinstance(data["task_id"], str):
            self.tasks[name] = data["task_id"]


class Seen(NamedTuple):
    """An answer: the rows of its list, the content of its envelope, and the facts so far."""

    rows: list[Any]
    data: Any
    facts: Facts


def times(rows: Sequence[Any], name: str = "Time") -> list[datetime]:
    """The exchange's local time of rows, their first 19 characters."""
    return [datetime.fromisoformat(row[name][:19]) for row in rows]


def days(rows: Sequence[Any]) -> list[date]:
    """Days in the calendar's notation."""
    return [date.fromisoformat(row["iso"]) for row in rows]


def before_today(seen: Seen) -> list[Any]:
    """Bars of whole days; today's has neither turnover nor members before the first trade."""
    stamped = zip(seen.rows, times(seen.rows), strict=True)
    return [row for row, at in stamped if at.date() < seen.facts.today]


def is_whole(seen: Seen, count: str = "count") -> bool:
    """Whether the answer's own count is that of its rows."""
    return bool(seen.data[count] == len(seen.rows))


def is_uuid(seen: Seen) -> bool:
    return bool(uuid.UUID(seen.data["task_id"]))


def quotes_of(codes: Sequence[str], seen: Seen) -> bool:
    in_order = [row["Code"] for row in seen.rows] == [code[2:] for code in codes]
    return in_order and all(row["K"]["Last"] > 0 for row in seen.rows)


def three_in_yuan(codes: Sequence[str]) -> Callable[[Seen], bool]:
    """Quotes of the build of April 2026."""

    def holds(seen: Seen) -> bool:
        in_order = [row["full_code"] for row in seen.rows] == list(codes)
        return is_whole(seen) and in_order and all(row["prev_close"] > 0 for row in seen.rows)

    return holds


def whole_day(seen: Seen) -> bool:
    """Minutes of the build of April 2026."""
    at = times(seen.rows, "time")
    return (
        is_whole(seen)
        and len(at) == 240
        and f"{at[-1]:%Y%m%d %H%M}" == (f"{seen.facts.day_text} 1500")
    )


def new_enough(seen: Seen) -> bool:
    at, oldest = times(seen.rows), seen.facts.oldest
    return all(a < b for a, b in pairwise(at)) and (oldest is None or at[-1].date() >= oldest)


def history(source: str, limit: int) -> Callable[[Seen], bool]:
    """Bars of a route that names their source."""

    def holds(seen: Seen) -> bool:
        traded = source != "tdx" or all(row["Amount"] > 0 for row in before_today(seen))
        named = seen.data["meta"]["source"] == source
        return is_whole(seen) and 1 <= len(seen.rows) <= limit and named and traded

    return holds


def ten_with_members(seen: Seen) -> bool:
    old = before_today(seen)
    return len(seen.rows) == 10 and old[-1]["UpCount"] + old[-1]["DownCount"] > 0


def ten_prefixed(seen: Seen) -> bool:
    prefixed = all(PREFIXED.fullmatch(row) for row in seen.rows)
    return is_whole(seen) and len(seen.rows) == 10 and prefixed


def sum_of_three(seen: Seen) -> bool:
    counts = {row["exchange"]: row["count"] for row in seen.rows}
    three = len(seen.rows) == 3 and set(counts) == {"sh", "sz", "bj"}
    return bool(three and seen.data["total"] == sum(counts.values()))
