"""Words of frequencies, adjustments, kinds: ours first, then those of other libraries.

jqdata, RQData, tushare, akshare and pandas; `1M` is a month, `1m` a minute, as in jqdata.
"""

from typing import Any, Literal, TypeAlias, get_args

Days: TypeAlias = Literal["1d", "daily", "day", "d", "D", "1D"]
Weeks: TypeAlias = Literal["1w", "weekly", "week", "w", "W", "1W"]
Months: TypeAlias = Literal["1mo", "monthly", "month", "M", "1M", "ME"]
Quarters: TypeAlias = Literal["1q", "quarterly", "quarter", "Q", "1Q", "QE"]
Years: TypeAlias = Literal["1y", "yearly", "year", "Y", "1Y", "YE"]
Minutes: TypeAlias = Literal["1m", "1min", "minute", "1MIN", "min"]
Fives: TypeAlias = Literal["5m", "5min", "5MIN"]
Fifteens: TypeAlias = Literal["15m", "15min", "15MIN"]
Thirties: TypeAlias = Literal["30m", "30min", "30MIN"]
Hours: TypeAlias = Literal["60m", "60min", "60MIN", "1h", "1H", "h", "H"]
Forward: TypeAlias = Literal["qfq", "QFQ", "pre", "front"]
Backward: TypeAlias = Literal["hfq", "HFQ", "post", "back"]
Funds: TypeAlias = Literal["fund", "etf", "ETF"]
Raw: TypeAlias = Literal["none", "", "bfq", None]

WithinDays: TypeAlias = Minutes | Fives | Fifteens | Thirties | Hours
Frequency: TypeAlias = Days | Weeks | Months | Quarters | Years | WithinDays
Adjustment: TypeAlias = Forward | Backward | Raw
FuturesFrequency: TypeAlias = Days | WithinDays
FuturesAdjustment: TypeAlias = (
    Literal["back_diff"]
    | Literal["back_ratio"]
    | Literal["forward_diff"]
    | Literal["forward_ratio"]
    | Raw
)
Kind: TypeAlias = Literal["stock"] | Funds | Literal["index"]


def translate(word: Any, kind: Any) -> str:
    """Our word for one of a kind, such as Frequency; one that it has not as it is."""
    ours = (get_args(words)[0] for words in get_args(kind) if word in get_args(words))
    return str(next(ours, word))
