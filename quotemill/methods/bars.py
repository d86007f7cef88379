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
        """Read bars of stocks, funds and indices.

        codes: stocks, funds and indices, also mixed. None reads all stocks and funds.
        freq: 1d, 1w, 1mo, 1q, 1y, 1m, 5m, 15m, 30m or 60m. Names from jqdata, RQData and tushare
            work too: daily, 1min, W, 1M (a month).
        adjust: None: as traded; qfq (pre): forward, as terminals show it; hfq (post): backward.
            Adjustment is affine, not by a ratio (see ratio_factor in `factors`), so old
            forward-adjusted prices can be zero or negative. Indices are never adjusted. You get a
            warning if no corporate actions are loaded, since adjusted prices then equal raw prices,
            and for codes with a refused event.
        as_of: only bars up to this day, adjusted for the events known on it, so that a backtest
            sees no later event. None: as of the newest day.
        count: only the last bars of each code, up to `end`
        known_at: a time with a zone: day bars as traded, as loads had fetched them by then, without
            later corrections. Needs `keep` in `[history]` of the settings since that time.

        Returns code, trade_date, open, high, low, close, volume_shares, amount_cny and is_final.
        Prices and turnover are in yuan (B shares: in their currency), volume is in shares. Minutes
        also have bar_end, in UTC. Minutes of indices have no volume.

        The day of a longer bar is its last trading day. `end` leaves out bars that end later. The
        newest bar is partial until is_final is true. With `as_of` you get the bar so far.

            >>> names = ["trade_date", "close"]
            >>> market.klines("600000", "2025-06-27", columns=names, exact=True).to_pandas()
              trade_date  close
            0 2025-06-27  6.920
            1 2025-06-30  6.810
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
