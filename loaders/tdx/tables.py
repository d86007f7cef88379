"""Landed tables of the TDX source, in the source's own units.

Prices and `amount` are in li (0.001 yuan), volumes in hands (100 shares), those of stocks' bars in
`volume_unit` shares. Codes are `sh600000` everywhere: lower-case exchange and six digits.
"""

import pyarrow as pa

from loaders.landing.rejects import rejected_rows
from loaders.warehouse.tables import landed_table
from loaders.warehouse.timescale_settings import DAILY

RAW_TDX = "raw_tdx"
_TEXT, _DATE, _INT, _BIG = pa.string(), pa.date32(), pa.int32(), pa.int64()
_STAMP = pa.timestamp("us", tz="UTC")
_PRICES = [("open", _BIG), ("high", _BIG), ("low", _BIG), ("close", _BIG)]
_BAR = [*_PRICES, ("volume", _BIG), ("amount", _BIG)]
# shares per unit of `volume`: 1 in files, 100 from the service, null (100) in rows from before it
_UNIT = ("volume_unit", pa.int16())
# to read days of a code, and one day of the market; many rows share an entry, so both are small
_BY_DAY = (("code", "trade_date"), ("trade_date", "code"))
# Which days a code lacks is read from one entry a day, and from no row of vacuumed pages.
_FIRST_TICKS = ("code", "trade_date", "is_final")
_CLOSES = ("code", "bar_end")
CLOSING = "is_final and (bar_end at time zone interval '08:00')::time = '15:00'"
_EXACT = pa.decimal128(24, 9)  # actions have up to six decimals, single floats seven digits
# The largest values that the SQL models can cast, multiply and add up, by unit: no security costs
# a million yuan, and none trades 10^14 shares or yuan in a month.
_PRICE, _HANDS, _LI, _YUAN_MOST, _COUNT = 10**9, 10**12, 10**17, 10**14, 10**9
_SIDES = [f"{side}{level}" for side in ("bid", "ask") for level in range(1, 6)]
MOST = (
    dict.fromkeys(("open", "high", "low", "close", "previous_close", "price"), _PRICE)
    | dict.fromkeys(("volume", "total_hand", "current_hand", "inside_dish", "outer_disc"), _HANDS)
    | {f"{level}_price": _PRICE for level in _SIDES}
    | {f"{level}_volume": _HANDS for level in _SIDES}
    | {"amount": _LI, "amount_yuan": _YUAN_MOST}
    | dict.fromkeys(("stock_count", "up_count", "down_count", "flat_count"), _COUNT)
    | {"instrument_count": _COUNT}
    # per 10 shares; SQL multiplies prices by these, for a few events in a row
    | dict.fromkeys(("cash_per10_yuan", "rights_price_yuan"), 10**6)
    | dict.fromkeys(("bonus_per10", "transfer_per10", "bonus_total_per10", "rights_per10"), 10**4)
    | {"split_ratio": 10**3, "total_shares_10k": 10**9, "float_shares_10k": 10**9}
)

SECURITY = landed_table(
    RAW_TDX,
    "security",
    [
        ("code", _TEXT),
        ("exchange", _TEXT),
        ("name", _TEXT),
        ("instrument_type", _TEXT),  # stock, fund, index: by the list that has it
        ("price_decimals", _INT),  # by seeds/instrument_ranges.csv
        ("is_listed", pa.bool_()),  # false once it vanished from the lists
    ],
    key=("code",),
    nullable=("price_decimals",),
)

TRADING_DAY = landed_table(
    RAW_TDX,
    "trading_day",
    [("trade_date", _DATE), ("source", _TEXT)],  # service, exchange_calendar
    key=("trade_date", "source"),
)

KLINE_DAILY = landed_table(
    RAW_TDX,
    "kline_daily",
    [("code", _TEXT), ("trade_date", _DATE), *_BAR, _UNIT],
    key=("code", "trade_date"),
    most=MOST,
    nullable=("volume_unit",),
    # to read one day of the whole market
    indexes=(("trade_date",),),
    time="trade_date",
    chunk="1 year",
    time_setting=DAILY,
)

