"""Dataset `trading_calendar`: past and announced trading days.

The service knows past days from its own sh000001 bars, which have holes, and no future days. The
same holds for the desktop client's file of that index. The exchange's published calendar lands
beside them, up to the end of the announced holidays. `source` marks the origin. A day that any
source knows is a trading day, and stays one if a later answer of the service lacks it.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from loaders import trading_time
from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.engine.window import Window
from loaders.tdx.bars import plausibility
from loaders.tdx.bars.records import to_dates, to_number
from loaders.tdx.client.answers import RESTART
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import vipdoc
from loaders.tdx.files.own_days import find_own_days
from loaders.tdx.tables import TRADING_DAY
from quotemill.errors import DataQualityError, UpstreamError
from quotemill.instrument_ranges import COMPOSITE
from quotemill.wording import say_count

NAME = "trading_calendar"
KEY = "SSE"
# The client's days are those of the first index that it has a file of.
INDICES = (COMPOSITE, "sz399001")
SATURDAY = 5
WITNESSES = ("service", "client")
_SHUT = "or wait for the next trading day if the exchange was closed that day"


def stored(conn: psycopg.Connection) -> list[date]:
    """Return the landed days of the service and the client's files, ascending."""
    rows = conn.execute(
        "select distinct trade_date from raw_tdx.trading_day where source = any(%s) order by 1",
        (list(WITNESSES),),
    )
    return [row[0] for row in rows]


def trading_days(stored: list[date], last: date) -> list[date]:
    """Combine stored and published days up to `last`; either can have a hole."""
    start = max(trading_time.FIRST_SHANGHAI_DAY, last - timedelta(days=60))
    published = trading_time.published_days(start, last) if start <= last else ()
    return sorted({*published, *(day for day in stored if day <= last)})


def fetch(ctx: Context, _: Sequence[str]) -> Iterator[Outcome]:
    """Yield one outcome: the days of the service and of the client's index file."""
    file_days = read_file_days(ctx)
    if file_days:
        ctx.ask(lambda conn: withdraw(conn, file_days))
    if ctx.service is None:
        yield _load_files_alone(ctx, file_days)
        return

    async def days() -> Outcome:
        served_days = await served(ctx)
        served_at = ctx.client.service_time
        stands = explain_frozen(served_days, served_at and min(served_at, ctx.clock()))
        rows = build_records(served_days, ctx.clock(), file_days)
        fix = ctx.settings.choose_fix(service=RESTART)
        failure = stands and f"{stands} ({fix}, {_SHUT})"
        return Outcome(KEY, rows, cursor=max(served_days + file_days), failure=failure)

    yield from ctx.only(KEY, days())


def read_file_days(ctx: Context) -> list[date]:
    """Return plausible days of the client's index file, up to today; maybe none.

    A day that the exchange did not publish must be in the files of most codes, too: a single
    record is no day of the calendar, on which all codes would lack a bar.
    """
    plain = Window([ctx.today], ctx.today, 0, lambda day: day.weekday() >= SATURDAY, ctx.today)
    for index in INDICES:
        if index in ctx.day_files:
            try:
                file = vipdoc.read_bars(ctx.day_files[index], index, "index", "day", ctx.clock())
                if file.nonsense:
                    raise DataQualityError(f"{index}.day: {file.nonsense}")
                come = file.bars[file.bars["day"] <= to_number(ctx.today)]
                bars, _ = plausibility.check(index, come, "day", plain)
            except DataQualityError as error:
                ctx.load.warn(str(error))
                continue
            days = to_dates(bars["day"])
            published = set(trading_time.published_days(days[0], days[-1])) if days else set()
            unpublished = partial(_is_unpublished, published)
            proved = {*to_dates(find_own_days(ctx.day_files, index[:2], unpublished))}
            # no Saturdays of Shenzhen's index either: they are days of that exchange alone
            if days := [
                day
                for day in days
                if day.weekday() < SATURDAY and (not unpublished(day) or day in proved)
            ]:
                return days
    return []


def _is_unpublished(published: Collection[date], day: date) -> bool:
    """Whether it is no day of the published calendar, which ends with the announced holidays."""
    return day not in published and day <= trading_time.horizon()


