"""Dataset `market_stats_snapshot`: the service's counts for each exchange.

It counts the stocks in its cache by the sign of their stale prices, and all instruments. The
counts are stored unchanged. Whether stocks rose or fell is computed from our own bars and quotes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from loaders.engine.outcome import Outcome, SourceGone
from loaders.tdx.context import Context, Dataset, answer_or_fault
from loaders.tdx.datasets.quote_snapshot import find_session_date
from loaders.tdx.tables import MARKET_STATS

ROUTE = "/api/market-stats"
COUNTS = "/api/market-count"


def fetch(ctx: Context, exchanges: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `exchanges`; a failed call leaves nulls."""
    try:
        stats, no_stats = ctx.wait(answer_or_fault(ctx.client.market_stats()))
        counts, no_counts = ctx.wait(answer_or_fault(ctx.client.market_count()))
    except SourceGone as error:
        for exchange in exchanges:
            yield Outcome(exchange, failure=str(error), gone=error)
        return
    day = find_session_date(ctx.window)
    reasons = [
        f"{route} → nothing: {why}"
        for route, why in ((ROUTE, no_stats), (COUNTS, no_counts))
        if why is not None
    ]
    for exchange in exchanges:
        if len(reasons) == 2:
            yield Outcome(exchange, failure="; ".join(reasons))
            continue
        row: dict[str, Any] = {
            "exchange": exchange,
            "sampled_at": ctx.began,
            "trade_date": day,
            "source_route": ROUTE if stats else COUNTS,
            "fetched_at": ctx.began,
            "is_final": True,
        }
        # Without its code cache the service counts 0 stocks if it cannot get the exchange's list.
        fallback = reasons[0] if reasons else None
        if stats and (counted := stats[exchange]).total:
            row |= {"stock_count": counted.total, "up_count": counted.up}
            row |= {"down_count": counted.down, "flat_count": counted.flat}
        elif stats:
            fallback = f"{ROUTE} → nothing: it counts no stocks of {exchange}"
        if counts:
            row["instrument_count"] = counts[exchange]
        yield Outcome(exchange, [row], cursor=day, fallback=fallback)


DATASET = Dataset("market_stats_snapshot", MARKET_STATS, ROUTE, fetch)