# periods: day, week, month, minute1, minute5, minute15, minute30, hour
_BARS_OF_PERIODS = [
    ("code", _TEXT),
    ("period", _TEXT),
    ("bar_end", _STAMP),
    ("trade_date", _DATE),
    *_BAR,
]

INDEX_KLINE = landed_table(
    RAW_TDX,
    "index_kline",
    [
        *_BARS_OF_PERIODS,
        ("up_count", _INT),
        ("down_count", _INT),
        ("source_label", _TEXT),  # of a minute: HH:MM as delivered, before the repair of noon
    ],
    key=("code", "period", "bar_end"),
    most=MOST,
    indexes=_BY_DAY,
    nullable=("source_label",),
)

KLINE_PERIOD = landed_table(
    RAW_TDX,
    "kline_period",  # bars built by the source; ours come from days and minutes
    [*_BARS_OF_PERIODS, _UNIT],  # day: from a .day file
    key=("code", "period", "bar_end"),
    most=MOST,
    nullable=("volume_unit",),
    indexes=(_CLOSES,),
    conditions={_CLOSES: f"period = 'minute5' and {CLOSING}"},
)

KLINE_ADJUSTED = landed_table(
    RAW_TDX,
    "kline_adjusted",  # the vendor's forward-adjusted days: evidence, never truth
    [("code", _TEXT), ("trade_date", _DATE), *_PRICES, ("volume", _BIG)],
    key=("code", "trade_date"),
    most=MOST,
)

KLINE_MINUTE = landed_table(
    RAW_TDX,
    "kline_minute",
    [
        ("code", _TEXT),
        ("bar_end", _STAMP),
        ("trade_date", _DATE),
        ("source_label", _TEXT),  # HH:MM as delivered, before the repair of noon
        _UNIT,  # here it fills a gap before numbers of eight bytes
        *_BAR,
    ],
    key=("code", "bar_end"),
    # no security trades 9 * 10^9 shares in a minute
    most=MOST | {"volume": 9 * 10**9},
    # the second also finds a minute of all codes: PostgreSQL 18 skips over its days
    indexes=(("code", "trade_date"), ("trade_date", "bar_end"), _CLOSES),
    conditions={_CLOSES: CLOSING},
    time="bar_end",
    numbered=True,
    nullable=("volume_unit", "amount"),  # null in older rows: /api/minute gave prices alone
)

TICK_TRADE = landed_table(
    RAW_TDX,
    "tick_trade",
    [
        ("code", _TEXT),
        ("trade_date", _DATE),
        ("ordinal", _INT),  # from 1, from the start of the day
        ("traded_at", _STAMP),  # to the minute
        ("price", _BIG),
        ("volume", _BIG),
        ("side", _INT),  # 0 buy, 1 sell, 2 auction or neutral
        ("order_count", _INT),  # 0 for every day but the current one
    ],
    key=("code", "trade_date", "ordinal"),
    most=MOST,
    indexes=(("trade_date", "code"), _FIRST_TICKS),  # the key serves a code's days
    conditions={_FIRST_TICKS: "ordinal = 1"},
    time="trade_date",
    numbered=True,
    whole=("code", "trade_date"),
)

_LEVELS = [(f"{level}_{what}", _BIG) for level in _SIDES for what in ("price", "volume")]
_YUAN = pa.decimal128(24, 3)

QUOTE = landed_table(
    RAW_TDX,
    "quote",
    [
        ("code", _TEXT),
        ("sampled_at", _STAMP),  # one time for all codes of a load
        ("trade_date", _DATE),
        ("previous_close", _BIG),
        *_PRICES,  # close is the last price; 0 where nothing traded yet
        ("total_hand", _BIG),
        ("current_hand", _BIG),  # the source's Intuition: the newest trade
        ("amount_yuan", _YUAN),
        ("inside_dish", _BIG),
        ("outer_disc", _BIG),
        *_LEVELS,
        ("server_time", _TEXT),
        ("active1", _BIG),
        ("active2", _BIG),
    ],
    key=("code", "sampled_at"),
    most=MOST,
    # the build of April 2026 does not tell these
    nullable=("current_hand", "inside_dish", "outer_disc", "server_time", "active1", "active2"),
    # to read the market's breadth of one day
    indexes=(("trade_date",),),
)

