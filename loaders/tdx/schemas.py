"""What the TDX loader lands, in the source's own units: li (0.001 yuan) and hands (100 shares).

Codes are `sh600000` everywhere: lower-case exchange and six digits.
"""

import pyarrow as pa

from loaders.warehouse.tables import landed_table

RAW_TDX = "raw_tdx"
_TEXT, _DATE, _INT, _BIG = pa.string(), pa.date32(), pa.int32(), pa.int64()
_PRICES = [("open", _BIG), ("high", _BIG), ("low", _BIG), ("close", _BIG)]
_PER10 = pa.decimal128(18, 4)
_SHARES_10K = pa.decimal128(20, 4)

SECURITY = landed_table(
    RAW_TDX,
    "security",
    [
        ("code", _TEXT),
        ("exchange", _TEXT),
        ("name", _TEXT),
        ("instrument_type", _TEXT),  # stock, fund, index: which list named it
        ("is_listed", pa.bool_()),  # false once it vanished from the lists
    ],
    key=("code",),
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
    [("code", _TEXT), ("trade_date", _DATE), *_PRICES, ("volume", _BIG), ("amount", _BIG)],
    key=("code", "trade_date"),
    # for reading one day of the whole market
    indexes=(("trade_date",),),
)

INDEX_KLINE = landed_table(
    RAW_TDX,
    "index_kline",
    [
        ("code", _TEXT),
        ("period", _TEXT),
        ("bar_end", pa.timestamp("us", tz="UTC")),
        ("trade_date", _DATE),
        *_PRICES,
        ("volume", _BIG),
        ("amount", _BIG),
        ("up_count", _INT),
        ("down_count", _INT),
    ],
    key=("code", "period", "bar_end"),
)

CORPORATE_ACTION = landed_table(
    RAW_TDX,
    "corporate_action",
    [
        ("code", _TEXT),
        ("ex_date", _DATE),
        ("source", _TEXT),  # csv, xdxr
        ("seq", _INT),
        ("category", _INT),
        ("cash_per10_yuan", _PER10),
        ("bonus_per10", _PER10),
        ("transfer_per10", _PER10),
        ("bonus_total_per10", _PER10),
        ("rights_per10", _PER10),
        ("rights_price_yuan", _PER10),
        ("split_ratio", pa.decimal128(18, 6)),
        ("total_shares_10k", _SHARES_10K),
        ("float_shares_10k", _SHARES_10K),
        ("adjusts_price", pa.bool_()),
        ("is_withdrawn", pa.bool_()),  # the source no longer has the row
        ("source_ref", _TEXT),
    ],
    key=("code", "ex_date", "source", "seq"),
    nullable=(
        *("cash_per10_yuan", "bonus_per10", "transfer_per10", "bonus_total_per10"),
        *("rights_per10", "rights_price_yuan", "split_ratio"),
        *("total_shares_10k", "float_shares_10k", "adjusts_price"),
    ),
)

REJECTED_ROW = landed_table(
    RAW_TDX,
    "rejected_row",
    [
        ("dataset", _TEXT),
        ("row_key", _TEXT),
        ("field", _TEXT),
        ("rule", _TEXT),
        ("value", _TEXT),
        ("payload", _TEXT),
    ],
    key=("dataset", "row_key", "field", "rule"),
    nullable=("value",),
)

TABLES = (SECURITY, TRADING_DAY, KLINE_DAILY, INDEX_KLINE, CORPORATE_ACTION, REJECTED_ROW)
