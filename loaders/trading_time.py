"""Trading days and sessions: the one module that decides what a trading day is.

Past days come from the source's own calendar; this module answers from the published calendar of an
exchange, which also has future days. Exchange time zone: Asia/Shanghai, written as a fixed +08:00
because sources print wall clock without China's summer time of 1986-1991.
"""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from platformdirs import user_cache_dir

from quotemill.errors import SettingsError, UsageError

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
# a day's bar is final five minutes after the close of 15:00
SHANGHAI_FINAL = time(15, 5)
SHANGHAI_CLOSE = time(15, 0)
FIRST_SHANGHAI_DAY = date(1990, 12, 19)
FIRST_CHINESE_DAY = date(1990, 12, 1)  # of Shenzhen's trial trading
# before it Shenzhen traded on Saturdays, and not on some days of the calendar, which is Shanghai's
FIRST_COMMON_DAY = date(1996, 1, 1)
# exchanges by their code, and the library's calendars with all their early closes and holidays
CALENDARS = {"XSHG": "SSE", "XNYS": "NYSE"}
DAY_WORDS = {"today": 0, "yesterday": 1}  # of a command line, with so many days back
Span = tuple[datetime, datetime]


def format_time(
    at: datetime | None, zone: str = "", timespec: Literal["minutes", "seconds"] = "seconds"
) -> str:
    """A time as people read it, with its zone, such as `2026-11-20 17:30:00 Shanghai`.

    Without a `zone` it is in that of this machine, by its offset: abbreviations such as CST have
    several meanings.
    """
    if at is None:
        return "–"
    local = at.astimezone(ZoneInfo(zone) if zone else None)
    offset = f"{local:%z}"
    machine = "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:5]}"
    name = zone.rpartition("/")[2].replace("_", " ") or machine
    return f"{local.replace(tzinfo=None).isoformat(' ', timespec)} {name}"


def number_to_date(number: int) -> date:
    """The day of a number yyyymmdd. Raises ValueError."""
    return date(number // 10_000, number // 100 % 100, number % 100)


def parse_day(text: str, today: date) -> date:
    """A day as people type it: 2024-06-28, today, yesterday. Raises UsageError."""
    if text in DAY_WORDS:
        return today - timedelta(days=DAY_WORDS[text])
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"not a date like 2024-06-28: {text!r}", hint="Use YYYY-MM-DD, `today` or `yesterday`."
        ) from None


@cache
def published_days(start: date, end: date) -> tuple[date, ...]:
    """Trading days of the Shanghai exchange from its published calendar, both ends included.

    Days after `horizon()` are guesses.
    """
    import numpy as np

    days = np.arange(np.datetime64(start), np.datetime64(end) + np.timedelta64(1, "D"))
    # the library's own `valid_days` walks through the days one by one, for 0.2 s
    return tuple(days[np.is_busday(days, holidays=_holidays()[1:])].tolist())


@cache
def horizon() -> date:
    """The last day that announced holidays reach; the library guesses the years after it.

    The government announces the holidays of a year in November of the year before.
    """
    end: date = _holidays()[0].item()
    return end


def ends_soon(now: datetime) -> bool:
    """Whether the announced holidays end in less than three weeks."""
    return horizon() - now.astimezone(SHANGHAI).date() < timedelta(weeks=3)


def describe_horizon() -> str:
    """A sentence about the end of the announced holidays."""
    end = horizon()
    return (
        f"China's trading days are only available up to {end}: {end.year + 1} is not "
        "announced yet, or not included in this version. Until pandas-market-calendars "
        "has it, every weekday counts as a trading day"
    )


@cache
def _holidays() -> Any:
    """The horizon, then the holidays of Shanghai on weekdays.

    A file of the user's cache has them for this version of the library, which takes 0.5 s to
    import, and which a night needs for nothing else.
    """
    import numpy as np

    folder = Path(user_cache_dir("quotemill", appauthor=False))
    file = folder / f"shanghai-{version('pandas_market_calendars')}.txt"
    with contextlib.suppress(OSError, ValueError):
        text = file.read_text("ascii")
        if text.endswith("\n"):  # else it was cut off
            return np.array(text.split(), "datetime64[D]")
    from loaders.files import whole_file

    end = date(max(_shanghai().adhoc_holidays).year, 12, 31)
    days = np.array([end, *_shanghai().holidays().calendar.holidays], "datetime64[D]")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        whole_file.write(file, "".join(f"{day}\n" for day in days))
    return days


@cache
def _shanghai() -> Any:
    """The published calendar, cached: computing two centuries of holidays takes 0.2 s."""
    import pandas_market_calendars as calendars

    return calendars.get_calendar("SSE")


@cache
def sessions(calendar: str, year: int) -> Mapping[date, tuple[Span, ...]]:
    """The trading days of a year at an exchange with their spans of trading in UTC.

    A day with a break at noon has two spans. `calendar` is XSHG, XNYS or another name of
    pandas_market_calendars; raises SettingsError for an unknown one.
    """
    import pandas_market_calendars as calendars

    try:
        published = (
            _shanghai()
            if calendar == "XSHG"
            else calendars.get_calendar(CALENDARS.get(calendar, calendar))
        )
    except RuntimeError:
        raise SettingsError(
            f"unknown calendar: {calendar!r}",
            hint="Use XSHG (Shanghai), XNYS (New York) or another calendar of "
            "pandas_market_calendars.",
        ) from None
    table = published.schedule(date(year, 1, 1), date(year, 12, 31))
    edges = ("market_open", "break_start", "break_end", "market_close")
    rows = table[[edge for edge in edges if edge in table]].itertuples()
    return {day.date(): _spans(*times) for day, *times in rows}


def is_calendar(name: str) -> bool:
    """Whether `sessions` knows a calendar of this name."""
    if name in CALENDARS:  # the library takes long to import
        return True
    import pandas_market_calendars as calendars

    return name in calendars.get_calendar_names()


def _spans(*times: Any) -> tuple[Span, ...]:
    """Open and close, and the break between them; no break is NaT, or has no length."""
    known = [at.to_pydatetime().astimezone(UTC) for at in times if at == at]
    inner = known[1:-1] if known[1] < known[-2] else []
    edges = [known[0], *inner, known[-1]]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def resting_since(now: datetime, ready: time) -> datetime | None:
    """On a day without trading in Shanghai: when the data of the trading day before were ready.

    That is at `ready` in the exchange's time. None on a trading day, and while the holidays are not
    announced yet.
    """
    today = now.astimezone(SHANGHAI).date()
    weekend = today.weekday() >= 5
    days = published_days(today - timedelta(days=30), today)
    if not days or days[-1] == today or (today > horizon() and not weekend):
        return None
    return datetime.combine(days[-1], ready, SHANGHAI)


def is_final(day: date, as_of: datetime) -> bool:
    """Whether the bar of a trading day is finished at `as_of`."""
    return as_of >= datetime.combine(day, SHANGHAI_FINAL, SHANGHAI)


def newest_final(days: Sequence[date], as_of: datetime) -> date | None:
    """The newest of some trading days (ascending) whose bar is finished at `as_of`."""
    return next((day for day in reversed(days) if is_final(day, as_of)), None)


def close_of(day: date) -> datetime:
    """The time of the close in UTC: the stamp of a day bar."""
    return datetime.combine(day, SHANGHAI_CLOSE, SHANGHAI).astimezone(UTC)
