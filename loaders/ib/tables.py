"""Landed tables of US option chains: values in the source's units, fields in snake case.

Prices are dollars per share, sizes and volumes contracts, `iv` a fraction per year, `vega` per
point of volatility, `theta` per calendar day. A value that was not received is null, never 0 or a
sentinel. `trade_date` is the session's day in New York. A request that brought nothing is a row
with `snapshot_error`: no hole is silent.
"""

from functools import partial

import pyarrow as pa

from loaders.ib.client.clean import MOST_PRICE
from loaders.landing.rejects import rejected_rows
from loaders.warehouse.tables import landed_table

RAW_IB = "raw_ib"
_TEXT, _INT, _BIG = pa.string(), pa.int32(), pa.int64()
_BOOL, _DATE, _DOUBLE = pa.bool_(), pa.date32(), pa.float64()
_STAMP = pa.timestamp("us", tz="UTC")
_PRICE = pa.decimal128(18, 6)
_STRIKE = pa.decimal128(12, 4)
_MULTIPLIER = pa.decimal128(10, 2)
_SECONDS = pa.decimal128(12, 3)
_PRICES = [
    "bid",
    "ask",
    "last",
    "close_prev",
    "opt_price_model",
    "pv_dividend",
    "ref_price",
    "strike",
    "und_price",
    "und_bid",
    "und_ask",
    "und_last",
    "open",
    "high",
    "low",
    "close",
    "adjusted_close",
    "past_12_months",
    "next_12_months",
    "next_amount",
]
_GREEKS = ("iv", "iv_bid", "iv_ask", "delta", "gamma", "vega", "theta")
# the largest that the SQL models can cast, multiply by splits and add up: no price is 10^11 times
# the least strike (0.0001), no contract trades 10^12 times, and no session has more half hours than
# a day
_MOST = (
    dict.fromkeys(_PRICES, MOST_PRICE)
    | dict.fromkeys(_GREEKS, 10**9)
    | dict.fromkeys(("bid_size", "ask_size", "last_size", "volume", "open_interest"), 10**12)
    | dict.fromkeys(("slots", "slot_30m", "first_seen_slot"), 48)
    | dict.fromkeys(("eligible", "filled", "same", "changed", "stale", "failed", "expired"), 10**6)
    | dict.fromkeys(("planned", "captured", "errors", "delayed", "attempts"), 10**6)
    # of one slot and symbol: added up for all slots and symbols of the sessions of a stage
    | {"pacing_events": 10**4}
    | {"trading_class": 500}  # bytes: forwards has an index on it
)
_table = partial(landed_table, RAW_IB, most=_MOST, entity="symbol")
# models take what changed of a symbol on a day
_BY_SYMBOL = (("symbol", "trade_date"),)

SESSION = _table(
    "session",  # of NYSE, from the first loaded day to some days ahead
    [
        ("trade_date", _DATE),
        ("open_at", _STAMP),
        ("close_at", _STAMP),
        ("slots", _INT),  # 14, on an early close 8
        ("is_early_close", _BOOL),
        ("slot_before_close_at", _STAMP),  # where the setting adds one
    ],
    key=("trade_date",),
    nullable=("slot_before_close_at",),
)

UNDERLYING = _table(
    "underlying",
    [
        ("symbol", _TEXT),
        ("conid", _BIG),
        ("exchange", _TEXT),
        ("currency", _TEXT),
        ("name", _TEXT),
        ("sec_type", _TEXT),  # STK, IND; null of a stock that was looked up before there were both
    ],
    key=("symbol",),
    nullable=("name", "sec_type"),
)

# null of a contract that was looked up before these were read
_TERMS = [
    ("expiration_date", _DATE),
    ("settlement", _TEXT),  # AM, PM
    ("expires_at", _STAMP),
    ("trades_until", _TEXT),  # HH:MM in New York, of a usual day
]
UNDERLYING_DAILY = _table(
    "underlying_daily",  # bars of regular hours, in the shares of `adjusted_as_of`
    [
        ("symbol", _TEXT),
        ("trade_date", _DATE),
        *((name, _PRICE) for name in ("open", "high", "low", "close")),
        ("volume", _BIG),
        ("adjusted_close", _PRICE),  # for dividends too; null of an index
        ("adjusted_as_of", _DATE),
    ],
    key=("symbol", "trade_date"),
    nullable=("volume", "adjusted_close"),
)

