"""Where the clock of a simulated service stands, in exchange time."""

from datetime import date, datetime, time

from loaders.errors import UsageError

CLOSE_OF_DAY = time(18, 0)  # where a clock stands that is told the day alone


def moment(clock: date | datetime | str, example: str) -> datetime:
    """A day means its end, after the close; texts are ISO dates or date-times of exchange time.

    Raises UsageError, whose hint is `example`, a day that the service knows.
    """
    if isinstance(clock, str):
        try:
            clock = datetime.fromisoformat(clock) if len(clock) > 10 else date.fromisoformat(clock)
        except ValueError as error:
            hint = f"{example} or {example}T10:15:00"
            raise UsageError(f"clock {clock!r} is no date", hint=hint) from error
    if isinstance(clock, datetime):
        return clock.replace(tzinfo=None)
    return datetime.combine(clock, CLOSE_OF_DAY)
