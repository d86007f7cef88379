"""Dataset `minute_1m`: raw one-minute bars of stocks and funds.

A due day (loaders.tdx.bars.minute_days) comes from the desktop client's file if there is one, else from
the newest 800 bars, else from the whole series of 24,000, and what none of them has from the route
of one day, which knows a price and a volume for each minute and nothing else.

A day is final when all its minutes are there, fetched after 15:05, and sum to the volume of the day
bar. If they do not, the day is asked for once more on a later day and then taken for what the source
has: some boards trade after 15:00, which no minute shows. Anything else lands as provisional.
"""

from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import orjson
import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.engine.rejects import Rejected
from loaders.errors import DataQualityError, UpstreamError
from loaders.tdx.absence import Absence, is_empty
from loaders.tdx.bars import intraday, minute_days, stored_bars
from loaders.tdx.bars.intraday import Records, Sanity
from loaders.tdx.bars.minute_days import Wanted
from loaders.tdx.bars.minutes_today import fetch_today
from loaders.tdx.bars.plausibility import Ints, Mask
from loaders.tdx.bars.tick_days import divisor, is_tenfold
from loaders.tdx.context import Context, Dataset, answer_or_fault
from loaders.tdx.files import vipdoc
from loaders.tdx.schemas import KLINE_MINUTE
from loaders.tdx.service.answers_intraday import TimedBars
from loaders.tdx.service.routes_bars import HISTORY_LIMIT, INTRADAY_BARS

ROUTE = "/api/kline-all"
SHORT_ROUTE, POINT_ROUTE = "/api/kline-history", "/api/minute"
PERIOD = "minute1"
A_DAY = 240  # minutes
MOST_POINT_DAYS = 10  # one request each
MISFIT = (
    "the minutes do not sum to the day bar: provisional until they are asked for on a later day"
)


