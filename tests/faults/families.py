"""Families of routes as the client uses them: one call each, and what it would store.

Stored is what the loaders' own checks leave, by key, so that two answers can be compared.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any

from loaders.engine.window import Window
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.bars import plausibility, records
from loaders.tdx.client.answers import Bars
from loaders.tdx.client.answers_intraday import MinutePoints, TimedBars
from loaders.tdx.client.answers_quotes import Quote, StockInfo
from loaders.tdx.client.answers_trades import Ticks
from loaders.tdx.client.client import TdxClient
from loaders.tdx.datasets.quote_snapshot import find_broken_rules
from loaders.trading_time import SHANGHAI, is_final
from tests.unit.tdx.fake_context import calendar

INDEX = "sh000001"


@dataclass(frozen=True)
class Scene:
    """A running session's afternoon, a stock with corporate actions and the two days before."""

    market: SyntheticMarket
    code: str
    days: tuple[date, date]
    clock: datetime  # exchange wall clock

    @property
    def now(self) -> datetime:
        return self.clock.replace(tzinfo=SHANGHAI).astimezone(UTC)

    @property
    def calendar(self) -> Window:
        open_days = set(self.market.days)
        return calendar(self.clock.date(), lambda day: day not in open_days)

    def hands(self, day: date) -> int:
        """The volume of the day bar."""
        bars = self.market.day_bars(self.code)
        at = bars.find(day)
        assert at is not None
        return int(bars.volume[at])


@dataclass(frozen=True)
class Stored:
    """What would be stored of an answer.

    `rows` by key; `provisional`: keys of rows that are not final; `rejected`: rejected rows;
    `misfit`: hands by which ticks or minutes miss their day bar.
    """

    rows: Mapping[Any, Any]
    provisional: frozenset[Any] = frozenset()
    rejected: int = 0
    misfit: int = 0


@dataclass(frozen=True)
class Family:
    """`route` is the one that a fault strikes; `standing` faults are there with and without it."""

    name: str
    route: str
    ask: Callable[[TdxClient, Scene], Awaitable[Any]]
    keep: Callable[[Scene, Any], Stored]
    number: str = "Close"  # a field whose absence or type matters
    standing: tuple[str, ...] = field(default=())


def scene_of(market: SyntheticMarket) -> Scene:
    today = market.end.date()
    at = market.days.index(today)
    code = next(
        s.code
        for s in market.securities
        if s.kind == "stock"
        and s.exchange != "bj"
        and market.actions(s.code)
        and all(market.day_bars(s.code).find(day) for day in market.days[at - 2 : at + 1])
    )
    clock = datetime.combine(today, time(14, 30))
    return Scene(market, code, (market.days[at - 2], market.days[at - 1]), clock)


def days_kept(scene: Scene, bars: Bars) -> Stored:
    good, rejected = plausibility.check("x", records.from_answer(bars), "day", scene.calendar)
    names = (*records.NUMBERS, "up", "down")
    days = records.to_dates(good["day"])
    rows = {day: [int(bar[n]) for n in names] for day, bar in zip(days, good, strict=True)}
    running = frozenset(day for day in rows if not is_final(day, bars.fetched_at))
    return Stored(rows, running, len(rejected))


def minutes_kept(scene: Scene, bars: TimedBars) -> Stored:
    landed = records.from_answer(bars)
    good, rejected = plausibility.check("x", landed, bars.period, scene.calendar)
    finished = records.fetched_after_close(good)
    names = ("day", "label", *records.NUMBERS)
    keys = [(int(bar["day"]), int(bar["label"])) for bar in good]
    rows = {key: [int(bar[n]) for n in names] for key, bar in zip(keys, good, strict=True)}
    running = frozenset(key for key, done in zip(keys, finished, strict=True) if not done)
    return Stored(rows, running, len(rejected))


def points_kept(scene: Scene, points: MinutePoints) -> Stored:
    rows = dict(zip(points.labels, zip(points.price, points.number, strict=True), strict=True))
    return Stored(rows, misfit=abs(sum(points.number) - scene.hands(points.day)))


