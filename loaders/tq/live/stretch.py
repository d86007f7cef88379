"""How long a recorder records: a stretch of sessions without a long break."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

BREAK = timedelta(hours=3)  # longer than the noon break, shorter than between night and day
AHEAD = timedelta(hours=1)  # a recorder may start so long before the first session

Spans = Sequence[tuple[datetime, datetime]]


@dataclass(frozen=True)
class Stretch:
    """The rest of a trading day, or its night.

    hours    all sessions of the day, of varieties that have one before `end`
    resting  the other varieties
    """

    day: date
    end: datetime
    hours: Mapping[str, Spans]
    resting: Sequence[str]


def find_stretch(now: datetime, day: date, hours: Mapping[str, Spans]) -> Stretch | None:
    """The stretch of a trading day that goes on or begins soon; None where none is near."""
    end = find_end(now, [span for spans in hours.values() for span in spans])
    if end is None:
        return None
    inside = {
        variety: spans
        for variety, spans in hours.items()
        if any(start < end and close > now for start, close in spans)
    }
    return Stretch(day, end, inside, [variety for variety in hours if variety not in inside])


def find_end(now: datetime, sessions: Spans) -> datetime | None:
    """The end of the stretch at a time."""
    before: datetime | None = None  # the end of the session that was last
    ends: datetime | None = None
    for start, end in sorted(sessions):
        if end <= now:
            before = max(before or end, end)
        elif ends is None:
            is_in_a_break = before is not None and start - before <= BREAK
            if start - now > AHEAD and not is_in_a_break:
                return None
            ends = end
        elif start - ends > BREAK:
            break
        else:
            ends = max(ends, end)
    return ends