UNDERLYING_DIVIDENDS = _table(
    "underlying_dividends",  # dollars a share, as the source said it on a day
    [
        ("symbol", _TEXT),
        ("trade_date", _DATE),
        ("past_12_months", _PRICE),
        ("next_12_months", _PRICE),
        ("next_ex_date", _DATE),
        ("next_amount", _PRICE),
    ],
    key=("symbol", "trade_date"),
    nullable=("past_12_months", "next_12_months", "next_ex_date", "next_amount"),
)

_COMBINATION = [
    ("trading_class", _TEXT),
    ("expiry", _DATE),  # last day of trading
    ("strike", _STRIKE),
    ("option_right", _TEXT),  # C, P
]
_OPTION = [
    *_COMBINATION,
    ("multiplier", _MULTIPLIER),
    ("local_symbol", _TEXT),  # 21 characters, its root padded with blanks
]

CONTRACT = _table(
    "contract",
    [
        ("conid", _BIG),
        ("symbol", _TEXT),
        ("underlying_conid", _BIG),
        *_OPTION,
        ("exchange", _TEXT),
        ("first_seen_date", _DATE),
        *_TERMS,
    ],
    key=("conid",),
    nullable=tuple(name for name, _ in _TERMS),
    day="first_seen_date",
)

FORMER_CONTRACT = _table(
    "former_contract",  # terms that a contract had, such as before a split, under the same number
    [
        ("conid", _BIG),
        ("valid_to", _DATE),  # the first day of other terms
        ("symbol", _TEXT),
        *_OPTION,
    ],
    key=("conid", "valid_to"),
    day="valid_to",
)

SESSION_CONTRACT = _table(
    "session_contract",  # frozen before the open; later ones are added, none is taken away
    [
        ("trade_date", _DATE),
        ("conid", _BIG),
        ("symbol", _TEXT),
        ("discovered_at", _STAMP),
        ("policy", _TEXT),  # session_freeze, midday_refresh, discovery_stale
        ("stale_from_date", _DATE),  # the day whose set it is, where that is an older one
        ("first_seen_slot", _INT),  # of those added within the session
        ("ref_price", _PRICE),  # that the strikes were chosen about
        ("ref_price_date", _DATE),
        ("ref_price_source", _TEXT),
    ],
    key=("trade_date", "conid"),
    nullable=(
        "stale_from_date",
        "first_seen_slot",
        "ref_price",
        "ref_price_date",
        "ref_price_source",
    ),
    indexes=_BY_SYMBOL,
)

NEGATIVE_CONTRACT = _table(
    "negative_contract",  # combinations that the source says do not exist
    [
        ("trade_date", _DATE),
        ("symbol", _TEXT),
        *_COMBINATION,
        ("refused_at", _STAMP),
        ("error_code", _INT),
    ],
    key=("trade_date", "symbol", *(name for name, _ in _COMBINATION)),
)

