"""Landed tables of China futures.

Values in the source's units, fields in snake case.

A variety is `SHFE.cu`, a contract `SHFE.cu2601`, a series (symbol) `KQ.m@SHFE.cu`. Days are trading
days: a night session belongs to the next one.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal

import pyarrow as pa

from loaders.landing.rejects import rejected_rows
from loaders.ticks.tables import DAY_INDEX, NO_DATA_DAYS, StoreTable
from loaders.warehouse.tables import LandedTable, landed_table

RAW_TQ = "raw_tq"
_TEXT, _INT, _BIG = pa.string(), pa.int32(), pa.int64()
_DATE = pa.date32()
_STAMP = pa.timestamp("us", tz="UTC")
_PRICE = pa.decimal128(24, 9)
_PLACES, _TOO_GREAT = Decimal("1e-9"), 10**15
# no contract costs a hundred million, and none trades or is held in 10^12 lots
_MOST = dict.fromkeys(
    ("open", "high", "low", "close", "price_tick", "settlement"), 10**8
) | dict.fromkeys(("volume", "open_oi", "close_oi"), 10**12)
_TERMS = (
    "upper_limit",
    "lower_limit",
    "pre_settlement",
    "pre_close",
    "margin",  # CNY a lot, as commission
    "commission",
    "price_tick",
)


def to_decimal(value: float) -> Decimal:
    """A price or turnover with the places of its column, by the float's shortest text.

    So 0.1 + 0.2 is 0.3. A number that is too great for the column stays as it is.
    """
    exact = Decimal(repr(float(value)))
    return exact.quantize(_PLACES) if abs(value) < _TOO_GREAT else exact


TRADING_DAY = landed_table(
    RAW_TQ,
    "trading_day",
    [("trade_date", _DATE)],
    key=("trade_date",),
    # future days are replaced together: a holiday announced late takes a day back
    whole=("source_route", "is_final"),
)

TRADING_SESSION = landed_table(
    RAW_TQ,
    "trading_session",
    [
        ("variety", _TEXT),
        # the source gives today's hours only: the day on which these were first seen
        ("valid_from", _DATE),
        ("session", _TEXT),  # day, night
        ("idx", _INT),  # from 0, in the order of the day
        # seconds since 00:00 Shanghai of the calendar day on which the session starts; above 86400
        # after midnight
        ("start_s", _INT),
        ("end_s", _INT),
    ],
    key=("variety", "valid_from", "session", "idx"),
    whole=("variety", "valid_from"),
    entity="variety",
    day="valid_from",
)

CONTRACT = landed_table(
    RAW_TQ,
    "contract",
    [
        ("contract", _TEXT),
        ("variety", _TEXT),
        ("exchange", _TEXT),
        ("name", _TEXT),
        ("expire_date", _DATE),
        ("price_tick", _PRICE),
        ("volume_multiple", _INT),
        ("delivery_year", _INT),
        ("delivery_month", _INT),
    ],
    key=("contract",),
    nullable=("expire_date",),
    most=_MOST | {"variety": 500},  # bytes: main_schedule_by_oi has an index on it
    entity="contract",
    day=None,
)

MAIN_EVENT = landed_table(
    RAW_TQ,
    "main_event",
    [
        ("variety", _TEXT),
        ("route", _TEXT),  # backtest, history
        ("trading_day", _DATE),  # the first on which it holds
        # the clock at which it came; for the first one, 00:00 Shanghai of the window's first day
        ("event_at", _STAMP),
        ("contract", _TEXT),  # null: nothing is listed
    ],
    key=("variety", "route", "trading_day", "event_at"),
    nullable=("contract",),
    whole=("variety", "route"),
    entity="variety",
    day="trading_day",
)

MAIN_HARVEST = landed_table(
    RAW_TQ,
    "main_harvest",  # the trading days that the events of a route cover, both included
    [("variety", _TEXT), ("route", _TEXT), ("first_day", _DATE), ("last_day", _DATE)],
    key=("variety", "route"),
    entity="variety",
    day="last_day",
)

CONTRACT_DAILY = landed_table(
    RAW_TQ,
    "contract_daily",
    [
        ("contract", _TEXT),
        ("trade_date", _DATE),
        *((name, _PRICE) for name in ("open", "high", "low", "close")),
        ("volume", _BIG),  # lots
        ("open_oi", _BIG),  # lots, open interest
        ("close_oi", _BIG),
    ],
    key=("contract", "trade_date"),
    nullable=("open", "high", "low", "close"),  # a day without a trade
    most=_MOST,
    entity="contract",
    day="trade_date",
)

SETTLEMENT = landed_table(
    RAW_TQ,
    "settlement",
    [
        ("contract", _TEXT),
        ("trade_date", _DATE),
        ("settlement", _PRICE),  # null: asked for long after the day, and the source has none
    ],
    key=("contract", "trade_date"),
    nullable=("settlement",),
    most=_MOST,
    entity="contract",
    day="trade_date",
)

CONTRACT_TERMS = landed_table(
    RAW_TQ,
    "contract_terms",  # by the quote of the trading day; null: the source gives none
    [
        ("contract", _TEXT),
        ("trade_date", _DATE),
        *((name, _PRICE) for name in _TERMS),
        ("pre_open_interest", _BIG),
        ("volume_multiple", _INT),
        ("quoted_at", _STAMP),
    ],
    key=("contract", "trade_date"),
    nullable=(*_TERMS, "pre_open_interest", "volume_multiple"),
    most=dict.fromkeys(_TERMS, 10**8) | {"pre_open_interest": 10**12},
    entity="contract",
    day="trade_date",
)

DAILY_HARVEST = landed_table(
    RAW_TQ,
    "daily_harvest",  # from which day on the bars of a contract were asked for
    [
        ("contract", _TEXT),
        ("first_day", _DATE),
        ("failed", _INT),  # trading days on which loads asked in vain; null once bars came
    ],
    key=("contract",),
    nullable=("failed",),
    entity="contract",
    day="first_day",
)


def _columns_of_store(
    table: StoreTable,
    name: str,
    without: Collection[str] = (),
    most: Mapping[str, int] | None = None,
) -> LandedTable:
    """A landed table with the columns of a table of the tick store."""
    fields = [field for field in table.schema if field.name not in {"ts", "ticks_kind", *without}]
    named = {
        field: {"underlying_contract": "contract"}.get(field.name, field.name) for field in fields
    }
    return landed_table(
        RAW_TQ,
        name,
        [(named[field], field.type) for field in fields],
        key=("symbol", "contract", "trading_day"),
        nullable=[named[field] for field in fields if field.nullable],
        most=most,
        entity="symbol",
        day="trading_day",
    )


SYMBOL_DAY = _columns_of_store(
    DAY_INDEX,
    "symbol_day",
    without=("run_id", "updated_at"),
    most={"rows": 10**9, "hash_a": 2**62, "hash_b": 2**62},
)
# status: no_data, short, or superseded once ticks came; only days on record
NO_DATA_DAY = _columns_of_store(NO_DATA_DAYS, "no_data_day")

TICK_REVISION = landed_table(
    RAW_TQ,
    "tick_revision",  # a day whose stored ticks were replaced, or taken out of what readers see
    [
        ("symbol", _TEXT),
        ("trading_day", _DATE),
        ("old_contract", _TEXT),
        ("new_contract", _TEXT),  # null: the schedule has no contract on that day any more
        ("old_hash", _TEXT),  # row_hash of the replaced ticks, and of the new ones
        ("new_hash", _TEXT),
        ("revised_at", _STAMP),
    ],
    key=("symbol", "trading_day", "revised_at"),
    nullable=("new_contract", "new_hash"),
    entity="symbol",
    day="trading_day",
)

_BAR = [
    *((name, _PRICE) for name in ("open", "high", "low", "close")),
    ("volume", _BIG),  # lots
]
_MINUTE_KEY = ("contract", "trading_day", "start_at")
TICK_MINUTE = landed_table(
    RAW_TQ,
    "tick_minute",  # made of stored ticks (loaders/tq/tick_days/minute_bars.py)
    [
        ("contract", _TEXT),
        ("trading_day", _DATE),
        ("start_at", _STAMP),
        ("session_start", _STAMP),  # of the hours without a break that the minute is in
        *_BAR,  # prices: null before the first trade of the day
        ("amount", _PRICE),  # null: the ticks have none
        ("close_oi", _BIG),  # null before the first tick
        ("tick_count", _INT),
    ],
    key=_MINUTE_KEY,
    nullable=("open", "high", "low", "close", "amount", "close_oi"),
    whole=("contract", "trading_day"),
    most=_MOST,
    entity="contract",
    day="trading_day",
    time="trading_day",
    numbered=True,
)

TICK_MINUTE_DAY = landed_table(
    RAW_TQ,
    "tick_minute_day",  # the ticks that the minutes of a day were made of
    [
        ("contract", _TEXT),
        ("trading_day", _DATE),
        ("row_hash", _TEXT),  # of symbol_day
        ("minute_count", _INT),
    ],
    key=("contract", "trading_day"),
    entity="contract",
    day="trading_day",
)

CONTRACT_MINUTE = landed_table(
    RAW_TQ,
    "contract_minute",  # the source's own minutes of some days, to compare with
    [
        ("contract", _TEXT),
        ("trading_day", _DATE),
        ("start_at", _STAMP),
        *_BAR,
        ("open_oi", _BIG),
        ("close_oi", _BIG),
    ],
    key=_MINUTE_KEY,
    nullable=("open", "high", "low", "close"),
    whole=("contract", "trading_day"),
    most=_MOST,
    entity="contract",
    day="trading_day",
)

REJECTED_ROW = rejected_rows(RAW_TQ)

TABLES = (
    TRADING_DAY,
    TRADING_SESSION,
    CONTRACT,
    MAIN_EVENT,
    MAIN_HARVEST,
    CONTRACT_DAILY,
    DAILY_HARVEST,
    SETTLEMENT,
    CONTRACT_TERMS,
    SYMBOL_DAY,
    NO_DATA_DAY,
    TICK_REVISION,
    TICK_MINUTE,
    TICK_MINUTE_DAY,
    CONTRACT_MINUTE,
    REJECTED_ROW,
)
