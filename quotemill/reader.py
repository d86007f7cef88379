"""The warehouse as a reader sees it: methods that return rows, and change nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, overload

import psycopg

from quotemill.errors import QuotemillError, UsageError
from quotemill.rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from quotemill.settings import TopSettings
    from quotemill.warehouse.postgres import Warehouse

Codes: TypeAlias = str | Iterable[str] | None
Day: TypeAlias = date | str | None
Frequency: TypeAlias = Literal["1d", "1w", "1mo", "1m", "5m", "15m", "30m", "60m"]
Adjustment: TypeAlias = Literal["qfq", "hfq"] | None
Query: TypeAlias = tuple[str, Mapping[str, Any] | Sequence[Any] | None]

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


class Reader:
    """A warehouse that is open for reading; `quotemill.open` makes it.

    Use it in a `with` block, or call `close()`. Each reading is a read-only transaction of its own,
    so that a session of hours sees what was loaded meanwhile, and holds nothing up. Threads may
    share a reader.

    What the methods have in common:

    codes: one code or several, as people and other tools write them: `600000`, `600000.SH`,
        `sh600000`, `SHSE.600000`; None: the whole market. Columns have `sh600000`.
    start, end: days, both included: a date or `"2024-06-03"`; None: from the first, to the newest
    columns: names of those to read; None: all
    float: numbers with decimals as doubles; by default they are exact decimals
    batches: a `pyarrow.RecordBatchReader`, to loop over rows that do not fit into memory
    Order: by code and time where codes are given. A whole market comes as it is stored.

    Raises `quotemill.Error`, with what to do about it: for an unknown code, column or word, a table
    that is not built yet, a warehouse that cannot be reached.
    """

    def __init__(self, settings: "TopSettings", warehouse: "Warehouse") -> None:
        self._stack = ExitStack()
        self._settings = settings
        self._warehouse = self._stack.enter_context(warehouse.keeping_connections())
        self._market = warehouse.market_schema
        self._is_closed = False
        self._is_adjustment_checked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<quotemill.Reader of {self._warehouse.label}>"

    def close(self) -> None:
        """Close the connections. Rows that were read stay."""
        self._is_closed = True
        self._stack.close()

    @overload
    def klines(
        self,
        codes: Codes = None,
        start: Day = None,
        end: Day = None,
        freq: Frequency = "1d",
        adjust: Adjustment = None,
        as_of: Day = None,
        columns: Sequence[str] | None = None,
        *,
        known_at: datetime | str | None = None,
        float: bool = False,
        batches: Literal[False] = False,
    ) -> Rows: ...
    @overload
    def klines(
        self,
        codes: Codes = None,
        start: Day = None,
        end: Day = None,
        freq: Frequency = "1d",
        adjust: Adjustment = None,
        as_of: Day = None,
        columns: Sequence[str] | None = None,
        *,
        known_at: datetime | str | None = None,
        float: bool = False,
        batches: Literal[True],
    ) -> "pa.RecordBatchReader": ...
    def klines(
        self,
        codes: Codes = None,
        start: Day = None,
        end: Day = None,
        freq: Frequency = "1d",
        adjust: Adjustment = None,
        as_of: Day = None,
        columns: Sequence[str] | None = None,
        *,
        known_at: datetime | str | None = None,
        float: bool = False,
        batches: bool = False,
    ) -> "Rows | pa.RecordBatchReader":
        """Bars: code, trade_date, open, high, low, close, volume_shares, amount_cny, is_final.

        Prices are in yuan (B shares: in their currency), volume in shares, turnover in yuan. Bars
        within a day have `bar_end` too, in UTC.

        freq: 1d, 1w, 1mo; 1m, 5m, 15m, 30m, 60m. Weeks and months of shares are forward-adjusted:
            `adjust="qfq"`. Indices have 1d, 1w, 1mo and 1m.
        adjust: None: as traded; qfq: forward, as terminals show it; hfq: backward. Affine, so old
            forward-adjusted prices may be zero or negative. Warns once where no corporate action
            is loaded, as such prices equal raw ones.
        as_of: a day: only bars up to it, adjusted by the events known on it, so that a backtest
            knows no later one. None: as of the newest day.
        known_at: a time with its zone: day bars as traded, as loads had fetched them by then,
            without later corrections. Needs `keep` of `[history]` in the settings since that time.
        """
        from quotemill.readers.klines import find_securities, select_klines, warn_if_unadjusted

        days = {"start": _read_day(start), "end": _read_day(end), "as_of": _read_day(as_of)}
        names, at = _read_codes(codes), _read_time(known_at)

        def choose(conn: psycopg.Connection) -> Query:
            securities = find_securities(conn, self._market, names) if names is not None else []
            if adjust and not self._is_adjustment_checked:
                self._is_adjustment_checked = True
                warn_if_unadjusted(conn, self._market)
            return select_klines(
                conn,
                self._market,
                securities,
                freq=freq,
                adjust=adjust or "none",
                columns=columns or (),
                known_at=at,
                **days,
            )

        return self._answer(choose, float, batches)

    def ticks(
        self,
        codes: Codes = None,
        start: Day = None,
        end: Day = None,
        columns: Sequence[str] | None = None,
        *,
        float: bool = False,
        batches: bool = False,
    ) -> "Rows | pa.RecordBatchReader":
        """Trades of shares: code, trade_date, ordinal (from 1), traded_at (UTC), price (yuan), …

        `volume_shares` of the trade, `side_name`: buy, sell or neutral. Table
        market.tick_trade_raw; the source gives minutes, so `ordinal` alone orders a minute's
        trades.
        """
        chosen = ("tick_trade_raw", ("code", "trade_date", "ordinal"), "trade_date")
        return self._read_market(*chosen, codes, start, end, columns, float, batches)

    def calendar(self, start: Day = None, end: Day = None) -> Rows:
        """Trading days: trade_date, previous_trade_date, next_trade_date, trade_day_number, …

        A row with `exchanges`, such as sz, is a day of these alone: Shenzhen's until 1995.
        """
        table = ("trading_calendar", ("trade_date",), "trade_date")
        return self._rows(*table, None, start, end, None, False)

    def symbols(self, codes: Codes = None) -> Rows:
        """Shares, funds and indices: code, name, instrument_type, list_date, delist_date, …"""
        return self._rows("symbol_dim", ("code",), "list_date", codes, None, None, None, False)

    def corporate_actions(
        self, codes: Codes = None, start: Day = None, end: Day = None, *, float: bool = False
    ) -> Rows:
        """Dividends, bonus and rights shares, splits, changes of capital, by ex_date.

        Amounts are per 10 shares, before tax: cash_per10_yuan, bonus_total_per10, rights_per10 at
        rights_price_yuan; `split_ratio` of a fund. `adjusts_price`: whether prices follow it;
        `is_active`: and its ex-date is reached.
        """
        table = ("corporate_actions", ("code", "ex_date", "source", "seq"), "ex_date")
        return self._rows(*table, codes, start, end, _ACTION, float)

    def daily_basic(
        self,
        codes: Codes = None,
        start: Day = None,
        end: Day = None,
        columns: Sequence[str] | None = None,
        *,
        float: bool = False,
        batches: bool = False,
    ) -> "Rows | pa.RecordBatchReader":
        """Previous close, turnover rate in percent, share counts and market values, by day."""
        chosen = ("daily_basic", ("code", "trade_date"), "trade_date")
        return self._read_market(*chosen, codes, start, end, columns, float, batches)

    def main_contracts(self, variety: str, start: Day = None, end: Day = None) -> Rows:
        """The main contract of a variety of futures, such as `SHFE.cu`, by trading day.

        underlying_contract, is_switch; open, high, low, close, settlement_price as traded,
        volume_lots; roll_gap: the step of prices at a roll.
        """
        from quotemill.readers.main_contracts import read_main_contracts

        futures = self._warehouse.inner_schema("futures")
        first, last = _read_day(start), _read_day(end)
        return self._ask(lambda conn: read_main_contracts(conn, futures, variety, first, last))

    def futures_ticks(
        self,
        variety: str,
        start: Day = None,
        end: Day = None,
        columns: Sequence[str] | None = None,
        *,
        batches: bool = False,
    ) -> "Rows | pa.RecordBatchReader":
        """Ticks of the main contracts of a variety, such as `SHFE.cu`, from where they are kept.

        `ts` (UTC), last_price, volume and amount of the trading day so far, open_interest, the book
        as bid_price1, bid_volume1, … `start` and `end` are trading days. Prices are doubles, as the
        source gives them. Batches hold a day at a time.
        """
        from quotemill.readers.futures_ticks import stream_ticks

        with _translating(self._warehouse):
            reader = stream_ticks(
                self._settings,
                self._warehouse,
                variety,
                start=_read_day(start),
                end=_read_day(end),
                columns=columns or (),
            )
            return reader if batches else Rows(reader.read_all())

    def option_chain(self, symbol: str, date: "date | str", slot: str | None = None) -> Rows:
        """The option chain of a US underlying on a day: a row per contract.

        expiry, dte (days), option_right, strike, bid, ask, mid, iv, delta, …; in dollars.

        slot: HH:MM in New York; None: the close, with open_interest
        """
        from quotemill.readers.option_chains import read_option_chain

        options, day = self._warehouse.inner_schema("options"), _read_day(date)
        assert day is not None
        return self._ask(lambda conn: read_option_chain(conn, options, symbol, day, slot))

    def changes(self, since: int = 0) -> Rows:
        """What changed after the change of this number: one row per table, key and span of days.

        change_no: remember the greatest. After 30 days changes are folded into one per table that
        says all of it changed (an empty key, no days); a restored warehouse counts from the start.
        """
        relation = f"{self._market}.changes"

        def choose(conn: psycopg.Connection) -> Query:
            from quotemill.readers.listed import require_built

            require_built(conn, relation)
            return f"select * from {relation} where change_no > %s order by change_no", (since,)

        return Rows(self._open(choose, False).read_all())

    def sql(
        self,
        text: str,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        float: bool = False,
        batches: bool = False,
    ) -> "Rows | pa.RecordBatchReader":
        """The rows of any query; `params` for `%s` or `%(name)s` in it.

        A numeric of unknown precision, such as an average, is text: cast it (`avg(close)::numeric
        (18, 3)`), or ask for `float=True`. A literal % is %% where there are `params`.
        """
        return self._answer(lambda _: (text, params), float, batches)

    def _rows(
        self,
        table: str,
        order: Sequence[str],
        day: str,
        codes: Codes,
        start: Day,
        end: Day,
        columns: Sequence[str] | None,
        float: bool,
    ) -> Rows:
        rows = self._read_market(table, order, day, codes, start, end, columns, float, False)
        assert isinstance(rows, Rows)
        return rows

    def _read_market(
        self,
        table: str,
        order: Sequence[str],
        day: str,
        codes: Codes,
        start: Day,
        end: Day,
        columns: Sequence[str] | None,
        float: bool,
        batches: bool,
    ) -> "Rows | pa.RecordBatchReader":
        from quotemill.readers.klines import find_securities
        from quotemill.readers.tables import select_rows

        names, first, last = _read_codes(codes), _read_day(start), _read_day(end)

        def choose(conn: psycopg.Connection) -> Query:
            listed = find_securities(conn, self._market, names) if names is not None else []
            return select_rows(
                conn,
                f"{self._market}.{table}",
                # to order all bars of a market would take a sort on the server's disk
                order=() if names is None and batches else order,
                columns=columns or (),
                codes=[security.code for security in listed],
                day=day,
                start=first,
                end=last,
            )

        return self._answer(choose, float, batches)

    def _ask(self, read: Callable[[psycopg.Connection], "pa.Table"]) -> Rows:
        with _translating(self._warehouse), self._lend() as conn:
            return Rows(read(conn))

    def _answer(
        self, choose: Callable[[psycopg.Connection], Query], float: bool, batches: bool
    ) -> "Rows | pa.RecordBatchReader":
        reader = self._open(choose, float)
        return reader if batches else Rows(reader.read_all())

    def _open(
        self, choose: Callable[[psycopg.Connection], Query], float: bool
    ) -> "pa.RecordBatchReader":
        import pyarrow as pa

        from quotemill.readers.arrow import stream_rows

        def read() -> Iterator[Any]:
            with _translating(self._warehouse), self._lend() as conn:
                reader = stream_rows(conn, *choose(conn), as_float=float)
                yield reader.schema
                yield from reader

        following = read()
        schema = next(following)
        return pa.RecordBatchReader.from_batches(schema, following)

    def _lend(self) -> AbstractContextManager[psycopg.Connection]:
        if self._is_closed:
            raise UsageError("the reader is closed", hint="quotemill.open() opens another")
        return self._warehouse.lend(self._connect)

    def _connect(self) -> psycopg.Connection:
        conn = self._warehouse.connect(application_name="quotemill reader")
        conn.read_only = True
        return conn


@contextmanager
def _translating(warehouse: "Warehouse") -> Iterator[None]:
    """Errors of the server as those of quotemill, whose traceback ends with the hint."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None or isinstance(error, psycopg.errors.QueryCanceled):
            raise add_hint(warehouse.away(error)) from None
        text = error.diag.message_primary or str(error)
        hint = "quotemill build" if isinstance(error, psycopg.errors.UndefinedTable) else ""
        raise add_hint(UsageError(text, hint=hint)) from error
    except QuotemillError as error:
        raise add_hint(error) from None


def add_hint(error: QuotemillError) -> QuotemillError:
    if error.hint and not getattr(error, "__notes__", None):
        error.add_note(f"hint: {error.hint}")
    return error


def _read_codes(codes: Codes) -> list[str] | None:
    if codes is None:
        return None
    names = [codes] if isinstance(codes, str) else list(codes)
    if not names:
        raise add_hint(UsageError("no codes are given", hint="None reads the whole market"))
    return names


def _read_time(time: datetime | str | None) -> datetime | None:
    if time is None or isinstance(time, datetime):
        return time
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        hint = "write 2024-06-03T16:00:00+08:00"
        raise add_hint(UsageError(f"{time} is no time", hint=hint)) from None


def _read_day(day: Day) -> date | None:
    if isinstance(day, datetime):
        return day.date()
    if day is None or isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise add_hint(UsageError(f"{day} is no day", hint="write 2024-06-03")) from None