@dataclass
class Found:
    """What is known of a code so far. `out_of_reach` are days that no route has any more;
    `unanswered`: the whole series could not be had; `empty`: no answer had a row."""

    bars: Records = field(default_factory=intraday.empty)
    rejected: list[Rejected] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    out_of_reach: set[date] = field(default_factory=set)
    unanswered: bool = False
    empty: bool = True

    def lacks(self, wanted: Wanted) -> set[date]:
        """Due days that are not whole yet."""
        return set(wanted.days) - intraday.whole_days(self.bars, PERIOD) - self.out_of_reach


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`, as loaders.tdx.datasets.kline_daily.fetch gives them."""
    if run.mode == "realtime":
        return fetch_today(run, codes)
    days = run.window.newest(run.settings.minute_days)
    again = run.window.whole or run.window.since is not None
    wanted = run.ask(lambda conn: minute_days.wanted(conn, codes, days, again=again))

    absence = run.absence(DATASET.name, KLINE_MINUTE)

    async def one(code: str) -> Outcome:
        return await _load(run, code, wanted[code], absence)

    return absence.judged(run.each(codes, one))


async def _load(run: Context, code: str, wanted: Wanted, absence: Absence) -> Outcome:
    found = Found()
    kind, sanity = run.instrument_type(code), Sanity(run.window.today, run.window.closed)
    if run.settings.vipdoc is not None:
        _read_file(run, code, kind, wanted, found, sanity)
    if not wanted.days and not len(found.bars):
        return Outcome(code, skipped=NOT_DUE)
    days_told = len(wanted.traded)
    if absence.proven and not len(found.bars):
        return absence.of(code, days_told)
    if found.lacks(wanted):
        await _ask_for_bars(run, code, wanted, found, sanity)
    none = absence.may_tell(days_told) and found.empty and not len(found.bars)
    if not none and (days := _worth_points(wanted, found)):
        await _ask_for_points(run, code, kind, wanted, found, days)
    if absence.possible and found.empty and not len(found.bars):
        return absence.of(code, days_told)
    return _outcome(run, code, wanted, found)


def _read_file(
    run: Context, code: str, kind: str, wanted: Wanted, found: Found, sanity: Sanity
) -> None:
    """Due days of the client's file, and all that it has from before anything was stored."""
    assert run.settings.vipdoc is not None
    file = vipdoc.find(run.settings.vipdoc, code, PERIOD)
    if file is None:
        return
    window = run.window
    again = window.whole or window.since is not None
    if not wanted.days and wanted.oldest is not None and not again:
        return
    try:
        read = vipdoc.read_minutes(file, code, kind, PERIOD, run.clock())
    except DataQualityError as error:
        found.ways.append(f"{vipdoc.FOLDERS[PERIOD]} → {ROUTE}: the file cannot be read")
        found.faults.append(str(error))
        return
    if read.warning:
        found.ways.append(f"vipdoc: {read.warning.partition(': ')[2]}")
    bars = read.bars
    before = date.max if again or wanted.oldest is None else wanted.oldest
    keep = bars["day"] < intraday.number_of(before)
    keep |= np.isin(bars["day"], intraday.numbers_of(wanted.days))
    keep &= bars["day"] <= intraday.number_of(min(window.until or date.max, window.today))
    keep &= bars["day"] >= intraday.number_of(window.since or date.min)
    found.rejected += read.rejected
    try:
        found.bars, rejected = intraday.check(code, bars[keep], PERIOD, sanity)
    except DataQualityError as error:
        found.faults.append(str(error))
        return
    found.rejected += rejected


async def _ask_for_bars(
    run: Context, code: str, wanted: Wanted, found: Found, sanity: Sanity
) -> None:
    """The newest bars if they reach back to the first day that is lacking, else all."""
    client, newest = run.client, None
    expect = bool(found.lacks(wanted) & wanted.traded)
    limit = _short_limit(run, min(found.lacks(wanted)), wanted)
    if limit is not None:
        answer = client.intraday(code, limit=limit, expect_rows=expect)
        newest = _bars(code, found, sanity, answer)

    def lacks(bars: Records | None) -> str | None:
        if bars is None:
            return "no usable answer"
        settled = _settled(bars, limit or 0, wanted, found)
        return None if settled else "bars of due days are missing"

    async def everything() -> Records | None:
        answer = client.intraday_all(code, expect_rows=expect)
        bars = await _bars(code, found, sanity, answer)
        found.unanswered = bars is None
        if bars is not None and len(bars) > INTRADAY_BARS - A_DAY:
            first = intraday.days_in(bars)[0]
            # the series is full: its first day may be cut, and what came before is gone
            found.out_of_reach |= {day for day in found.lacks(wanted) if day <= first}
        return bars

    way = f"{SHORT_ROUTE} → {ROUTE}"
    _, fallback = await stored_bars.newest_else_all(newest, everything, lacks, way)
    if fallback:
        found.ways.append(fallback)


def _settled(bars: Records, limit: int, wanted: Wanted, found: Found) -> bool:
    """Is nothing left to ask for? A day inside the answer that no day bar tells of had no trade."""
    lacking = found.lacks(wanted)
    if not lacking:
        return True
    reaches = len(bars) < limit or intraday.days_in(bars)[0] <= min(lacking)
    return reaches and not lacking & wanted.traded


def _short_limit(run: Context, first: date, wanted: Wanted) -> int | None:
    """How many of the newest bars reach back to `first`, and if there is room to the newest stored
    day, which is read again; None: more than one answer holds."""
    size = intraday.bars_back_to(run.window, first, PERIOD, run.clock())
    if size > HISTORY_LIMIT:
        return None
    if wanted.newest is not None and wanted.newest.day < first:
        size += A_DAY
    return min(size, HISTORY_LIMIT)


async def _bars(
    code: str,
    found: Found,
    sanity: Sanity,
    answer: Awaitable[TimedBars],
) -> Records | None:
    """Add the bars of an answer to what is found. A route that fails is a fault and stops nothing."""
    try:
        bars, rejected = intraday.check(code, intraday.of_answer(await answer), PERIOD, sanity)
    except SourceGone:
        raise
    except (UpstreamError, DataQualityError) as error:
        found.empty = found.empty and is_empty(None, error)
        found.faults.append(str(error))
        return None
    found.rejected += rejected
    found.bars = intraday.better(found.bars, bars, PERIOD)
    return bars


def _worth_points(wanted: Wanted, found: Found) -> list[date]:
    """Days that are known to have minutes and still lack some; the newest few."""
    some = set(intraday.days_in(found.bars))
    return sorted(found.lacks(wanted) & (wanted.traded | some))[-MOST_POINT_DAYS:]


async def _ask_for_points(
    run: Context, code: str, kind: str, wanted: Wanted, found: Found, days: Sequence[date]
) -> None:
    """Fill the minutes that no bar is known of with the price of that minute."""
    tenfold, filled = is_tenfold(code, kind), 0
    for day in days:
        points, fault = await answer_or_fault(run.client.minute_points(code, day))
        found.empty = found.empty and is_empty(points, fault)
        if points is None:
            found.faults.append(str(fault))
            continue
        low, high, bar = min(points.price), max(points.price), wanted.days[day]
        by = divisor(low, high, bar, tenfold=tenfold)
        if not by:
            assert bar is not None
            rule = "a minute's price must lie between low and high of the day bar"
            value = f"{low} to {high}, day bar {bar.low} to {bar.high}"
            payload = orjson.dumps(
                {"code": code, "trade_date": day, "price": points.price}
            ).decode()
            found.rejected.append(Rejected(f"{code} {day}", "close", rule, value, payload))
            found.faults.append(f"{POINT_ROUTE} {code} {day}: {rule} ({value})")
            continue
        found.bars = intraday.merged(found.bars, intraday.of_points(points, by))
        filled += 1
    if filled:
        found.ways.append(f"{ROUTE} → {POINT_ROUTE}: bars of due days are missing; prices alone")


def _outcome(run: Context, code: str, wanted: Wanted, found: Found) -> Outcome:
    bars = found.bars[_to_land(run, wanted, found)]
    whole = intraday.whole_days(bars[bars["amount"] != intraday.NO_AMOUNT], PERIOD)
    misfits = minute_days.misfits(bars, wanted.days)
    later = bars["day"] < _days_of_fetch(bars)
    bars["final"] = intraday.fetched_after_close(bars) & (
        (intraday.in_days(bars, whole) & (later | ~intraday.in_days(bars, misfits)))
        | _only_in_files(run, bars)
    )
    if misfits & set(intraday.days_in(bars[~bars["final"]])) & whole:
        found.ways.append(MISFIT)
    final = intraday.days_in(bars[bars["final"]])
    some = set(intraday.days_in(bars))
    lacking = sorted(found.lacks(wanted) & (wanted.traded | some))
    failed = bool(lacking) or (found.unanswered and bool(found.lacks(wanted)))
    return Outcome(
        code,
        bars if len(bars) else None,
        found.rejected,
        cursor=final[-1] if final else None,
        skipped=NOT_DUE if not len(bars) and not failed else None,
        failure=_failure(lacking, found) if failed else None,
        fallback="; ".join(found.ways) or None,
    )


def _to_land(run: Context, wanted: Wanted, found: Found) -> Mask:
    """Days that were due or came from a file, the running one, and the newest stored one if it
    differs now. A day that is stored with more minutes than it has now stays as it is."""
    bars, window = found.bars, run.window
    keep = intraday.in_days(bars, wanted.days)
    keep |= bars["route"] == intraday.ROUTES.index("vipdoc/minline")
    if window.until is None or window.until > window.due:
        keep |= bars["day"] > intraday.number_of(window.due)
    if wanted.newest is not None:
        stored = bars["day"] == intraday.number_of(wanted.newest.day)
        same = bars[stored]
        if (
            intraday.whole_days(same, PERIOD)
            and len(same) >= wanted.newest.count
            and not minute_days.same_as_stored(same, wanted.newest)
        ):
            keep |= stored
    second = bars["day"][bars["label"] == intraday.FIRST_OF_AFTERNOON]
    shorter = intraday.in_days(bars, wanted.with_1301) & ~np.isin(bars["day"], second)
    return np.asarray(keep & ~shorter)


def _only_in_files(run: Context, bars: Records) -> Mask:
    """Bars of files older than any that the service can have: nothing better will come."""
    reach = run.window.newest(run.settings.minute_days)
    from_file = bars["route"] == intraday.ROUTES.index("vipdoc/minline")
    oldest = intraday.number_of(reach[0]) if reach else intraday.number_of(run.window.due)
    return np.asarray(from_file & (bars["day"] < oldest))


def _days_of_fetch(bars: Records) -> Ints:
    """The exchange's day on which each bar was fetched."""
    minutes = bars["fetched"] // intraday.MINUTE_US + intraday.ZONE_MINUTES
    return np.asarray(minutes // intraday.DAY_MINUTES)


def _failure(lacking: Sequence[date], found: Found) -> str:
    why = f": {found.faults[-1]}" if found.faults else ""
    if not lacking:
        return f"no minutes came{why}"
    return f"{len(lacking)} days lack minutes, the newest {lacking[-1]}{why}"


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The bars of some codes as one Arrow table of the declared schema."""
    return pa.table(
        intraday.arrow_columns([(o.key, o.rows) for o in outcomes if o.rows is not None])
    )


DATASET = Dataset("minute_1m", KLINE_MINUTE, ROUTE, fetch, table)
