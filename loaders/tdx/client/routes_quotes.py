"""Routes of snapshots: quotes, stock-info, counts of the market."""

from collections.abc import Sequence

from loaders.tdx.client import answers_quotes as answers
from loaders.tdx.client.answers_quotes import Counts, Quote, StockInfo
from loaders.tdx.client.connection import Connection, check_code
from loaders.tdx.client.reply import Reply
from loaders.tdx.client.routes_bars import refuse_index

MOST_QUOTES = 50  # codes of one request; with more the whole call fails


class QuoteRoutes(Connection):
    """Snapshots of securities and of the market."""

    async def quotes(self, codes: Sequence[str]) -> list[Quote]:
        """Quotes of 1 to 50 codes, in their order. Raises UnknownCode for all of them."""
        return await self._quotes("batch-quote", codes, post=True)

    async def quote(self, codes: Sequence[str]) -> list[Quote]:
        """Quotes as `quotes` returns them, by the older route."""
        return await self._quotes("quote", codes, post=False)

    async def stock_info(self, code: str) -> StockInfo:
        """Quote, days and minutes of a stock or fund, each part checked on its own.

        One part comes from the third-party page, so an index raises UsageError. If that page comes
        back empty, the connection breaks and the whole call fails (RetryableAnswer).
        """
        refuse_index(code)
        return await self._ask(
            "stock-info",
            {"code": code},
            lambda reply: answers.read_stock_info(reply, code),
            subject=code,
            upstream=False,
        )

    async def market_stats(self) -> dict[str, Counts]:
        """Stocks in the service's cache by exchange; up, down, flat are no breadth."""
        return await self._ask("market-stats", {}, answers.read_stats)

    async def market_count(self) -> dict[str, int]:
        """All instruments by exchange, bonds and indices included."""
        return await self._ask("market-count", {}, answers.read_counts)

    async def _quotes(self, route: str, codes: Sequence[str], *, post: bool) -> list[Quote]:
        if not 1 <= len(codes) <= MOST_QUOTES:
            raise ValueError(
                f"{len(codes)} codes requested, but only 1 to {MOST_QUOTES} are allowed"
            )
        for code in codes:
            check_code(code)

        def read(reply: Reply) -> list[Quote]:
            # an empty list is no wrong shape: `due` makes it a retryable failure
            return answers.read_quotes(reply, codes) if reply.data != [] else []

        return await self._ask(
            route,
            {} if post else dict.fromkeys(("code", "full_code"), ",".join(codes)),
            read,
            subject=codes[0] if len(codes) == 1 else f"{codes[0]} to {codes[-1]}",
            codes=codes if post else (),
            due="a quote",
        )
