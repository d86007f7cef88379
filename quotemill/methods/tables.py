"""Tables of shares, funds and indices, by code and day."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import psycopg

from quotemill.methods.arguments import (
    Codes,
    Columns,
    Moment,
    read_columns,
    read_moment,
    read_names,
)
from quotemill.methods.session import Query, Session, choose_exact
from quotemill.rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa

# m and c of an event are left out: they follow from these, and have any number of places
_ACTION = (
    "code",
    "ex_date",
    "source",
    "seq",
    "category",
    "cash_per10_yuan",
    "bonus_total_per10",
    "rights_per10",
    "rights_price_yuan",
    "split_ratio",
    "total_shares_10k",
    "float_shares_10k",
    "adjusts_price",
    "is_active",
)


class ReadTable(Protocol):
    """A method that reads one table."""

    @overload
    def __call__(
        self,
        codes: Codes = None,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
        *,
        exact: bool | None = None,
        float: bool = False,
        batches: Literal[False] = False,
    ) -> Rows: ...
    @overload
    def __call__(
        self,
        codes: Codes = None,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
        *,
        exact: bool | None = None,
        float: bool = False,
        batches: Literal[True],
    ) -> "pa.RecordBatchReader": ...


def reads(
    table: str, day: str, *order: str, shown: Columns = None
) -> Callable[[Callable[[Any], None]], ReadTable]:
    """A method of the name and the words of the decorated function, which reads `table`.

    day: the column that `start` and `end` are about
    order: the columns that rows of codes are ordered by
    shown: the columns where none are named; None: all
    """

    def make(described: Callable[[Any], None]) -> Any:
        def read(
            self: "Tables",
            codes: Codes = None,
            start: Moment = None,
            end: Moment = None,
            columns: Columns = None,
            *,
            exact: bool | None = None,
            float: bool = False,
            batches: bool = False,
        ) -> "Rows | pa.RecordBatchReader":
            def choose(conn: psycopg.Connection) -> Query:
                return self._select(
                    conn,
                    table,
                    # to order all bars of a market would take a sort on the server's disk
                    order=() if codes is None and batches else order,
                    columns=read_columns(columns or shown),
                    codes=codes,
                    day=day,
                    start=start,
                    end=end,
                )

            return self._answer(choose, choose_exact(exact, float), batches)

        read.__name__, read.__doc__ = described.__name__, described.__doc__
        read.__qualname__ = described.__qualname__
        return read

    return make


class Tables(Session):
    @reads("tick_trade_raw", "trade_date", "code", "trade_date", "ordinal")
    def ticks(self) -> None:
        """Trades of shares: code, trade_date, ordinal (from 1), traded_at (UTC), price (yuan), …

        `volume_shares` of the trade, `side_name`: buy, sell or neutral. Table
        market.tick_trade_raw; the source gives minutes, so `ordinal` alone orders a minute's
        trades.
        """

    @reads("daily_basic", "trade_date", "code", "trade_date")
    def daily_basic(self) -> None:
        """Previous close, turnover rate in percent, share counts and market values, by day."""

    @reads("corporate_actions", "ex_date", "code", "ex_date", "source", "seq", shown=_ACTION)
    def corporate_actions(self) -> None:
        """Dividends, bonus and rights shares, splits, changes of capital, by ex_date.

        Amounts are per 10 shares, before tax: cash_per10_yuan, bonus_total_per10, rights_per10 at
        rights_price_yuan; `split_ratio` of a fund. `adjusts_price`: whether prices follow it;
        `is_active`: and its ex-date is reached.
        """

    def calendar(self, start: Moment = None, end: Moment = None) -> Rows:
        """Trading days: trade_date, previous_trade_date, next_trade_date, trade_day_number, …

        A row with `exchanges`, such as sz, is a day of these alone: Shenzhen's until 1995.
        """

        def choose(conn: psycopg.Connection) -> Query:
            order = ("trade_date",)
            return self._select(conn, "trading_calendar", order=order, start=start, end=end)

        return self._read(choose)

    def symbols(self, codes: Codes = None) -> Rows:
        """Shares, funds and indices: code, name, instrument_type, list_date, delist_date, …"""
        return self._read(
            lambda conn: self._select(conn, "symbol_dim", order=("code",), codes=codes)
        )

    def _select(
        self,
        conn: psycopg.Connection,
        table: str,
        *,
        order: Sequence[str],
        codes: Codes = None,
        columns: Sequence[str] = (),
        day: str = "trade_date",
        start: Moment = None,
        end: Moment = None,
    ) -> Query:
        from quotemill.readers.klines import find_securities
        from quotemill.readers.tables import select_rows

        names = read_names(codes)
        listed = find_securities(conn, self._market, names) if names is not None else []
        return select_rows(
            conn,
            f"{self._market}.{table}",
            order=order,
            columns=columns,
            codes=[security.code for security in listed],
            day=day,
            start=read_moment(start),
            end=read_moment(end),
        )