MARKET_STATS = landed_table(
    RAW_TDX,
    "market_stats",
    [
        ("exchange", _TEXT),
        ("sampled_at", _STAMP),
        ("trade_date", _DATE),
        ("stock_count", _BIG),
        # named by the service, which tests the sign of a stale price
        ("up_count", _BIG),
        ("down_count", _BIG),
        ("flat_count", _BIG),
        ("instrument_count", _BIG),
    ],
    key=("exchange", "sampled_at"),
    most=MOST,
    nullable=("stock_count", "up_count", "down_count", "flat_count", "instrument_count"),
)

STOCK_INFO = landed_table(
    RAW_TDX,
    "stock_info",
    [
        ("code", _TEXT),
        ("part", _TEXT),  # quote, kline_day, minute: each may be missing from an answer
        ("trade_date", _DATE),
        ("row_count", _INT),
        ("previous_close", _BIG),
        *_PRICES,
        ("volume", _BIG),
        ("amount_yuan", _YUAN),
    ],
    key=("code", "part"),
    most=MOST,
    nullable=("previous_close", "open", "high", "low", "close", "volume", "amount_yuan"),
)

ACTION_AMOUNTS = (
    "cash_per10_yuan",
    "bonus_per10",
    "transfer_per10",
    "bonus_total_per10",
    "rights_per10",
    "rights_price_yuan",
)
ACTION_COUNTS = ("total_shares_10k", "float_shares_10k")
_NUMBERS = (*ACTION_AMOUNTS, "split_ratio", *ACTION_COUNTS)

CORPORATE_ACTION = landed_table(
    RAW_TDX,
    "corporate_action",
    [
        ("code", _TEXT),
        ("ex_date", _DATE),
        ("source", _TEXT),  # csv, xdxr
        ("seq", _INT),
        ("category", _INT),
        *((name, _EXACT) for name in _NUMBERS),
        ("adjusts_price", pa.bool_()),
        ("is_withdrawn", pa.bool_()),  # the source no longer has the row
        ("source_ref", _TEXT),
    ],
    key=("code", "ex_date", "source", "seq"),
    most=MOST,
    day="ex_date",
    nullable=(*_NUMBERS, "adjusts_price"),
)

CAPITAL_EVENT = landed_table(
    RAW_TDX,
    "capital_event",  # a record of the desktop client's gbbq, of any category, dividends too
    [
        ("code", _TEXT),
        ("event_date", _DATE),
        ("category", _INT),
        ("seq", _INT),
        *((f"value{n}", _EXACT) for n in range(1, 5)),
    ],
    key=("code", "event_date", "category", "seq"),
    most=dict.fromkeys((f"value{n}" for n in range(1, 5)), 10**9),
    day="event_date",
    whole=("code",),
)

SECTOR_MEMBER = landed_table(
    RAW_TDX,
    "sector_member",  # as the client's files say, from one version of them to the next
    [
        ("sector_kind", _TEXT),
        ("sector_name", _TEXT),
        ("member", _TEXT),  # six digits; for an industry with the exchange
        ("valid_from", _DATE),
        ("valid_to", _DATE),  # the first day on which it is no member
    ],
    key=("sector_kind", "sector_name", "member", "valid_from"),
    nullable=("valid_to",),
)

REJECTED_ROW = rejected_rows(RAW_TDX)

ANSWER_GAP = landed_table(
    RAW_TDX,
    "answer_gap",  # a day between two neighbouring day bars of one answer: the code did not trade
    [("code", _TEXT), ("trade_date", _DATE), ("last_bar_date", _DATE)],
    key=("code", "trade_date"),
)

TABLES = (
    SECURITY,
    TRADING_DAY,
    KLINE_DAILY,
    INDEX_KLINE,
    KLINE_PERIOD,
    KLINE_ADJUSTED,
    KLINE_MINUTE,
    TICK_TRADE,
    QUOTE,
    MARKET_STATS,
    STOCK_INFO,
    CORPORATE_ACTION,
    CAPITAL_EVENT,
    SECTOR_MEMBER,
    REJECTED_ROW,
    ANSWER_GAP,
)
