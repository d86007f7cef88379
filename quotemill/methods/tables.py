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
            raise UsageError("on is one day, start and end are others", hint="leave out on")
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
        """The rows of a table of market, futures or options: `stock_limits`, `options.forwards`.

        codes: of its column code, variety, contract or symbol
        on: a day: its rows; of what holds for a time, such as capital, names, members: what held
            on it
        count: only the last rows of each code
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
        """Shares, funds and indices: code, name, instrument_type, list_date, delist_date, …

        kind: stock, fund or index; etf means fund: LOFs, REITs and closed-end funds are of it too
        exchange: sh, sz, bj, or another of their names, such as XSHG
        on: those listed on a day; a code without a list_date counts as listed always
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
        """Trading days: trade_date, previous_trade_date, next_trade_date, trade_day_number, …

        A row with `exchanges`, such as sz, is a day of these alone: Shenzhen's until 1995.
        """
        return self._read_rows(
            "trading_calendar", {}, start=start, end=end, columns=columns, exact=exact
        )

    def sectors(
        self, kind: str | None = None, columns: Columns = None, *, exact: bool | None = None
    ) -> Rows:
        """Sectors: sector_id, sector_kind (concept, industry, index, …), sector_name, …"""
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
        """Members of a sector, by its name or id, or the sectors of codes.

        kind: only sectors of it, as `sectors` has them
        on: a day; None: those of today. `table("sector_members")` has all that ever were.
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
        """Trades of shares: code, trade_date, ordinal (from 1), traded_at (UTC), price (yuan), …

        `volume_shares` of the trade, `side_name`: buy, sell or neutral. Table
        market.tick_trade_raw; the source gives minutes, so `ordinal` alone orders a minute's
        trades.
        """

    @reads("market.quote_snapshot")
    def quotes(self) -> None:
        """Quotes as they were sampled: sampled_at (UTC), open … close, five bids and asks."""

    @reads("market.daily_basic")
    def daily_basic(self) -> None:
        """Previous close, turnover rate in percent, share counts and market values, by day."""

    @reads("market.stock_limits")
    def limits(self) -> None:
        """Price limits by day: up_limit, down_limit, is_limit_up, is_limit_down, limit_rule, …"""

    @reads("market.suspensions")
    def suspensions(self) -> None:
        """Stretches without a trade, between the bars of last_bar_date and trade_date.

        `on`, `start` and `end` are days without a trade. One that goes on has no trade_date yet;
        nor has what left the exchange and not the service's list.
        """

    @reads("market.share_capital")
    def capital(self) -> None:
        """Share counts: float_shares, total_shares from valid_from to valid_to (left out)."""

    @reads("market.adjustment_segments")
    def factors(self) -> None:
        """How prices are adjusted from valid_from to valid_to (left out).

        hfq = backward_a x price + backward_b; qfq = forward_a x price + forward_b, whose two are
        rounded. By raw price x ratio_factor returns stay those of the market.
        """

    @reads("market.corporate_actions", order=("code", "ex_date", "source", "seq"))
    def corporate_actions(self) -> None:
        """Dividends, bonus and rights shares, splits, changes of capital, by ex_date.

        Amounts are per 10 shares, before tax: cash_per10_yuan, bonus_total_per10, rights_per10 at
        rights_price_yuan; `split_ratio` of a fund; hfq prices become m x price + c.
        `adjusts_price`: whether prices follow it; `is_active`: and its ex-date is reached.
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
