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
        """The option chain of a US underlying on a day: a row per contract.

        expiry, dte (days), option_right, strike, bid, ask, mid, iv, delta, …; in dollars.

        slot: HH:MM in New York; None: the close, with open_interest
        """
        from quotemill.readers.option_chains import read_option_chain

        options = self._warehouse.inner_schema("options")
        with translating(self._warehouse), self._lend() as conn:
            exact = self._choose_exact(exact)
            name = read_word(symbol, "symbol", "AAPL")
            day = read_day(date, NEW_YORK)
            if day is None:
                raise UsageError("no date is given", hint="write 2026-11-24")
            chain = read_option_chain(conn, options, name, day, slot, as_float=exact is False)
        return self._pick(Rows(chain, is_exact=exact is True), columns)

    @reads("options.chain_daily_clean")
    def option_chains(self) -> None:
        """The closes of chains over days: a row per symbol, trade_date and contract."""
