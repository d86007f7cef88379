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
from loaders.tdx.bars.untraded import any_traded
from loaders.tdx.client.answers_trades import Ticks
from loaders.tdx.client.routes_trades import LONGEST_RANGE
from loaders.tdx.context import Context, Dataset, answer_or_fault
from loaders.tdx.fetching.ticks_today import fetch_today
from loaders.tdx.missing_datasets import NO_ROW, Absence, is_empty
from loaders.tdx.queries import query
from loaders.tdx.tables import KLINE_DAILY, TICK_TRADE
from loaders.trading_time import SHANGHAI
from loaders.warehouse.distribution import is_distributed, relate_codes

ROUTE = "/api/trade-history/full"
BY_DAY = "/api/minute-trade-all"
DAYS_AT_ONCE = 5  # the service reads day by day, long after the client has given up
NO_BARS = "no day bars are stored, so no ticks can be due: load kline_daily first"

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


def read_due_days(
    conn: psycopg.Connection, codes: Sequence[str], days: Sequence[date], again_from: date | None
) -> dict[str, list[Due]]:
    """Return by code the days with a final day bar and no final tick, ascending.

    From `again_from` on, days with final ticks are due too.
    """
    form = "_on_nodes" if is_distributed(conn, TICK_TRADE.qualified) else ""
    text = query(f"due_tick_days{form}", codes=relate_codes(conn, TICK_TRADE.qualified))
    rows = conn.execute(
        text,
        {
            "codes": list(codes),
            "days": list(days),
            "first": days[0],
            "last": days[-1],
            "span": (days[-1] - days[0]).days + 1,
            "again": again_from or date.max,
        },
    )
    wanted, due = set(days), dict[str, list[Due]]()
    for code, day, low, high, volume, unit, hands, ticks, answered_on in rows:
        if day in wanted:
            stored = None if hands is None else Stored(hands, ticks, answered_on)
            due.setdefault(code, []).append(Due(day, DayBar(low, high, volume, unit), stored))
    return due


def refusals(conn: psycopg.Connection, today: date) -> dict[str, str]:
    """Return by code and day the digests of ticks whose prices were refused earlier."""
    rows = conn.execute(query("refused_tick_days"), (today,))
    return {key: digest for key, digest in rows if digest is not None}


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    if ctx.mode == "realtime":
        return fetch_today(ctx, codes)
    absence, window = ctx.absence(DATASET.name, TICK_TRADE), ctx.window
    # Requested days may be older than the days that loads keep complete.
    days = window.newest(len(window.days) if window.since else ctx.settings.tick_days)
    due = ctx.ask(lambda conn: read_due_days(conn, codes, days, window.since)) if days else {}
    unknown = not ctx.cursors(KLINE_DAILY.name)
    refused = ctx.ask(lambda conn: refusals(conn, window.today)) if due else {}

    async def load_code(code: str) -> Outcome:
        wanted = [
            replace(d, refused=refused.get(f"{code} {d.day}"))
            for d in due.get(code, [])
            if not _is_settled(code, d, ctx.service_day)
        ]
        if absence.proven and wanted:
            return Outcome(code, skipped=NO_ROW)
        if wanted:
            return await _Reading(ctx, code, absence).read_days(wanted)
        return Outcome(code, failure=NO_BARS) if unknown else Outcome(code, skipped=NOT_DUE)

    return absence.judge(ctx, ctx.each(codes, load_code))


def _is_settled(code: str, due: Due, today: date) -> bool:
    """Check for the current day, if stored completely: it is final on a later day."""
    return (
        due.day == today
        and due.stored is not None
        and tick_days.is_whole(code, due.stored.hands, due.stored.ticks, due.bar)
    )


def group_days(due: Sequence[Due], calendar: Sequence[date]) -> list[list[Due]]:
    """Group due days in spans of at most five trading days without a hole."""
    place = {day: i for i, day in enumerate(calendar)}
    groups: list[list[Due]] = []
    for due_day in due:
        first = groups[-1][0].day if groups else date.min
        near = groups and place[due_day.day] - place[first] < DAYS_AT_ONCE
        if near and due_day.day - first <= LONGEST_RANGE:
            groups[-1].append(due_day)
        else:
            groups.append([due_day])
    return groups


