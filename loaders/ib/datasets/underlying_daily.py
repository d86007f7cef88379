"""Dataset `underlying_daily`: day bars of the underlyings, their dividends beside.

Keys are `AAPL 2026-11-19`. Each load reads a year again: a split or a dividend changes all bars
before it. `adjusted_as_of` is the session in whose shares they are.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.client.daily_bars import Dividends, count_requests
from loaders.ib.context import Context, Dataset
from loaders.ib.errors import GatewayTimeout, NotPermitted, RequestFailed
from loaders.ib.queries.landed import read_underlying
from loaders.ib.slots import parse_point, parse_symbol
from loaders.ib.tables import UNDERLYING_DAILY, UNDERLYING_DIVIDENDS
from quotemill.errors import NotDue, UpstreamError

BARS_ROUTE, DIVIDENDS_ROUTE = "historical_bars", "market_data"


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    lacking: set[str] = set()  # what a warning named already: the first symbol stands for all
    for key in keys:
        if ctx.load.cancelling():
            return
        yield _read_bar(ctx, key, parse_symbol(key), date.fromisoformat(parse_point(key)), lacking)


def _read_bar(ctx: Context, key: str, symbol: str, day: date, lacking: set[str]) -> Outcome:
    underlying = ctx.ask(lambda conn: read_underlying(conn, symbol))
    if underlying is None:
        return Outcome(key, skipped=f"{symbol} has not been looked up yet: discovery comes first")
    if ctx.gone is not None:
        return Outcome(key, failure=str(ctx.gone))
    try:
        if why := _find_refusal(ctx, day):
            return Outcome(key, skipped=why)
        requests = count_requests(underlying)
        while not ctx.gateway.history.take(requests):
            ctx.waits.pause(ctx.gateway.history.seconds_until(requests))
        bars, unadjusted = ctx.gateway.daily_bars(underlying)
    except NotPermitted as error:
        # no alarm each night: the subscription is missing, and nothing else needs these
        return Outcome(key, skipped=str(error))
    except UpstreamError as error:
        ctx.count_unanswered(symbol, error)
        return Outcome(key, failure=str(error))
    ctx.reset_unanswered()
    if unadjusted is not None:
        _warn_once(ctx, "adjusted_close", unadjusted, lacking)
    common = {"symbol": symbol, **ctx.lineage}
    rows = [
        vars(bar) | {"adjusted_as_of": day, "source_route": BARS_ROUTE} | common
        for bar in bars
        if bar.trade_date <= day  # a session that is under way has no close yet
    ]
    try:
        dividends = None if underlying.is_index else ctx.gateway.dividends(underlying)
    except (NotPermitted, GatewayTimeout, RequestFailed) as error:
        _warn_once(ctx, "dividends", error, lacking)
        dividends = None
    except UpstreamError as error:
        # the bars land all the same; without a cursor both are requested again
        ctx.record_loss(error)
        return Outcome(key, rows, failure=str(error))
    return Outcome(
        key, rows, cursor=day, cursor_key=symbol, beside=_describe(dividends, day, common)
    )


def _find_refusal(ctx: Context, day: date) -> str | None:
    """Why bars cannot be had as of a day, by a retry or past midnight: splits came since."""
    try:
        newest = ctx.timetable.finished_session().trade_date
    except NotDue as reason:
        return str(reason)
    if newest == day:
        return None
    return (
        f"bars as of {day} are no longer available, they may use the share count after a "
        "later split; fix: loaders run ib --task daily"
    )


def _warn_once(ctx: Context, what: str, error: Exception, lacking: set[str]) -> None:
    if what not in lacking:
        lacking.add(what)
        ctx.load.warn(
            f"{error}. The bars are stored, but {what} is empty, possibly for other symbols too"
        )


def _describe(
    dividends: Dividends | None, day: date, common: dict[str, Any]
) -> list[dict[str, Any]]:
    if dividends is None:
        return []
    return [vars(dividends) | {"trade_date": day, "source_route": DIVIDENDS_ROUTE} | common]


DATASET = Dataset(
    "underlying_daily",
    UNDERLYING_DAILY,
    BARS_ROUTE,
    fetch,
    beside=UNDERLYING_DIVIDENDS,
    keys=Keys(row_key=lambda row: str(row["symbol"])),
    recurs=False,
)
