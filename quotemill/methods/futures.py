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
        """The main contract of a variety of futures, such as `SHFE.cu`, by trading day.

        underlying_contract, is_switch; open, high, low, close, settlement_price as traded,
        volume_lots; roll_gap: the step of prices at a roll.
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
        """Bars of the main contracts of varieties, such as `SHFE.cu`, as one series.

        variety, trading_day, underlying_contract, open, high, low, close, volume_lots, close_oi,
        is_roll; of days settlement_price, of minutes start_at (UTC). `start` and `end` of minutes
        may be times. Days without a bar, such as the next one, are left out.

        varieties: `cu` and `KQ.m@SHFE.cu` too; None: all
        freq: 1d, 1m, 5m, 15m, 30m, 60m, and the words of `klines`
        adjust: None: as traded; back_diff, back_ratio, forward_diff, forward_ratio: without the
            steps of rolls
        count: only the last bars of each variety
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
        """Ticks of the main contracts of a variety, such as `SHFE.cu`, from where they are kept.

        `ts` (UTC), last_price, volume and amount of the trading day so far, open_interest, the book
        as bid_price1, bid_volume1, … Days of `start` and `end` are trading days, which begin in the
        night before. Prices are doubles, as the source gives them. Batches hold a day at a time.
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
