"""Read quotemill's warehouse from Python: prices, calendars, chains and ticks as Arrow tables.

    import quotemill

    market = quotemill.open()
    bars = market.klines("600000", "2024-01-01", adjust="qfq").to_pandas()

`open` finds the warehouse as the commands do: by QUOTEMILL_WAREHOUSE_URL, quotemill.toml or .env,
else the embedded server of QUOTEMILL_HOME, which is started if need be. Nothing is ever written.

    market.klines(codes, start, end, freq="1d", adjust="qfq", as_of="2024-06-03")   bars
    market.klines(codes, count=20)                    the last 20 bars of each code
    market.table("stock_limits", codes, start, end)   any table of market, futures and options
    market.symbols(kind="stock", on="2024-06-03")   market.calendar()
    market.sectors()   market.sector_members("沪深300", on="2024-06-03")
    market.daily_basic(codes, start, end)             turnover rates, market values, last closes
    market.limits(codes)   market.suspensions(codes)   market.capital(codes)
    market.corporate_actions(codes)   market.factors(codes)
    market.ticks(codes, start, end)   market.quotes(codes)                          of shares
    market.futures_klines("SHFE.cu", freq="5m", adjust="back_ratio")
    market.main_contracts("SHFE.cu")                  main contracts of futures, with their rolls
    market.futures_ticks("SHFE.cu", start, end)
    market.option_chain("AAPL", "2026-11-24")         US options; option_chains: over days
    market.changes(since)                             what changed, for caches
    market.sql("select … from market.kline_daily where code = %s", ["sh600000"])

Each returns `Rows`: `.to_arrow()`, `.to_pandas()`, `.to_polars()`, `.to_duckdb(name)`. Whole
markets are read with `batches=True`, a piece at a time:

    for batch in market.klines(adjust="qfq", batches=True):
        ...

Frames of pandas have days as datetime64 and prices as float64; Arrow, polars and DuckDB have exact
decimals. `exact=True` keeps them in pandas too, `exact=False` makes doubles everywhere: on a
method, or on `open` for all. Days are those of the exchange, times UTC: `rows.to_zone()` has those
of China, `rows.to_zone("America/New_York")` of another zone. What goes wrong is a `quotemill.Error`
that says what to do. Type checkers know each word: annotate a variable of one as
`quotemill.Frequency`, `Adjustment`, `FuturesFrequency`, `FuturesAdjustment` or `Kind`, and one that
comes from outside by `typing.cast(quotemill.Frequency, text)`.
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

    url: a PostgreSQL URL, in place of the setting warehouse_url
    home: the folder of the embedded server, in place of QUOTEMILL_HOME
    exact: True: decimals in pandas too; False: doubles everywhere; for what no method says it

    Raises Error: where there is no warehouse yet, or it cannot be reached; for wrong settings.
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
            raise UsageError("url is no URL of PostgreSQL", hint="open(home=…) names a folder")
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
