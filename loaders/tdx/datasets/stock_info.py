"""Dataset `stock_info`: the service's overview of a code, a row for each part.

An answer has up to three parts: the quote, the newest thirty days of the third party's adjusted
bars, and the minutes of today. A part whose source failed is silently missing. If the third party's
page is empty, the whole call fails. The other two parts are then requested separately.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from loaders.engine.outcome import Outcome, SourceGone
from loaders.tdx.bars.tick_days import DAILY_MOVE, DayBar, find_divisor, is_tenfold
from loaders.tdx.client.answers import Bars, NeedsRestart
from loaders.tdx.client.answers_intraday import MinutePoints
from loaders.tdx.client.answers_quotes import Quote, StockInfo
from loaders.tdx.client.client import TdxClient
from loaders.tdx.context import Context, Dataset, answer_or_fault
from loaders.tdx.datasets.quote_snapshot import SINGLE, find_session_date
from loaders.tdx.tables import STOCK_INFO
from quotemill.errors import UpstreamError

ROUTE = "/api/stock-info"
MINUTE = "/api/minute"
NOT_FOR_INDICES = "an index: the third party's bars would be of the stock with the same digits"


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    day = find_session_date(ctx.window)

    async def load_code(code: str) -> Outcome:
        if code in ctx.settings.indices or ctx.instrument_type(code) == "index":
            return Outcome(code, skipped=NOT_FOR_INDICES)
        return await _load(ctx, code, day)

    return ctx.each(codes, load_code)


async def _load(ctx: Context, code: str, day: date) -> Outcome:
    fallback, quote_route = None, ROUTE
    try:
        info = await ctx.client.stock_info(code)
    except (SourceGone, NeedsRestart):
        raise
    except UpstreamError as error:
        info = await _apart(ctx.client, code, ctx.window.today, error)
        fallback, quote_route = f"{ROUTE} → {SINGLE}, {MINUTE}: {type(error).__name__}", SINGLE
    tenfold = is_tenfold(code, ctx.instrument_type(code))
    rows = build_rows(info, day, quote_route, tenfold=tenfold)
    if not rows:
        reasons = "; ".join(f"{part}: {why}" for part, why in sorted(info.faults.items()))
        return Outcome(code, failure=f"all three parts failed: {reasons}")
    if info.faults and not fallback:
        fallback = f"{ROUTE} without {', '.join(sorted(info.faults))}"
    return Outcome(
        code,
        [row | {"code": code, "is_final": True} for row in rows],
        cursor=day,
        fallback=fallback,
    )


async def _apart(client: TdxClient, code: str, today: date, cause: UpstreamError) -> StockInfo:
    """Request quote and minutes by their own routes, after the common call failed."""
    faults = {"kline_day": str(cause)}
    quotes, no_quote = await answer_or_fault(client.quote([code]))
    minute, no_minute = await answer_or_fault(client.minute_points(code, today))
    faults |= {"quote": str(no_quote)} if no_quote else {}
    faults |= {"minute": str(no_minute)} if no_minute else {}
    quote = quotes[0] if quotes else None
    parts = [part.fetched_at for part in (quote, minute) if part is not None]
    if not parts:
        raise cause
    return StockInfo(quote, None, minute, faults, min(parts))


def build_rows(
    info: StockInfo, day: date, quote_route: str, *, tenfold: bool
) -> list[dict[str, Any]]:
    """Build a row for each part; `day` and `quote_route` are those of the quote."""
    rows = []
    if info.quote is not None:
        rows.append(_quote_row(info.quote, day, quote_route))
    if info.kline_day:
        rows.append(_days_row(info.kline_day))
    if info.minute is not None:
        rows.append(_minutes_row(info.minute, _price_range(info), tenfold=tenfold))
    return rows


def _quote_row(quote: Quote, day: date, route: str) -> dict[str, Any]:
    same = ("previous_close", "open", "high", "low", "close", "amount_yuan", "fetched_at")
    return {name: getattr(quote, name) for name in same} | {
        "part": "quote",
        "trade_date": day,
        "row_count": 1,
        "volume": quote.total_hand,
        "source_route": route,
    }


def _days_row(bars: Bars) -> dict[str, Any]:
    """Build the row of the newest bar, which is adjusted and has no turnover."""
    newest = bars.row(len(bars) - 1)
    return {name: newest[name] for name in ("open", "high", "low", "close", "volume")} | {
        "part": "kline_day",
        "trade_date": bars.dates[-1],
        "row_count": len(bars),
        "previous_close": bars.close[-2] if len(bars) > 1 else None,
        "source_route": f"/api/{bars.source_route}",
        "fetched_at": bars.fetched_at,
    }


def _minutes_row(points: MinutePoints, near: DayBar | None, *, tenfold: bool) -> dict[str, Any]:
    """Build the row of the minutes so far, without prices before the session."""
    row = {
        "part": "minute",
        "trade_date": points.day,
        "row_count": len(points),
        "source_route": f"/api/{points.source_route}",
        "fetched_at": points.fetched_at,
    }
    if not len(points):
        return row
    low, high = min(points.price), max(points.price)
    by = find_divisor(low, high, near, tenfold=tenfold, slack=DAILY_MOVE) or (10 if tenfold else 1)
    return row | {
        "open": points.price[0] // by,
        "high": high // by,
        "low": low // by,
        "close": points.price[-1] // by,
        "volume": sum(points.number),
    }


def _price_range(info: StockInfo) -> DayBar | None:
    """Return the range of the quote, or of the last adjusted day, for the minutes."""
    if info.quote is not None and info.quote.low > 0:
        return DayBar(info.quote.low, info.quote.high, 0)
    if info.kline_day and info.kline_day.low[-1] > 0:
        return DayBar(info.kline_day.low[-1], info.kline_day.high[-1], 0)
    return None


DATASET = Dataset("stock_info", STOCK_INFO, ROUTE, fetch)
