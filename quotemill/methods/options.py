"""Chains of US options."""

from __future__ import annotations

from quotemill.errors import UsageError
from quotemill.methods.arguments import NEW_YORK, Columns, Moment, read_day, read_word
from quotemill.methods.session import translating
from quotemill.methods.tables import TableSession, reads
from quotemill.rows import Rows


class Options(TableSession):
    def option_chain(
        self,
        symbol: str,
        date: Moment,
        slot: str | None = None,
        columns: Columns = None,
        *,
        exact: bool | None = None,
    ) -> Rows:
        """Read the option chain of a US underlying on one day, a row per contract.

        symbol: underlying, such as `AAPL` or `BRK B`
        date: session
        slot: HH:MM in New York. None reads the close, with open_interest.

        Returns expiry, dte (days), option_right, strike, bid, ask, mid, iv, delta, … Prices are in
        dollars.

            >>> names = ["local_symbol", "bid", "ask", "open_interest"]
            >>> market.option_chain("SPX", "2026-11-19", columns=names).head(2)
            >>> market.option_chain("SPX", "2026-11-19", slot="10:00").to_pandas()
        """
        from quotemill.readers.option_chains import read_option_chain

        options = self._warehouse.inner_schema("options")
        with translating(self._warehouse), self._lend() as conn:
            exact = self._choose_exact(exact)
            name = read_word(symbol, "symbol", "AAPL")
            day = read_day(date, NEW_YORK)
            if day is None:
                raise UsageError("date is missing", hint="Pass a day such as 2026-11-24.")
            chain = read_option_chain(conn, options, name, day, slot, as_float=exact is False)
        return self._pick(Rows(chain, is_exact=exact is True), columns)

    @reads("options.chain_daily_clean")
    def option_chains(self) -> None:
        """Read option chains at the close over several days.

        A row per symbol, trade_date and contract, with the columns of options.chain_daily_clean.

            >>> market.option_chains("AAPL", "2026-11-23", "2026-11-24")
        """
