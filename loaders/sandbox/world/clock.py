"""The time at which the clock of a simulated service stands, in exchange time."""

from datetime import date, datetime, time

from quotemill.errors import UsageError

CLOSE_OF_DAY = time(18, 0)  # of a clock that is given as a day


def parse_clock(clock: date | datetime | str, example: str) -> datetime:
    """Read a clock: a day means 18:00 of it, texts are ISO dates or date-times.

    Raises UsageError, whose hint is `example`, a day that the service knows.
    """
    if isinstance(clock, str):
        try:
            clock = datetime.fromisoformat(clock) if len(clock) > 10 else date.fromisoformat(clock)
        except ValueError as error:
            hint = f"Use {example} or {example}T10:15:00."
            raise UsageError(f"not a date or date-time: clock {clock!r}", hint=hint) from error
    if isinstance(clock, datetime):
        return clock.replace(tzinfo=None)
    return datetime.combine(clock, CLOSE_OF_DAY)