def ticks_kept(scene: Scene, by_day: Mapping[date, Ticks]) -> Stored:
    rows = {
        (day, ordinal): row
        for day, ticks in by_day.items()
        for ordinal, row in enumerate(
            zip(ticks.stamps, ticks.price, ticks.volume, ticks.side, strict=True)
        )
    }
    misfit = sum(abs(sum(ticks.volume) - scene.hands(day)) for day, ticks in by_day.items())
    return Stored(rows, misfit=misfit)


def day_kept(scene: Scene, ticks: Ticks) -> Stored:
    return ticks_kept(scene, {scene.days[0]: ticks})


def _plain(quote: Quote) -> dict[str, Any]:
    return {name: value for name, value in asdict(quote).items() if name != "fetched_at"}


def quotes_kept(scene: Scene, quotes: list[Quote]) -> Stored:
    rejected = sum(len(find_broken_rules(quote)) for quote in quotes)
    return Stored({quote.code: _plain(quote) for quote in quotes}, rejected=rejected)


def parts_kept(scene: Scene, info: StockInfo) -> Stored:
    rows: dict[str, Any] = {}
    if info.quote is not None:
        rows["quote"] = _plain(info.quote)
    if info.kline_day is not None:
        days = replace(info.kline_day, source_route="kline-all/ths")  # whose days they are
        rows["kline_day"] = days_kept(scene, days).rows
    if info.minute is not None:
        rows["minute"] = (info.minute.labels, info.minute.price)
    assert set(rows) | set(info.faults) == {"quote", "kline_day", "minute"}
    return Stored(rows)


def unchecked(scene: Scene, answer: Mapping[str, Any]) -> Stored:
    return Stored(answer)


def by_code(scene: Scene, listings: list[Any]) -> Stored:
    return Stored({listing.code: listing for listing in listings})


async def _all_lists(client: TdxClient, scene: Scene) -> list[Any]:
    stocks, funds = await asyncio.gather(client.codes(), client.etfs())
    return [*stocks, *funds]


async def _calendar(client: TdxClient, scene: Scene) -> Any:
    days = await client.workdays(scene.market.days[0], scene.clock.date(), expect_days=True)
    return {str(day): day for day in days}


def _two(scene: Scene) -> list[str]:
    return [scene.code, INDEX]


FAMILIES = (
    Family("lists", "codes", _all_lists, by_code, "name"),
    Family("calendar", "workday/range", _calendar, unchecked, "iso"),
    Family("days", "kline-all", lambda c, s: c.kline_all(s.code), days_kept),
    Family("minutes", "kline-history", lambda c, s: c.intraday(s.code), minutes_kept),
    Family(
        "all minutes",
        "kline-all",
        lambda c, s: c.intraday_all(s.code, period="minute15", limit=900),
        minutes_kept,
    ),
    Family("index days", "index/all", lambda c, s: c.index_all(INDEX), days_kept),
    Family("newest index days", "index", lambda c, s: c.index(INDEX, limit=200), days_kept),
    Family("index minutes", "index", lambda c, s: c.index_intraday(INDEX), minutes_kept),
    Family("adjusted days", "kline-all/ths", lambda c, s: c.kline_adjusted(s.code), days_kept),
    Family(
        "points", "minute", lambda c, s: c.minute_points(s.code, s.days[0]), points_kept, "Price"
    ),
    Family(
        "ticks of days",
        "trade-history/full",
        lambda c, s: c.trades_of_days(s.code, *s.days),
        ticks_kept,
        "price",
    ),
    Family(
        "ticks of a day",
        "minute-trade-all",
        lambda c, s: c.trades_of_day(s.code, s.days[0]),
        day_kept,
        "Price",
    ),
    Family(
        "pages of ticks",
        "trade-history",
        lambda c, s: c.trades_of_day(s.code, s.days[0]),
        day_kept,
        "Price",
        ("error:minute-trade-all",),
    ),
    Family("quotes", "batch-quote", lambda c, s: c.quotes(_two(s)), quotes_kept, "TotalHand"),
    Family("one quote", "quote", lambda c, s: c.quote([s.code]), quotes_kept, "TotalHand"),
    Family("stock info", "stock-info", lambda c, s: c.stock_info(s.code), parts_kept, "quote"),
    Family("stats", "market-stats", lambda c, s: c.market_stats(), unchecked, "sz"),
    Family("counts", "market-count", lambda c, s: c.market_count(), unchecked, "total"),
)
