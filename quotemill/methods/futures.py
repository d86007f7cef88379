"""Main contracts of futures, and their ticks."""

from __future__ import annotations

import psycopg

from quotemill.methods.answers import Answer, reading
from quotemill.methods.arguments import (
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
from quotemill.methods.session import Query, translating
from quotemill.methods.tables import TableSession
from quotemill.methods.words import FuturesAdjustment, FuturesFrequency, translate
from quotemill.rows import Rows


class Futures(TableSession):
    def main_contracts(
        self,
        variety: str,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
        *,
        exact: bool | None = None,
    ) -> Rows:
        """Read the main contract of a product on each trading day.

        variety: product, such as `SHFE.cu`

        Returns trading_day, underlying_contract, is_switch; open, high, low, close and
        settlement_price as traded; volume_lots; and roll_gap, the price step at a roll.

            >>> names = ["trading_day", "underlying_contract", "close"]
            >>> market.main_contracts("DCE.m", "2025-11-14", "2025-11-18", columns=names)
            trading_day  underlying_contract  close
             2025-11-14            DCE.m2512   3004
             2025-11-17            DCE.m2512   2982
             2025-11-18            DCE.m2601   2984
            3 rows of trading_day, underlying_contract, close
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.main_contracts import select_main_contracts

            days = read_day(start), read_day(end)
            name = read_word(variety, "variety", "SHFE.cu")
            return select_main_contracts(conn, self._schemas["futures"], name, *days)

        return self._pick(self._read(choose, exact), columns)

    @reading
    def futures_klines(
        self,
        batches: bool,
        varieties: Codes,
        start: Moment = None,
        end: Moment = None,
        freq: FuturesFrequency = "1d",
        adjust: FuturesAdjustment = None,
        columns: Columns = None,
        *,
        count: int | None = None,
        exact: bool | None = None,
    ) -> Answer:
        """Read bars of main contracts as one continuous series per product.

        varieties: products such as `SHFE.cu`, `cu` or `KQ.m@SHFE.cu`. None reads all.
        start, end: trading days; for minutes also times
        freq: 1d, 1m, 5m, 15m, 30m, 60m, or the other names that `klines` accepts
        adjust: None: as traded; back_diff, back_ratio, forward_diff, forward_ratio: without the
            price steps at rolls
        count: only the last bars of each product

        Returns variety, trading_day, underlying_contract, open, high, low, close, volume_lots,
        close_oi and is_roll. Days also have settlement_price, minutes have start_at (UTC). Days
        without a bar, such as the next trading day, are left out.

            >>> names = ["trading_day", "underlying_contract", "close"]
            >>> days = "2025-11-14", "2025-11-18"
            >>> market.futures_klines("DCE.m", *days, adjust="back_diff", columns=names)
            trading_day  underlying_contract  close
             2025-11-14            DCE.m2512   3008
             2025-11-17            DCE.m2512   2986
             2025-11-18            DCE.m2601   2984
            3 rows of trading_day, underlying_contract, close
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.main_contracts import select_bars

            return select_bars(
                conn,
                self._schemas["futures"],
                read_names(varieties) or [],
                freq=translate(freq, FuturesFrequency),
                adjust=translate(adjust, FuturesAdjustment),
                start=read_moment(start),
                end=read_moment(end),
                count=read_count(count),
                columns=read_columns(columns),
            )

        return self._answer(choose, exact, batches)

    @reading
    def futures_ticks(
        self,
        batches: bool,
        variety: str,
        start: Moment = None,
        end: Moment = None,
        columns: Columns = None,
    ) -> Answer:
        """Read ticks of a product's main contracts from the tick store.

        variety: product, such as `SHFE.cu`
        start, end: trading days, which begin in the night before; or times

        Returns ts (UTC), last_price, volume and amount of the trading day so far, open_interest,
        and the book as bid_price1, bid_volume1, … Prices are doubles, as the source sends them.
        With `batches=True`, each batch is part of one trading day.
        """
        from quotemill.readers.futures_ticks import stream_ticks

        with translating(self._warehouse):
            reader = stream_ticks(
                self._settings,
                read_word(variety, "variety", "SHFE.cu"),
                start=read_moment(start),
                end=read_moment(end),
                columns=read_columns(columns),
            )
            return reader if batches else Rows(reader.read_all())
