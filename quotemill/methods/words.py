"""Words of frequencies and adjustments: ours first, then those of other libraries.

jqdata, RQData, tushare, akshare and pandas; `1M` is a month, `1m` a minute, as in jqdata.
"""

from typing import Any, Literal, TypeAlias, get_args

Days: TypeAlias = Literal["1d", "daily", "day", "d", "D"]
Weeks: TypeAlias = Literal["1w", "weekly", "week", "w", "W"]
Months: TypeAlias = Literal["1mo", "monthly", "month", "M", "1M"]
Quarters: TypeAlias = Literal["1q", "quarterly", "quarter", "Q"]
Years: TypeAlias = Literal["1y", "yearly", "year", "Y"]
Minutes: TypeAlias = Literal["1m", "1min", "minute", "1MIN"]
Fives: TypeAlias = Literal["5m", "5min", "5MIN"]
Fifteens: TypeAlias = Literal["15m", "15min", "15MIN"]
Thirties: TypeAlias = Literal["30m", "30min", "30MIN"]
Hours: TypeAlias = Literal["60m", "60min", "60MIN", "1h", "1H"]
Forward: TypeAlias = Literal["qfq", "pre"]
Backward: TypeAlias = Literal["hfq", "post"]
Raw: TypeAlias = Literal["none", ""]

WithinDays: TypeAlias = Minutes | Fives | Fifteens | Thirties | Hours
Frequency: TypeAlias = Days | Weeks | Months | Quarters | Years | WithinDays
Adjustment: TypeAlias = Forward | Backward | Raw | None
FuturesFrequency: TypeAlias = Days | WithinDays
FuturesAdjustment: TypeAlias = (
    Literal["back_diff", "back_ratio", "forward_diff", "forward_ratio"] | Raw | None
)
_WORDS = (*get_args(Frequency), Forward, Backward, Raw)
_OURS: dict[str, str] = {word: get_args(words)[0] for words in _WORDS for word in get_args(words)}


def translate(word: Any) -> str:
    """Our word for a frequency or an adjustment; one that nobody knows as it is."""
    return "none" if word is None else _OURS.get(word, str(word))