_QUOTE = [
    *((name, _PRICE) for name in ("bid", "ask", "last", "close_prev")),
    *((name, _BIG) for name in ("bid_size", "ask_size", "last_size", "volume")),
    *((name, _DOUBLE) for name in _GREEKS),
    # of the model that made iv and greeks
    *((name, _PRICE) for name in ("opt_price_model", "pv_dividend", "und_price")),
    # the underlying's own quote of the same time
    *((name, _PRICE) for name in ("und_bid", "und_ask", "und_last")),
    ("und_quote_at", _STAMP),
    ("market_data_type", _INT),  # as served: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen
]
_CAPTURE = [
    ("greeks_source", _TEXT),  # model, mid_of_bid_ask
    ("asof_at", _STAMP),  # arrival of the newest packet
    ("error_type", _TEXT),
    ("error_code", _INT),
    ("error_message", _TEXT),
]
_NULLABLE = (*(name for name, _ in (*_QUOTE, *_CAPTURE)), "slot_label")
_SNAPSHOT = [
    ("trade_date", _DATE),
    ("sample_time", _STAMP),  # the slot; of the close view the session's close
    ("conid", _BIG),
    ("symbol", _TEXT),
    ("slot_30m", _INT),  # from 0
    ("slot_label", _TEXT),  # HH:MM in New York; null in the close view
    *_QUOTE,
    ("requested_data_type", _INT),
    *_CAPTURE,
    ("captured_at", _STAMP),  # when the row was read
    ("capture_lag_s", _SECONDS),  # captured_at less sample_time
    ("snapshot_error", _BOOL),
    ("data_quality_flag", _TEXT),  # flags of the closed list, sorted, comma-separated; may be ''
    ("ingest_id", _TEXT),
    ("ingest_run_type", _TEXT),  # intraday, close, recapture
    ("source", _TEXT),  # IBKR, SANDBOX
    ("config_hash", _TEXT),
    ("code_version", _TEXT),
]

CHAIN_SNAPSHOT = _table(
    "chain_snapshot",
    _SNAPSHOT,
    key=("trade_date", "sample_time", "conid"),
    nullable=_NULLABLE,
    indexes=_BY_SYMBOL,
)

CHAIN_CLOSE = _table(
    "chain_close",
    _SNAPSHOT,
    key=("trade_date", "conid"),
    nullable=(*_NULLABLE, "slot_30m"),
    indexes=_BY_SYMBOL,
)

OPEN_INTEREST = _table(
    "open_interest",
    [
        ("conid", _BIG),
        ("oi_asof_date", _DATE),  # the session at whose end the position was so
        ("symbol", _TEXT),
        ("trade_date", _DATE),  # the requested session, which may not be published yet
        ("open_interest", _BIG),
        ("captured_at", _STAMP),
        ("ingest_id", _TEXT),
    ],
    key=("conid", "oi_asof_date"),
    day="oi_asof_date",
)

ENRICHMENT = _table(
    "enrichment",  # one attempt at the open interest of a session
    [
        ("trade_date", _DATE),
        ("symbol", _TEXT),
        ("attempted_at", _STAMP),
        ("pass", _TEXT),  # first, confirm, late (after the open), manual
        *((name, _INT) for name in ("eligible", "filled", "same", "changed", "stale", "failed")),
        ("expired", _INT),
        ("status", _TEXT),  # complete, provisional, stale, failed
    ],
    key=("trade_date", "symbol", "attempted_at"),
)

SLOT_RUN = _table(
    "slot_run",
    [
        ("trade_date", _DATE),
        ("sample_time", _STAMP),
        ("symbol", _TEXT),
        ("ingest_run_type", _TEXT),
        *((name, _INT) for name in ("planned", "captured", "errors", "delayed")),
        ("pacing_events", _INT),
        ("attempts", _INT),
        ("started_at", _STAMP),
        ("finished_at", _STAMP),
        ("status", _TEXT),  # complete, partial, failed
    ],
    # the close view has the time of the last slot
    key=("trade_date", "sample_time", "symbol", "ingest_run_type"),
)

GATEWAY_EVENT = _table(
    "gateway_event",
    [
        ("ingest_id", _TEXT),
        ("seq", _INT),
        ("occurred_at", _STAMP),
        ("trade_date", _DATE),
        ("error_code", _INT),
        ("action", _TEXT),
        ("text", _TEXT),
    ],
    key=("ingest_id", "seq"),
)

REJECTED_ROW = rejected_rows(RAW_IB)

TABLES = (
    SESSION,
    UNDERLYING,
    UNDERLYING_DAILY,
    UNDERLYING_DIVIDENDS,
    CONTRACT,
    FORMER_CONTRACT,
    SESSION_CONTRACT,
    NEGATIVE_CONTRACT,
    CHAIN_SNAPSHOT,
    CHAIN_CLOSE,
    OPEN_INTEREST,
    ENRICHMENT,
    SLOT_RUN,
    GATEWAY_EVENT,
    REJECTED_ROW,
)
