"""Codes of the synthetic market and the events of each.

Positions are fractions of the market's days. A market of 20 codes or more has every kind of event.
"""

from dataclasses import dataclass

from loaders.sandbox.world.world import Kind

# (position, kind of event); market.py says what each does to a price
Script = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Role:
    exchange: str
    digits: str
    kind: Kind
    base: float = 12.0
    events: Script = ()
    from_: float = 0.0
    to: float = 1.0
    suspended: tuple[tuple[float, float], ...] = ()
    thin: bool = False
    drift: float = 0.0
    # trading days from the market's end to an event that is announced before
    announced: int = 0

    @property
    def code(self) -> str:
        return self.exchange + self.digits


INDICES = (
    Role("sh", "000001", "index", base=3000),
    Role("sz", "399001", "index", base=10000),
    Role("sh", "000300", "index", base=3900),
)

# a B share: its price has three decimals, and no list of the service names it
UNLISTED = (Role("sh", "900901", "stock", base=0.9),)

ROLES = (
    # has the six digits of the index sh000001
    Role("sz", "000001", "stock", base=11, events=((0.2, "cash"), (0.65, "cash"))),
    Role("sh", "600000", "stock", base=9, events=((0.15, "cash"), (0.4, "bonus"), (0.8, "cash"))),
    Role("sh", "510300", "fund", base=3.9, events=((0.5, "cash"),)),
    Role("sz", "159915", "fund", base=2.2, events=((0.55, "split"),)),
    Role("bj", "920001", "stock", base=18, events=((0.45, "cash"),)),
    # its ex-date lies inside a suspension
    Role(
        "sz",
        "000002",
        "stock",
        base=14,
        events=((0.42, "bonus"), (0.7, "cash")),
        suspended=((0.38, 0.46),),
    ),
    # delisted
    Role("sh", "600001", "stock", base=5, events=((0.3, "cash"),), to=0.6),
    # listed inside the range
    Role("sz", "300001", "stock", base=35, events=((0.85, "joint"),), from_=0.55),
    Role("sh", "600002", "stock", base=16, events=((0.35, "rights"), (0.75, "cash"))),
    Role("sz", "000003", "stock", base=22, events=((0.3, "joint"), (0.6, "rights"))),
    Role("sh", "600003", "stock", base=19, events=((0.5, "two_rows"),)),
    Role("sh", "600004", "stock", base=13, events=((0.33, "offer"), (0.66, "shares"))),
    Role("sz", "000004", "stock", base=10, events=((0.5, "cash"),), announced=5),
    # suspended at the end of the range
    Role("sh", "688001", "stock", base=48, events=((0.25, "cash"),), suspended=((0.96, 2.0),)),
    # pays so much that its first prices become negative when adjusted
    Role(
        "sz",
        "000005",
        "stock",
        base=2.5,
        drift=2.6,
        events=((0.55, "big_cash"), (0.7, "big_cash"), (0.85, "big_cash"), (0.95, "big_cash")),
    ),
    # trades a handful of hands a day
    Role("sz", "000006", "stock", base=7, events=((0.4, "cash"),), thin=True),
    Role("sh", "510500", "fund", base=5.8, events=((0.3, "cash"),)),
    Role("sh", "560010", "fund", base=1.1, events=((0.6, "merge"),)),
    Role("sz", "160105", "fund", base=1.4),
    Role("bj", "430017", "stock", base=9, events=((0.3, "bonus"),)),
    Role("sh", "512880", "fund", base=1.0),
    Role("sh", "515030", "fund", base=1.7),
    Role("sh", "588000", "fund", base=1.3),
    Role("sz", "159919", "fund", base=4.0, events=((0.8, "cash"),)),
    Role("sz", "159901", "fund", base=2.9),
    Role("bj", "830799", "stock", base=11, events=((0.62, "cash"),)),
    Role("sz", "300750", "stock", base=210, events=((0.5, "transfer"),)),
    Role("sh", "601398", "stock", base=4.7, events=((0.25, "cash"), (0.75, "cash"))),
    Role("sz", "002594", "stock", base=95, events=((0.5, "cash"),)),
    Role("sh", "600519", "stock", base=1500, events=((0.25, "cash"), (0.75, "cash"))),
)


def choose_roles(count: int) -> list[Role]:
    """The first `count` roles, then plain codes with a few events each."""
    roles = list(ROLES[:count])
    taken = {role.code for role in ROLES}
    number = 0
    while len(roles) < count:
        number += 1
        exchange, digits, kind = _plain(number)
        if exchange + digits in taken:
            continue
        base = 4 + (number * 37 % 400) / 10
        roles.append(Role(exchange, digits, kind, base=base, events=_plain_events(number)))
    return roles


def _plain(number: int) -> tuple[str, str, Kind]:
    if number % 20 == 0:
        return "sh", f"51{1000 + number:04d}", "fund"
    if number % 25 == 7:
        return "bj", f"92{1000 + number:04d}", "stock"
    if number % 2:
        return "sh", f"60{1000 + number:04d}", "stock"
    return "sz", f"00{1000 + number:04d}", "stock"


def _plain_events(number: int) -> Script:
    kinds = ("cash", "cash", "bonus", "cash", "joint", "shares", "cash", "rights")
    first = 0.08 + (number * 13 % 30) / 100
    return tuple((first + 0.31 * i, kinds[(number + i) % len(kinds)]) for i in range(3))
