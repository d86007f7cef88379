"""Varieties of the synthetic market, and the hours of their sessions.

Hours are text as the exchange's metadata gives them: "25:00:00" is one o'clock in the night after
the calendar date on which the session started.
"""

from dataclasses import KW_ONLY, dataclass
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
    """A variety.

    code: as in SHFE.cu
    price: level of its prices, in steps of `tick` with `decimals`
    interest: most open interest of a contract
    """

    code: str
    name: str
    _: KW_ONLY
    tick: float
    decimals: int = 0
    multiple: int
    price: float
    day: Hours = COMMODITY_DAY
    night: Hours = ()
    months: tuple[int, ...] = EVERY_MONTH
    expiry: Rule = "fifteenth"
    interest: int

    @property
    def exchange(self) -> str:
        return self.code.partition(".")[0]

    @property
    def product(self) -> str:
        return self.code.partition(".")[2]

    @property
    def series(self) -> str:
        """Symbol of its continuous main contract."""
        return f"KQ.m@{self.code}"

    @property
    def book_levels(self) -> int:
        """Levels of the book: five in Shanghai, else one."""
        return 5 if self.exchange == "SHFE" else 1


BOND_DAY: Hours = (("09:15:00", "11:30:00"), ("13:00:00", "15:15:00"))
INDEX_DAY: Hours = (("09:30:00", "11:30:00"), ("13:00:00", "15:00:00"))
TO_0100: Hours = (("21:00:00", "25:00:00"),)
TO_0230: Hours = (("21:00:00", "26:30:00"),)
TO_2300: Hours = (("21:00:00", "23:00:00"),)
MEAL_MONTHS = (1, 3, 5, 7, 8, 9, 11, 12)

VARIETY_LIST = (
    Variety("SHFE.cu", "沪铜", tick=10, multiple=5, price=86000, night=TO_0100, interest=180_000),
    Variety(
        "SHFE.au",
        "沪金",
        tick=0.02,
        decimals=2,
        multiple=1000,
        price=940,
        night=TO_0230,
        interest=150_000,
    ),
    Variety(
        "DCE.m",
        "豆粕",
        tick=1,
        multiple=10,
        price=3000,
        night=TO_2300,
        months=MEAL_MONTHS,
        expiry="tenth trading day",
        interest=900_000,
    ),
    Variety(
        "CFFEX.IF",
        "沪深300股指",
        tick=0.2,
        decimals=1,
        multiple=300,
        price=4600,
        day=INDEX_DAY,
        expiry="third friday",
        interest=120_000,
    ),
    Variety(
        "CZCE.SR",
        "白糖",
        tick=1,
        multiple=10,
        price=5400,
        night=TO_2300,
        months=(1, 3, 5, 7, 9, 11),
        expiry="tenth trading day",
        interest=400_000,
    ),
    Variety("SHFE.bu", "沥青", tick=2, multiple=10, price=3100, night=TO_2300, interest=400_000),
    Variety(
        "CFFEX.T",
        "十债",
        tick=0.005,
        decimals=3,
        multiple=10000,
        price=99,
        day=BOND_DAY,
        months=(3, 6, 9, 12),
        expiry="second friday",
        interest=80_000,
    ),
)
VARIETIES = {variety.code: variety for variety in VARIETY_LIST}


def seconds(hours: str) -> int:
    """Seconds since 00:00 of the date on which the session starts."""
    h, m, s = (int(part) for part in hours.split(":"))
    return h * 3600 + m * 60 + s


def nanoseconds(day: date, hours: str = "00:00:00") -> int:
    """Exchange wall clock (hours may exceed 24) as nanoseconds since 1970 UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=CST)
    return (int(midnight.timestamp()) + seconds(hours)) * NS
