"""Dataset `tick_trade`: all trades of the newest days.

A day is due if it has a day bar and no final tick stored, so gaps are repaired by later loads. Only
a complete day lands as final. Past days come from the route of many days, and the days that it
leaves out come one by one. That route never has the current day, which has its own route and is
provisional in the session and after it. It becomes final by the route of many days on a later day.
"""

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

import psycopg
import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import tick_days
from loaders.tdx.bars.tick_days import BrokenRule, DayBar, TickDay, TickDays
from loaders.tdx.bars.ticks_today import fetch_today
from loaders.tdx.client.answers_trades import Ticks
from loaders.tdx.client.routes_trades import LONGEST_RANGE
from loaders.tdx.context import Context, Dataset, answer_or_fault
from loaders.tdx.missing_datasets import Absence, is_empty
from loaders.tdx.tables import KLINE_DAILY, TICK_TRADE
from loaders.trading_time import SHANGHAI

ROUTE = "/api/trade-history/full"
BY_DAY = "/api/minute-trade-all"
DAYS_AT_ONCE = 5  # the service reads day by day, long after the client has given up
NO_BARS = "no day bar is stored, so no tick can be due: load kline_daily first"

A = TypeVar("A", Ticks, dict[date, Ticks])


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored ticks of a day.

    hands: sum of their volumes.
    ticks: their number.
    answered_on: the exchange's day on which they were fetched.
    """

    hands: int
    ticks: int
    answered_on: date


@dataclass(frozen=True, slots=True)
class Due:
    day: date
    bar: DayBar
    stored: Stored | None
    refused: str | None = None  # the digest of the answer refused on an earlier day


def due_days(
    conn: psycopg.Connection, codes: Sequence[str], days: Sequence[date], again_from: date | None
) -> dict[str, list[Due]]:
    """Return by code the days with a final day bar and no final tick, ascending.

    From `again_from` on, days with final ticks are due too. The query costs one index probe for
    each code and day.
    """
    # LIMIT keeps the planner from joining whole tables of bars and ticks instead
    rows = conn.execute(
        """
        select k.code, k.trade_date, k.low, k.high, k.volume, s.hands, s.ticks, s.answered_on
        from unnest(%(codes)s::text[]) as c (code)
        cross join lateral (
            select b.code, b.trade_date, b.low, b.high, b.volume
            from raw_tdx.kline_daily as b
            where b.code = c.code and b.trade_date between %(first)s and %(last)s
                and b.is_final and b.volume > 0
            order by b.trade_date limit %(span)s
        ) as k
        left join lateral (
            select t.is_final from raw_tdx.tick_trade as t
            where t.code = k.code and t.trade_date = k.trade_date
            order by t.ordinal limit 1
        ) as f on true
        left join lateral (
            select sum(t.volume)::bigint as hands, count(*) as ticks,
                (max(t.fetched_at) at time zone 'UTC' + interval '8 hours')::date as answered_on
            from raw_tdx.tick_trade as t
            where f.is_final is not null and t.code = k.code and t.trade_date = k.trade_date
        ) as s on true
        where f.is_final is not true or k.trade_date >= %(again)s
        order by k.code, k.trade_date
        """,
        {
            "codes": list(codes),
            "first": days[0],
            "last": days[-1],
            "span": (days[-1] - days[0]).days + 1,
            "again": again_from or date.max,
        },
    )
    wanted, due = set(days), dict[str, list[Due]]()
    for code, day, low, high, volume, hands, ticks, answered_on in rows:
        if day in wanted:
            stored = None if hands is None else Stored(hands, ticks, answered_on)
            due.setdefault(code, []).append(Due(day, DayBar(low, high, volume), stored))
    return due


def refusals(conn: psycopg.Connection, today: date) -> dict[str, str]:
    """Return by code and day the digests of answers refused before today.

    Their prices were refused.
    """
    # An answer that comes again leaves the row unchanged, and so the time of the first one.
    rows = conn.execute(
        """
        select row_key, payload::json ->> 'digest'
        from raw_tdx.rejected_row
        where dataset = 'tick_trade' and field = 'price'
            and (fetched_at at time zone 'UTC' + interval '8 hours')::date < %s
        """,
        (today,),
    )
    return {key: digest for key, digest in rows if digest is not None}


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    if run.mode == "realtime":
        return fetch_today(run, codes)
    absence, window = run.absence(DATASET.name, TICK_TRADE), run.window
    # Requested days may be older than the days that loads keep complete.
    days = window.newest(len(window.days) if window.since else run.settings.tick_days)
    due = run.ask(lambda conn: due_days(conn, codes, days, window.since)) if days else {}
    unknown = not run.cursors(KLINE_DAILY.name)
    refused = run.ask(lambda conn: refusals(conn, window.today)) if due else {}

    async def one(code: str) -> Outcome:
        wanted = [
            replace(d, refused=refused.get(f"{code} {d.day}"))
            for d in due.get(code, [])
            if not _stands(code, d, window.today)
        ]
        if absence.proven and wanted:
            return absence.of(code, len(wanted))
        if wanted:
            return await _Reading(run, code, absence).read(wanted)
        return Outcome(code, failure=NO_BARS) if unknown else Outcome(code, skipped=NOT_DUE)

    return absence.judged(run.each(codes, one))


def _stands(code: str, due: Due, today: date) -> bool:
    """Check for the current day, if stored completely: it is final on a later day."""
    return (
        due.day == today
        and due.stored is not None
        and tick_days.is_whole(code, due.stored.hands, due.stored.ticks, due.bar)
    )


def stretches(due: Sequence[Due], calendar: Sequence[date]) -> list[list[Due]]:
    """Group due days in spans of at most five trading days.

    No span covers a hole of the calendar.
    """
    place = {day: i for i, day in enumerate(calendar)}
    found: list[list[Due]] = []
    for one in due:
        first = found[-1][0].day if found else date.min
        near = found and place[one.day] - place[first] < DAYS_AT_ONCE
        if near and one.day - first <= LONGEST_RANGE:
            found[-1].append(one)
        else:
            found.append([one])
    return found


@dataclass
class _Reading:
    """The days of one code during the reading."""

    run: Context
    code: str
    absence: Absence
    landing: list[TickDay] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    failed: dict[date, str] = field(default_factory=dict)
    fallback: str | None = None
    empty: bool = True  # no answer had a tick

    async def read(self, due: Sequence[Due]) -> Outcome:
        gone: SourceGone | None = None
        try:
            today = self.run.window.today
            ended = [d for d in due if d.day < today]
            for stretch in stretches(ended, self.run.window.days):
                if not await self._read_stretch(stretch, ended):
                    return self.absence.of(self.code, len(ended))
            for one in due[len(ended) :]:
                await self._read_today(one)
        except SourceGone as error:
            gone = error
        if self.absence.possible and self.empty and not gone:
            return self.absence.of(self.code, len(due))
        finished = [found.day for found in self.landing if found.is_final]
        return Outcome(
            self.code,
            rows=TickDays(tuple(self.landing)) if self.landing else None,
            rejected=self.rejected,
            cursor=max(finished, default=None),
            failure=str(gone) if gone else _failure(self.failed, len(due)),
            fallback=self.fallback,
            gone=gone,
        )

    async def _asked(self, request: Awaitable[A]) -> tuple[A | None, Exception | None]:
        answer, fault = await answer_or_fault(request)
        self.empty = self.empty and is_empty(answer, fault)
        return answer, fault

    async def _read_stretch(self, stretch: Sequence[Due], ended: Sequence[Due]) -> bool:
        """Read a stretch of days.

        False if these days and the newest day have no ticks, and no other code has any.
        """
        client = self.run.client
        answers, fault = await self._asked(
            client.trades_of_days(self.code, stretch[0].day, stretch[-1].day)
        )
        if self.absence.may_tell(len(ended)) and is_empty(answers, fault) and not self.landing:
            newest = client.trades_of_day(self.code, ended[-1].day, expect_rows=False)
            if is_empty(*await answer_or_fault(newest)):
                return False
        why = type(fault).__name__ if fault else "days are missing"
        for due in stretch:
            first = self._judged(due, answers.get(due.day) if answers else None)
            if isinstance(first, TickDay) and _fits(self.code, first, due.bar):
                self.landing.append(tick_days.as_final(first))
                continue
            if first is not None:
                why = "days are not whole"
            self.fallback = f"{ROUTE} → {BY_DAY}: {why}"
            await self._read_day(due, first)
        return True

    async def _read_today(self, due: Due) -> None:
        """Read the current day after its close and compare it with its day bar.

        It lands as provisional.
        """
        ticks, fault = await self._asked(self.run.client.trades_of_today(self.code))
        if ticks is None:
            self.failed[due.day] = str(fault)
            return
        found = self._judged(due, ticks)
        if isinstance(found, TickDay):
            self._take(due, found)
        elif isinstance(found, BrokenRule):
            self._refuse(due, found, ticks)
        else:
            self.failed[due.day] = "success without a tick of today"

    def _refuse(self, due: Due, broken: BrokenRule, ticks: Ticks) -> None:
        self.rejected.append(broken.rejected(self.code, due.day, ticks))
        self.failed[due.day] = str(broken)

    async def _read_day(self, due: Due, first: TickDay | BrokenRule | None) -> None:
        """Read a single day, after the route of many days returned `first` for it."""
        ticks, fault = await self._asked(self.run.client.trades_of_day(self.code, due.day))
        second = self._judged(due, ticks)
        if ticks is None:
            self.failed[due.day] = str(fault)
        else:
            self.fallback = ticks.fallback or self.fallback
        found = [x for x in (second, first) if isinstance(x, TickDay)]
        if found:
            self.failed.pop(due.day, None)
            self._take(due, min(found, key=lambda x: tick_days.misfit(x.hands, due.bar)))
        elif isinstance(second, BrokenRule) and ticks is not None:
            self._refuse(due, second, ticks)

    def _judged(self, due: Due, ticks: Ticks | None) -> TickDay | BrokenRule | None:
        if ticks is None or not len(ticks):
            return None
        tenfold = tick_days.is_tenfold(self.code, self.run.instrument_type(self.code))
        try:
            # The same answer came on a later day: the source has no other, and soon not even this.
            again = due.refused is not None and due.refused == tick_days.digest_of(ticks)
            return tick_days.priced(
                tick_days.day_of(due.day, ticks), due.bar, tenfold=tenfold, near=again
            )
        except BrokenRule as broken:
            return broken

    def _take(self, due: Due, found: TickDay) -> None:
        """Land a day as final if it is complete, or the same on two different days.

        If it is the same, the service has no more ticks. Any other day lands as provisional, unless
        the stored ticks fit the day bar as well or better.
        """
        before = due.stored
        alike = before is not None and (
            before.hands == found.hands
            and due.day < before.answered_on < found.fetched_at.astimezone(SHANGHAI).date()
        )
        if _fits(self.code, found, due.bar) or alike:
            self.landing.append(tick_days.as_final(found))
            return
        text = f"{found.hands:,} hands of ticks, but {due.bar.volume:,} of the day bar"
        if before is None or tick_days.misfit(found.hands, due.bar) < tick_days.misfit(
            before.hands, due.bar
        ):
            self.landing.append(found)
        else:
            text += "; nothing was overwritten"
        self.failed[due.day] = text


def _fits(code: str, found: TickDay, bar: DayBar) -> bool:
    return tick_days.is_whole(code, found.hands, len(found), bar)


def _failure(failed: Mapping[date, str], asked: int) -> str | None:
    if not failed:
        return None
    (first, why), *_ = sorted(failed.items())
    days = ", ".join(str(day) for day in sorted(failed))
    return f"{len(failed)} of {asked} days: {days} ({first}: {why})"


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Combine the rows of some codes in one Arrow table of the declared schema."""
    return tick_days.rows_of([(o.key, found) for o in outcomes if o.rows for found in o.rows.days])


DATASET = Dataset("tick_trade", TICK_TRADE, ROUTE, fetch, table)