def withdraw(conn: psycopg.Connection, days: Sequence[date]) -> None:
    """Delete stored days of the client that its file (days ascending) lost.

    Days that the exchange published stay, and days outside the file's span.
    """
    known = {*days, *trading_time.published_days(days[0], days[-1])}
    conn.execute(
        "delete from raw_tdx.trading_day where source = 'client'"
        " and trade_date between %s and %s and trade_date <> all(%s)",
        (days[0], days[-1], sorted(known)),
    )


def _load_files_alone(ctx: Context, days: list[date]) -> Outcome:
    """Build the outcome without a service; an old folder is no fault."""
    if not days:
        fix = "Download day bars of the indices in the client."
        lacks, remedy = "has no file", ctx.settings.choose_fix(client=fix)
        if any(index in ctx.day_files for index in INDICES):
            lacks, remedy = "has no valid file", "download it again"
        ctx.load.warn(
            f"the client's folder {lacks} of {' or '.join(INDICES)}, whose days form the "
            f"calendar. Using the published calendar instead: {remedy}"
        )
        return Outcome(KEY, build_records([], ctx.clock()))
    missing = trading_time.published_days(days[-1] + timedelta(days=1), ctx.today)
    late = [day for day in missing if trading_time.is_final(day, ctx.clock())]
    if late and not ctx.settings.download:  # whose packages have lines of their own
        ctx.load.warn(
            f"the client's folder is stale (latest day: {days[-1]}, "
            f"{say_count(len(late), 'trading day')} ago): download day bars in the "
            "client, or use a more recent copy"
        )
    return Outcome(KEY, build_records([], ctx.clock(), days), cursor=days[-1])


async def served(ctx: Context) -> list[date]:
    """Return all days of the service's calendar. Raises UpstreamError for an empty one."""
    client, as_of = ctx.client, ctx.clock()
    today = as_of.astimezone(trading_time.SHANGHAI).date()
    start = trading_time.FIRST_SHANGHAI_DAY
    # past the newest trading day can lie a year that the service refuses
    today = max(trading_time.published_days(start, today), default=today)
    days = await client.workdays(start, today)
    if not days:
        raise UpstreamError(
            f"the service's trading calendar is empty from {start} to {today}",
            hint=ctx.settings.choose_fix(
                service="Restart the TDX service with its original time zone (TZ), then run again."
            ),
        )
    expected = trading_time.published_days(days[-1] + timedelta(days=1), today)
    if expected and trading_time.is_final(expected[-1], as_of):
        # The service refreshes its calendar only at 09:00, before today's bar. A request for a
        # range without days makes it refresh. The next answer has the day if its bar is there.
        await client.workdays(expected[0], today)
        days = sorted({*days, *await client.workdays(start, today)})
    return days


def explain_frozen(days: Sequence[date], service_time: datetime | None) -> str | None:
    """Explain why a service that ends on `days[-1]` stands still; None if it does not.

    It does if a published trading day is over by its own clock (a replay has the clock of its
    files). After the announced holidays published days are guesses and do not count.
    """
    if service_time is None:
        return None
    today = service_time.astimezone(trading_time.SHANGHAI).date()
    start, last = days[-1] + timedelta(days=1), min(today, trading_time.horizon())
    published = trading_time.published_days(start, last) if start <= last else ()
    missing = trading_time.newest_final(published, service_time)
    if missing is None:
        return None
    return (
        f"the service's calendar ends {days[-1]}, but the trading day {missing} has ended by its "
        "own clock: the service has stopped updating, so no newer data can come"
    )


def build_records(
    served: Sequence[date], fetched_at: datetime, in_files: Sequence[date] = ()
) -> list[dict[str, Any]]:
    """Turn days of service, files and published calendar into records of the table."""
    published = trading_time.published_days(trading_time.FIRST_SHANGHAI_DAY, trading_time.horizon())
    names = ("source", "source_route", "is_final", "fetched_at")
    service = ("service", "/api/workday/range", True, fetched_at)
    client = ("client", "vipdoc/lday", True, fetched_at)
    exchange = ("exchange_calendar", "pandas_market_calendars:SSE", False, fetched_at)
    return [
        {"trade_date": day} | dict(zip(names, source, strict=True))
        for known, source in ((served, service), (in_files, client), (published, exchange))
        for day in known
    ]


DATASET = Dataset(NAME, TRADING_DAY, "/api/workday/range", fetch, keys=Keys(only=KEY))
