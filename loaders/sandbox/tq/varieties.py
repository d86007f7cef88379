"""The varieties that the synthetic market knows, and the clock of their sessions.

Hours are text as the exchange's metadata gives them: "25:00:00" is one o'clock in the night after the
calendar date on which the session began.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Literal

CST = timezone(timedelta(hours=8), "Asia/Shanghai")
NS = 1_000_000_000

Hours = tuple[tuple[str, str], ...]
Rule = Literal["fifteenth", "second friday", "third friday", "tenth trading day"]

COMMODITY_DAY: Hours = (
    ("09:00:00", "10:15:00"),
    ("10:30:00", "11:30:00"),
    ("13:30:00", "15:00:00"),
)
EVERY_MONTH = tuple(range(1, 13))


@dataclass(frozen=True)
class Variety:
    """`code` as in SHFE.cu; `price` is where its prices hover, in quotes of `tick` with `decimals`."""

    code: str
    name: str
    tick: float
    decimals: int
    multiple: int
    price: float
    day: Hours
    night: Hours
    months: tuple[int, ...]
    expiry: Rule
    interest: int

    @property
    def exchange(self) -> str:
        return self.code.partition(".")[0]

    @property
    def product(self) -> str:
        return self.code.partition(".")[2]

    @property
    def series(self) -> str:
        """Its continuous main contract."""
        return f"KQ.m@{self.code}"

    @property
    def book_levels(self) -> int:
        """Five only in Shanghai."""
        return 5 if self.exchange == "SHFE" else 1


BOND_DAY: Hours = (("09:15:00", "11:30:00"), ("13:00:00", "15:15:00"))
INDEX_DAY: Hours = (("09:30:00", "11:30:00"), ("13:00:00", "15:00:00"))
TO_ONE: Hours = (("21:00:00", "25:00:00"),)
TO_HALF_PAST_TWO: Hours = (("21:00:00", "26:30:00"),)
TO_ELEVEN: Hours = (("21:00:00", "23:00:00"),)
MEAL_MONTHS = (1, 3, 5, 7, 8, 9, 11, 12)

VARIETIES = {
    variety.code: variety
    for variety in (
        # code, name, tick, decimals, multiple, price, day, night, months, expiry, interest
        Variety("SHFE.cu", "沪铜", 10, 0, 5, 86000, COMMODITY_DAY, TO_ONE, EVERY_MONTH, "fifteenth", 180_000),
        Variety("SHFE.au", "沪金", 0.02, 2, 1000, 940, COMMODITY_DAY, TO_HALF_PAST_TWO, EVERY_MONTH, "fifteenth", 150_000),
        Variety("DCE.m", "豆粕", 1, 0, 10, 3000, COMMODITY_DAY, TO_ELEVEN, MEAL_MONTHS, "tenth trading day", 900_000),
        Variety("CFFEX.IF", "沪深300股指", 0.2, 1, 300, 4600, INDEX_DAY, (), EVERY_MONTH, "third friday", 120_000),
        Variety("SHFE.bu", "沥青", 2, 0, 10, 3100, COMMODITY_DAY, TO_ELEVEN, EVERY_MONTH, "fifteenth", 400_000),
        Variety("CFFEX.T", "十债", 0.005, 3, 10000, 99, BOND_DAY, (), (3, 6, 9, 12), "second friday", 80_000),
    )
}  # fmt: skip


def seconds(hours: str) -> int:
    """Seconds since 00:00 of the date on which the session begins."""
    h, m, s = (int(part) for part in hours.split(":"))
    return h * 3600 + m * 60 + s


def instant(day: date, hours: str = "00:00:00") -> int:
    """Exchange wall clock (hours may pass 24) as nanoseconds since 1970 UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=CST)
    return (int(midnight.timestamp()) + seconds(hours)) * NS
