"""Tables of the market by code and day, and any table by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import psycopg

from quotemill.codes import read_exchange
from quotemill.errors import UsageError
from quotemill.methods.answers import Answer, Reads, reading
from quotemill.methods.arguments import (
    CHINA,
    NEW_YORK,
    Codes,
    Columns,
    Moment,
    read_columns,
    read_count,
    read_day,
    read_moment,
    read_names,
    read_word,
)
from quotemill.methods.session import Query, Session, choose_exact
from quotemill.methods.words import Kind, translate
from quotemill.rows import Rows

_STILL = date(9999, 12, 30)  # a day of what has not ended


class TableSession(Session):
    """A session that reads tables by their names."""

    @property
    def _schemas(self) -> dict[str, str]:
        """The schemas that users read, by the names that they have unless they are renamed."""
        inner = {name: self._warehouse.inner_schema(name) for name in ("futures", "options")}
        return {"market": self._market, **inner}

    def _choose_rows(
        self,
        conn: psycopg.Connection,
        name: str,
        *,
        codes: Codes = None,
        columns: Columns = None,
        start: Moment = None,
        end: Moment = None,
        on: Moment = None,
        count: int | None = None,
        order: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        batches: bool = False,
    ) -> Query:
        from quotemill.readers.queries import describe_table
        from quotemill.readers.tables import choose_entity, find_codes, select_rows

        if on is not None and not (start is None and end is None):
            raise UsageError("on can't be combined with start or end", hint="Leave out on.")
        if batches and codes is None and count is None:
            order = ()  # to order all rows of a market would take a sort on the server's disk
        table, names = describe_table(conn, name), read_names(codes)
        table = choose_entity(table, names or [])
        zone = NEW_YORK if table.is_of(self._schemas["options"]) else CHINA
        day = read_day(on, zone)
        return select_rows(
            table,
            columns=read_columns(columns),
            codes=[] if names is None else find_codes(conn, self._schemas, table, names),
            start=day or read_moment(start, zone),
            end=day or read_moment(end, zone),
            count=read_count(count),
            order=order,
            where=where,
        )

    def _read_table(
        self,
        batches: bool,
        table: str,
        order: Sequence[str] | None,
        codes: Codes = None,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
        *,
        on: Moment = None,
        count: int | None = None,
        exact: bool | None = None,
        float: bool = False,
    ) -> Answer:
        def choose(conn: psycopg.Connection) -> Query:
            schema, _, name = table.partition(".")
            return self._choose_rows(
                conn,
                f"{self._schemas[schema]}.{name}",
                codes=codes,
                columns=columns,
                start=start,
                end=end,
                on=on,
                count=count,
                order=order,
                batches=batches,
            )

        return self._answer(choose, choose_exact(exact, float), batches)


reads = Reads(TableSession._read_table)


class Tables(TableSession):
    @reading
    def table(
        self,
        batches: bool,
        name: str,
        codes: Codes = None,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
        *,
        on: Moment = None,
        count: int | None = None,
        exact: bool | None = None,
    ) -> Answer:
        """Read any table of the schemas market, futures and options.

        name: table with or without its schema: `stock_limits`, `options.forwards`
        codes: values of the table's column code, variety, contract or symbol
        on: one day. For rows with a period, such as names or members, the rows valid on that day.
        count: only the last rows of each code

        Returns the table's columns.

            >>> names = ["trade_date", "close"]
            >>> market.table("kline_daily_joined_qfq", "600000", "2024-06-03", columns=names)
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.tables import find_name

            return self._choose_rows(
                conn,
                find_name(conn, self._schemas, read_word(name, "table", "stock_limits")),
                codes=codes,
                columns=columns,
                start=start,
                end=end,
                on=on,
                count=count,
                batches=batches,
            )

        return self._answer(choose, exact, batches)

    def symbols(
        self,
        codes: Codes = None,
        columns: Columns = None,
        *,
        kind: Kind | None = None,
        exchange: str | None = None,
        on: Moment = None,
        exact: bool | None = None,
    ) -> Rows:
        """List stocks, funds and indices.

        kind: stock, fund or index. etf means fund, which includes LOFs, REITs and closed-end funds.
        exchange: sh, sz or bj, or another name of these, such as XSHG
        on: only codes listed on this day. Codes without a list_date always count as listed.

        Returns code, name, instrument_type, list_date, delist_date, …

            >>> market.symbols(kind="stock", exchange="sh", on="2024-06-05")
        """
        where = {"instrument_type": kind and translate(kind, Kind)}
        where["exchange"] = read_exchange(exchange)
        return self._read_rows(
            "symbol_dim", where, codes=codes, columns=columns, on=on, exact=exact
        )

    def calendar(
        self,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
        *,
        exact: bool | None = None,
    ) -> Rows:
        """List trading days.

        Returns trade_date, previous_trade_date, next_trade_date, trade_day_number, … A row with
        `exchanges`, such as sz, is a trading day only there: until 1995 Shenzhen had its own days.
        """
        return self._read_rows(
            "trading_calendar", {}, start=start, end=end, columns=columns, exact=exact
        )

    def sectors(
        self, kind: str | None = None, columns: Columns = None, *, exact: bool | None = None
    ) -> Rows:
        """List sectors: sector_id, sector_kind (concept, industry, index, …), sector_name, …

        kind: only sectors of this kind

            >>> market.sectors(kind="index")
        """
        return self._read_rows("sectors", {"sector_kind": kind}, columns=columns, exact=exact)

    def sector_members(
        self,
        sector: str | None = None,
        codes: Codes = None,
        columns: Columns = None,
        *,
        kind: str | None = None,
        on: Moment = None,
        exact: bool | None = None,
    ) -> Rows:
        """List the members of a sector, or the sectors of codes.

        sector: name or sector_id. None: all sectors.
        kind: only sectors of this kind, as in `sectors`
        on: members on this day. None: today's. `table("sector_members")` has all past ones too.

        Returns sector_id, code, valid_from and valid_to (exclusive).

            >>> market.sector_members("沪深300", on="2024-06-05")
            >>> market.sector_members(codes="600000", kind="industry")
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.securities import find_sectors, require_members

            name = None if sector is None else read_word(sector, "sector", "沪深300")
            require_members(conn, self._market, read_day(on))
            is_any = name is None and kind is None
            return self._choose_rows(
                conn,
                f"{self._market}.sector_members",
                codes=codes,
                columns=columns,
                on=_STILL if on is None else on,
                where={} if is_any else {"sector_id": find_sectors(conn, self._market, name, kind)},
            )

        return self._read(choose, exact)

    @reads("market.tick_trade_raw", order=("code", "trade_date", "ordinal"))
    def ticks(self) -> None:
        """Read trades of A shares.

        Returns code, trade_date, ordinal (from 1), traded_at (UTC), price (yuan), volume_shares,
        side_name (buy, sell or neutral), … The source only gives minutes, so sort the trades of a
        minute by ordinal. Table market.tick_trade_raw.
        """

    @reads("market.quote_snapshot")
    def quotes(self) -> None:
        """Read sampled quotes: sampled_at (UTC), open, high, low, close, five bids and asks."""

    @reads("market.daily_basic")
    def daily_basic(self) -> None:
        """Read daily figures: previous close, turnover rate in percent, shares, market values."""

    @reads("market.stock_limits")
    def limits(self) -> None:
        """Read daily price limits: up_limit, down_limit, is_limit_up, is_limit_down, limit_rule, …

        >>> names = ["trade_date", "close", "up_limit", "down_limit"]
        >>> market.limits("600000", count=2, columns=names)
        trade_date  close  up_limit  down_limit
        2025-06-27   6.92      7.72        6.32
        2025-06-30   6.81      7.61        6.23
        2 rows of trade_date, close, up_limit, down_limit
        """

    @reads("market.suspensions")
    def suspensions(self) -> None:
        """Read suspensions: periods without a trade between two bars.

        Returns code, last_bar_date (last bar before) and trade_date (first bar after). trade_date
        is null while a suspension continues, and for delisted codes that the service still lists.
        `on`, `start` and `end` select days without a trade.
        """

    @reads("market.share_capital")
    def capital(self) -> None:
        """Read share counts: float_shares, total_shares, valid_from, valid_to (exclusive)."""

    @reads("market.adjustment_segments")
    def factors(self) -> None:
        """Read the coefficients that adjust prices from valid_from to valid_to (exclusive).

        hfq = backward_a x price + backward_b, and qfq = forward_a x price + forward_b. The forward
        coefficients are rounded. Raw price x ratio_factor keeps the returns of the market.
        """

    @reads("market.corporate_actions", order=("code", "ex_date", "source", "seq"))
    def corporate_actions(self) -> None:
        """Read dividends, bonus and rights shares, splits and capital changes, by ex_date.

        Returns amounts per 10 shares before tax: cash_per10_yuan, bonus_total_per10, rights_per10
        at rights_price_yuan; split_ratio of a fund; adjusts_price, whether it changes adjusted
        prices; and is_active, whether its ex-date has passed as well. hfq prices become
        m x price + c.

            >>> names = ["ex_date", "cash_per10_yuan", "bonus_total_per10"]
            >>> market.corporate_actions("600000", columns=names).to_pandas()
                 ex_date  cash_per10_yuan  bonus_total_per10
            0 2023-09-21             2.02                0.0
            1 2024-04-02             0.00                3.0
            2 2025-01-24             1.35                0.0
        """

    def _read_rows(
        self,
        table: str,
        where: Mapping[str, str | None],
        *,
        exact: bool | None,
        **words: Any,
    ) -> Rows:
        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.tables import require_values

            relation = f"{self._market}.{table}"
            wanted = {name: [value] for name, value in where.items() if value is not None}
            require_values(conn, relation, wanted)
            return self._choose_rows(conn, relation, where=wanted, **words)

        return self._read(choose, exact)
