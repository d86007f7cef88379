"""The days that a load wants."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Days up to `due`, the newest day whose bars are finished.

    `days` are all known trading days, ascending. `since` reads again from that day on, or starts
    the history of a code there; `until` excludes later days; `from_start` reads every history from
    its start. `own_days` are further days of an exchange (counted from 1970-01-01), by evidence.
    """

    days: Sequence[date]
    due: date
    overlap: int
    closed: Callable[[date], bool]
    today: date
    since: date | None = None
    until: date | None = None
    from_start: bool = False
    own_days: "Callable[[str], NDArray[np.int64]] | None" = None

    @property
    def reads_again(self) -> bool:
        """Whether days that are stored are read once more."""
        return self.from_start or self.since is not None

    @cached_property
    def day_numbers(self) -> "NDArray[np.int64]":
        """`days`, each counted from 1970-01-01."""
        import numpy as np

        return np.array(self.days, "datetime64[D]").astype(np.int64)

    def wants(self, cursor: date | None) -> bool:
        if self.reads_again or cursor is None:
            return True
        return cursor < (min(self.due, self.until) if self.until else self.due)

    def limit(self, cursor: date | None) -> int | None:
        """How many of the newest bars to request; None: all."""
        starts = [day for day in (cursor, self.since) if day is not None]
        if self.from_start or not starts:
            return None
        start = min(starts)
        # one more for an unfinished bar of a day that is not in the calendar yet
        return len(self.days) - bisect_right(self.days, start) + self.overlap + 1

    def within(self, days: Sequence[date], *, stored: bool) -> list[int]:
        """Positions of the days up to `until`, and from `since` on where nothing is stored.

        Beside stored days, days left out would be a gap that no later load closes.
        """
        first = date.min if stored else self.since or date.min
        last = self.until or date.max
        return [i for i, day in enumerate(days) if first <= day <= last]

    def newest(self, count: int) -> list[date]:
        """At most `count` newest finished trading days in `since` to `until`, ascending."""
        last = min(self.due, self.until) if self.until else self.due
        days = self.days[: bisect_right(self.days, last)][-count:]
        return list(days[bisect_left(days, self.since) :] if self.since else days)
