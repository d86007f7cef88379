"""Read prices, calendars, option chains and ticks from your quotemill warehouse.

    >>> import quotemill
    >>> market = quotemill.open()
    >>> market.klines("600000", "2025-06-27", columns=["trade_date", "close"], adjust="qfq")
    trade_date  close
    2025-06-27   6.92
    2025-06-30   6.81
    2 rows of trade_date, close

`open` finds the warehouse like the commands do: in QUOTEMILL_WAREHOUSE_URL, quotemill.toml or .env,
otherwise it uses the embedded server of QUOTEMILL_HOME and starts it if needed. Nothing is ever
written.

    market.klines(codes, start, end, freq="1d", adjust="qfq", as_of="2024-06-03")   bars
    market.klines(codes, count=20)                    the last 20 bars of each code
    market.table("stock_limits", codes, start, end)   any table of market, futures and options
    market.symbols(kind="stock", on="2024-06-03")   market.calendar()
    market.sectors()   market.sector_members("沪深300", on="2024-06-03")
    market.daily_basic(codes, start, end)             turnover rates, market values
    market.limits(codes)   market.suspensions(codes)   market.capital(codes)
    market.corporate_actions(codes)   market.factors(codes)
    market.ticks(codes, start, end)   market.quotes(codes)            A-share trades and quotes
    market.futures_klines("SHFE.cu", freq="5m", adjust="back_ratio")
    market.main_contracts("SHFE.cu")                  main contract of each day, with the rolls
    market.futures_ticks("SHFE.cu", start, end)
    market.option_chain("AAPL", "2026-11-24")         US options; option_chains: several days
    market.changes(since)                             changed data, for caches
    market.sql("select … from market.kline_daily where code = %s", ["sh600000"])

Each method returns `Rows`: convert them with `.to_pandas()`, `.to_arrow()`, `.to_polars()` or
`.to_duckdb(name)`. If a whole market does not fit into memory, read it in parts:

    for batch in market.klines(adjust="qfq", batches=True):
        ...

In pandas, days are datetime64 and prices are float64. Arrow, polars and DuckDB get exact decimals.
With `exact=True` pandas gets decimals too, and with `exact=False` everything gets doubles: set it
in a method, or in `open` for all methods. Days are the exchange's, times are in UTC.
`rows.to_zone()` converts times to China's zone, `rows.to_zone("America/New_York")` to another.

Errors are `quotemill.Error` and tell you what to do. For type checkers, annotate variables as
`quotemill.Frequency`, `Adjustment`, `FuturesFrequency`, `FuturesAdjustment` or `Kind`, and cast
text from outside with `typing.cast(quotemill.Frequency, text)`.
"""

from os import PathLike
from typing import TYPE_CHECKING, Any

from quotemill.errors import QuotemillError as Error
from quotemill.methods.words import (
    Adjustment,
    Frequency,
    FuturesAdjustment,
    FuturesFrequency,
    Kind,
)
from quotemill.rows import Rows

if TYPE_CHECKING:
    from quotemill.reader import Reader

__all__ = [
    "Adjustment",
    "Error",
    "Frequency",
    "FuturesAdjustment",
    "FuturesFrequency",
    "Kind",
    "Reader",
    "Rows",
    "__version__",
    "open",
]

__version__: str


def open(
    url: str | None = None,
    home: "str | PathLike[str] | None" = None,
    *,
    exact: bool | None = None,
) -> "Reader":
    """Open the warehouse for reading.

    url: PostgreSQL URL, used instead of the setting warehouse_url
    home: folder of the embedded server, used instead of QUOTEMILL_HOME
    exact: number type for all methods that don't set their own. None: decimals, except in pandas;
        True: decimals in pandas too; False: doubles everywhere

    Returns a `Reader`. Raises quotemill.Error if there is no warehouse yet, if it cannot be
    reached, or if a setting is wrong.
    """
    from dataclasses import replace

    from quotemill.errors import UsageError
    from quotemill.methods.session import add_hint
    from quotemill.reader import Reader
    from quotemill.settings import load_settings
    from quotemill.warehouse.opening import open_warehouse
    from quotemill.warehouse.postgres import READERS_WAIT

    try:
        if url and not ("://" in str(url) or "=" in str(url)):
            # which is not shown: it may have a password
            raise UsageError("url is not a PostgreSQL URL", hint="Use open(home=…) for a folder.")
        settings = load_settings(warehouse_url=url, home=home)
        warehouse = replace(open_warehouse(settings), lock_timeout=READERS_WAIT)
        return Reader(settings, warehouse, exact)
    except Error as error:
        raise add_hint(error) from None


# hidden from type checkers, which would take any name for an attribute
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("quotemill")
        # its module imports a driver of PostgreSQL, which few need who import a part of this
        if name == "Reader":
            from quotemill.reader import Reader

            return Reader
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
