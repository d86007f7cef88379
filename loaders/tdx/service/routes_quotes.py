"""Routes of the moment: quotes, stock-info, counts of the market."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from loaders.tdx.service.answers import EmptyAnswer
from loaders.tdx.service.answers_quotes import (
    Counts,
    Quote,
    StockInfo,
    read_counts,
    read_quotes,
    read_stats,
    read_stock_info,
)
from loaders.tdx.service.connection import Connection, check_code
from loaders.tdx.service.routes_bars import refuse_index

MOST_QUOTES = 50  # codes of one request; more are an error of the whole call


class QuoteRoutes(Connection):
    """What is true for a moment."""

    async def quotes(self, codes: Sequence[str]) -> list[Quote]:
        """Quotes of 1 to 50 codes, in their order. One code that cannot be served fails them all
        (UnknownCode)."""
        return await self._quotes("batch-quote", codes, post=True)

    async def quote(self, codes: Sequence[str]) -> list[Quote]:
        """As `quotes`, by the older route."""
        return await self._quotes("quote", codes, post=False)

    async def stock_info(self, code: str) -> StockInfo:
        """What the service knows at once of a stock or fund, each part checked on its own.

        Part of it is the third-party page's: UsageError for an index. When that page comes back
        empty the connection breaks and the whole call fails (RetryableAnswer).
        """
        refuse_index(code)

        def decode(data: Any, fetched_at: datetime) -> StockInfo:
            return read_stock_info(
                "stock-info",
                data,
                code=code,
                fetched_at=fetched_at,
                unknown=self.unknown_fields,
                oddities=self.oddities,
            )

        return await self._ask("stock-info", {"code": code}, decode, subject=code, upstream=False)

    async def market_stats(self) -> dict[str, Counts]:
        """Stocks in the service's cache by exchange; its up, down and flat are not breadth."""

        def decode(data: Any, _: datetime) -> dict[str, Counts]:
            return read_stats("market-stats", data, unknown=self.unknown_fields)

        return await self._ask("market-stats", {}, decode)

    async def market_count(self) -> dict[str, int]:
        """All instruments by exchange, bonds and indices included."""

        def decode(data: Any, _: datetime) -> dict[str, int]:
            return read_counts("market-count", data, unknown=self.unknown_fields)

        return await self._ask("market-count", {}, decode)

    async def _quotes(self, route: str, codes: Sequence[str], *, post: bool) -> list[Quote]:
        if not 1 <= len(codes) <= MOST_QUOTES:
            raise ValueError(f"{len(codes)} codes; from 1 to {MOST_QUOTES} can be asked for")
        for code in codes:
            check_code(code)

        def decode(data: Any, fetched_at: datetime) -> list[Quote]:
            if data == []:
                raise EmptyAnswer(f"{route} {subject}: success without a quote")
            return read_quotes(
                route, data, codes=codes, fetched_at=fetched_at, unknown=self.unknown_fields
            )

        subject = codes[0] if len(codes) == 1 else f"{codes[0]} to {codes[-1]}"
        params = {} if post else {"code": ",".join(codes)}
        return await self._ask(route, params, decode, subject=subject, codes=codes if post else ())
