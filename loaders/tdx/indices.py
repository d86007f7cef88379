"""Dataset `index_kline`: day bars of the configured indices.

Indices have routes of their own and no corporate actions: raw is adjusted. An index that the service
does not have answers an empty success; with nothing stored of it that is a skip, otherwise a fault.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date

import pyarrow as pa

from loaders.errors import UpstreamError
from loaders.tdx.answers import Bars
from loaders.tdx.client import INDEX_LIMIT, TdxClient
from loaders.tdx.klines import NOT_DUE, Outcome, Window, accepted, in_order, outcome_of
from loaders.tdx.outage import ServiceGone
from loaders.tdx.schemas import INDEX_KLINE
from loaders.trading_time import close_of, is_final
from loaders.warehouse.tables import conform

DATASET = "index_kline"
ROUTE = "/api/index/all"
PERIOD = "day"
_STAMP = pa.timestamp("us", tz="UTC")


async def fetch(
    client: TdxClient,
    codes: Sequence[str],
    window: Window,
    cursors: Mapping[str, date],
    concurrency: int,
) -> AsyncIterator[Outcome]:
    """Outcomes in the order of `codes`, as loaders.tdx.klines.fetch gives them."""

    async def one(code: str) -> Outcome:
        cursor = cursors.get(code)
        if not window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        return await outcome_of(code, _load(client, code, window, cursor))

    async for outcome in in_order(codes, one, concurrency):
        yield outcome


async def _load(client: TdxClient, code: str, window: Window, cursor: date | None) -> Outcome:
    limit = window.limit(cursor)
    bars = await _bars(client, code, limit, known=cursor is not None)
    if limit is not None and cursor is not None and bars.dates[0] > cursor:
        bars = await client.index_all(code)
    if not len(bars):
        return Outcome(code, skipped="the service does not have this index")
    return accepted(code, bars, window, cursor)


async def _bars(client: TdxClient, code: str, limit: int | None, *, known: bool) -> Bars:
    """The route of whole histories first; for the newest days another route is the fall-back."""
    try:
        return await client.index_all(code, limit=limit, expect_rows=known)
    except ServiceGone:
        raise
    except UpstreamError:
        if limit is None or limit > INDEX_LIMIT:
            raise
        return await client.index(code, limit=limit, expect_rows=known)


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The rows of some indices as one Arrow table of the declared schema."""
    return pa.concat_tables([_rows(o.code, o.bars) for o in outcomes if o.bars])


def _rows(code: str, bars: Bars) -> pa.Table:
    size = len(bars)
    return conform(
        pa.table(
            {
                "code": [code] * size,
                "period": [PERIOD] * size,
                "bar_end": pa.array([close_of(day) for day in bars.dates], _STAMP),
                "trade_date": pa.array(bars.dates, pa.date32()),
                "open": bars.open,
                "high": bars.high,
                "low": bars.low,
                "close": bars.close,
                "volume": bars.volume,
                "amount": bars.amount,
                "up_count": bars.up,
                "down_count": bars.down,
                "source_route": [f"/api/{bars.source_route}"] * size,
                "fetched_at": pa.array([bars.fetched_at] * size, _STAMP),
                "is_final": [is_final(day, bars.fetched_at) for day in bars.dates],
            }
        ),
        INDEX_KLINE,
    )