@dataclass
class _Reading:
    """The days of one code during the reading."""

    ctx: Context
    code: str
    absence: Absence
    landing: list[TickDay] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    failed: dict[date, str] = field(default_factory=dict)
    fallback: str | None = None
    empty: bool = True  # no answer had a tick

    async def read_days(self, due: Sequence[Due]) -> Outcome:
        gone: SourceGone | None = None
        try:
            today = self.ctx.service_day
            ended = [d for d in due if d.day != today]
            for stretch in group_days(ended, self.ctx.window.days):
                if not await self._read_stretch(stretch, ended):
                    return Outcome(self.code, skipped=NO_ROW)
            for due_day in due:
                if due_day.day == today:
                    await self._read_today(due_day)
        except SourceGone as error:
            gone = error
        if self.absence.possible and self.empty and not gone:
            return Outcome(self.code, skipped=NO_ROW)
        finished = [tick_day.day for tick_day in self.landing if tick_day.is_final]
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
        """Read a stretch; False if it, the newest day and other codes have no ticks."""
        client = self.ctx.client
        answers, fault = await self._asked(
            client.trades_of_days(self.code, stretch[0].day, stretch[-1].day)
        )
        if self.absence.possible and is_empty(answers, fault) and not self.landing:
            newest = client.trades_of_day(self.code, ended[-1].day, expect_rows=False)
            if is_empty(*await answer_or_fault(newest)):
                return False
        why = type(fault).__name__ if fault else "days are missing"
        for due in stretch:
            first = self._judge(due, answers.get(due.day) if answers else None)
            if isinstance(first, TickDay) and _fits(self.code, first, due.bar):
                self.landing.append(tick_days.mark_final(first))
                continue
            if first is not None:
                why = "days are incomplete"
            self.fallback = f"{ROUTE} → {BY_DAY}: {why}"
            await self._read_day(due, first)
        return True

    async def _read_today(self, due: Due) -> None:
        """Read the current day after its close, as provisional, and check its volume."""
        ticks, fault = await self._asked(self.ctx.client.trades_of_today(self.code, due.day))
        if ticks is None:
            self.failed[due.day] = str(fault)
            return
        tick_day = self._judge(due, ticks)
        if isinstance(tick_day, TickDay):
            self._take(due, tick_day)
        elif isinstance(tick_day, BrokenRule):
            self._refuse(due, tick_day, ticks)
        else:
            self.failed[due.day] = "successful response without a tick of today"

    def _refuse(self, due: Due, broken: BrokenRule, ticks: Ticks) -> None:
        self.rejected.append(broken.rejected(self.code, due.day, ticks))
        self.failed[due.day] = str(broken)

    async def _read_day(self, due: Due, first: TickDay | BrokenRule | None) -> None:
        """Read a single day, after the route of many days returned `first` for it."""
        ticks, fault = await self._asked(self.ctx.client.trades_of_day(self.code, due.day))
        second = self._judge(due, ticks)
        if ticks is None:
            self.failed[due.day] = str(fault)
        candidates = [x for x in (second, first) if isinstance(x, TickDay)]
        if candidates:
            self.failed.pop(due.day, None)
            self._take(due, min(candidates, key=lambda x: tick_days.misfit(x.hands, due.bar)))
        elif isinstance(second, BrokenRule) and ticks is not None:
            self._refuse(due, second, ticks)
        elif ticks is not None:
            self.failed[due.day] = (
                "successful response without any traded shares, although the day bar has some"
            )

    def _judge(self, due: Due, ticks: Ticks | None) -> TickDay | BrokenRule | None:
        if ticks is None or not any_traded(ticks.volume):
            return None
        tenfold = tick_days.is_tenfold(self.code, self.ctx.instrument_type(self.code))
        try:
            # The same answer came on a later day: the source has no other, and soon not even this.
            again = due.refused is not None and due.refused == tick_days.compute_digest(ticks)
            return tick_days.scale_to_bar(
                tick_days.to_tick_day(due.day, ticks), due.bar, tenfold=tenfold, near=again
            )
        except BrokenRule as broken:
            return broken

    def _take(self, due: Due, tick_day: TickDay) -> None:
        """Land a day as final if it is complete, or the same on two different days.

        Any other lands as provisional, unless the stored ticks fit the day bar as well or better.
        """
        before = due.stored
        alike = before is not None and (
            before.hands == tick_day.hands
            and due.day < before.answered_on < tick_day.fetched_at.astimezone(SHANGHAI).date()
        )
        if _fits(self.code, tick_day, due.bar) or alike:
            self.landing.append(tick_days.mark_final(tick_day))
            return
        text = f"{tick_day.hands:,} lots in ticks, but {due.bar.hands:,} in the day bar"
        if before is None or tick_days.misfit(tick_day.hands, due.bar) < tick_days.misfit(
            before.hands, due.bar
        ):
            self.landing.append(tick_day)
        else:
            text += ", so nothing was overwritten"
        self.failed[due.day] = text


def _fits(code: str, tick_day: TickDay, bar: DayBar) -> bool:
    return tick_days.is_whole(code, tick_day.hands, len(tick_day), bar)


def _failure(failed: Mapping[date, str], asked: int) -> str | None:
    if not failed:
        return None
    (first, why), *_ = sorted(failed.items())
    days = ", ".join(str(day) for day in sorted(failed))
    return f"{len(failed)} of {asked} days: {days} ({first}: {why})"


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Combine the rows of some codes in one Arrow table of the declared schema."""
    return tick_days.build_table(
        [(o.key, tick_day) for o in outcomes if o.rows for tick_day in o.rows.days]
    )


DATASET = Dataset("tick_trade", TICK_TRADE, ROUTE, fetch, table)
