"""Bars of shares, funds and indices."""

from __future__ import annotations

from datetime import datetime

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
    read_time,
)
from quotemill.methods.session import Query, Session, choose_exact
from quotemill.methods.words import Adjustment, Frequency, translate


class Bars(Session):
    _is_adjustment_checked = False

    @reading
    def klines(
        self,
        batches: bool,
        codes: Codes = None,
        start: Moment = None,
        end: Moment = None,
        freq: Frequency = "1d",
        adjust: Adjustment = None,
        as_of: Moment = None,
        columns: Columns = None,
        *,
        count: int | None = None,
        known_at: datetime | str | None = None,
        exact: bool | None = None,
        float: bool = False,
    ) -> Answer:
        """Bars: code, trade_date, open, high, low, close, volume_shares, amount_cny, is_final.

        Prices are in yuan (B shares: in their currency), volume in shares, turnover in yuan. Bars
        within a day have `bar_end` too, in UTC.

        Longer bars are chosen by their day: `end` leaves out one that ends later, and the newest is
        partial (`is_final`); `as_of` gives that of its day as far as it went.

        codes: shares, funds and indices, also together; minutes of indices have no volume
        freq: 1d, 1w, 1mo, 1q, 1y; 1m, 5m, 15m, 30m, 60m. Words of jqdata, RQData and tushare mean
            the same: daily, 1min, W, 1M (a month). The day of a longer bar is its last trading day.
        adjust: None: as traded; qfq (pre): forward, as terminals show it; hfq (post): backward.
            Affine, not by a ratio (`factors` has ratio_factor), so old forward-adjusted prices may
            be zero or negative. Warns once where no corporate action is loaded, as such prices
            equal raw ones, and of codes with a refused event. Nothing adjusts indices.
        as_of: a day: only bars up to it, adjusted by the events known on it, so that a backtest
            knows no later one. None: as of the newest day.
        count: only the last bars of each code, up to `end`
        known_at: a time with its zone: day bars as traded, as loads had fetched them by then,
            without later corrections. Needs `keep` of `[history]` in the settings since that time.
        """

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.klines import (
                find_securities,
                select_klines,
                warn_if_refused,
                warn_if_unadjusted,
            )

            names, adjustment = read_names(codes), translate(adjust, Adjustment)
            securities = find_securities(conn, self._market, names) if names is not None else []
            if adjustment != "none" and not self._is_adjustment_checked:
                self._is_adjustment_checked = True
                warn_if_unadjusted(conn, self._market)
            if adjustment != "none":
                warn_if_refused(conn, self._market, [s.code for s in securities])
            return select_klines(
                conn,
                self._market,
                securities,
                freq=translate(freq, Frequency),
                adjust=adjustment,
                start=read_moment(start),
                end=read_moment(end),
                as_of=read_day(as_of),
                known_at=read_time(known_at),
                count=read_count(count),
                columns=read_columns(columns),
            )

        return self._answer(choose, choose_exact(exact, float), batches)
