"""A synthetic futures market: which contracts exist, which is the main one, and every tick of every day.

Nothing here knows a clock, a fault or a protocol: the same arguments give the same market, days after
the end of the world included. Rows are what the wire carries: prices are floats (JSON numbers), a book
level without an order has price "" and volume 0.

Open interest decides the main contract: on a trading day it is the one that held most of it at the
close of the day before, and it never goes back to an earlier delivery month.
"""

import math
import random
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from threading import RLock
from typing import Any

from loaders.errors import UsageError
from loaders.sandbox.market import exchange_days
from loaders.sandbox.tq.varieties import NS, VARIETIES, Variety, instant

Row = dict[str, Any]

DEFAULT_FIRST = date(2025, 8, 1)
DEFAULT_END = date(2025, 12, 12)
CLOSE_OF_DAY = time(18, 0)  # where a clock stands that is told the day alone
FUTURE = timedelta(days=90)  # the clock can be moved this far beyond the end
LISTED_AHEAD = timedelta(days=150)
SLOT = NS // 2  # the exchange sends two snapshots a second
KEPT_DAYS = 400  # contract-days whose ticks are kept


@dataclass(frozen=True)
class Contract:
    """`listed` and `expires` are its first and last trading day."""

    code: str
    variety: Variety
    year: int
    month: int
    listed: date
    expires: date

    def trades_on(self, day: date) -> bool:
        return self.listed <= day <= self.expires


class World:
    """`days` are the trading days, those after `end` too; the clock starts at `end`.

    `ticks_per_day` is what the main contract has on a day, one number or one for each day that differs
    (others: `default`); any other contract has a quarter of it, at least 2. With `holidays` every
    weekday that is not among them trades; without, the published Shanghai calendar decides.
    """

    def __init__(
        self,
        varieties: Iterable[str] = tuple(VARIETIES),
        *,
        first: date = DEFAULT_FIRST,
        end: date = DEFAULT_END,
        ticks_per_day: int | Mapping[date, int] = 120,
        default_ticks: int = 120,
        seed: int = 1,
        holidays: Sequence[date] | None = None,
    ) -> None:
        if end < first:
            raise UsageError(f"a market that begins on {first} cannot end on {end}")
        unknown = [code for code in varieties if code not in VARIETIES]
        if unknown:
            raise UsageError(
                f"no variety {', '.join(unknown)} in the sandbox",
                hint="there are " + " ".join(VARIETIES),
            )
        self.varieties = {code: VARIETIES[code] for code in varieties}
        self._set_calendar(first, end, holidays)
        self._seed = seed
        self._per_day, self._default = ticks_per_day, default_ticks
        self._kept: OrderedDict[tuple[str, date], list[Row]] = OrderedDict()
        self._lock = RLock()
        self._contracts = {code: self._list(v) for code, v in self.varieties.items()}
        self._by_code = {c.code: c for listed in self._contracts.values() for c in listed}
        self._mains = {code: self._choose_mains(code) for code in self.varieties}

    def _set_calendar(self, first: date, end: date, holidays: Sequence[date] | None) -> None:
        # the client takes the years of the first and the last holiday for the reach of the calendar
        opening, closing = date(first.year - 1, 1, 1), date((end + FUTURE).year + 1, 12, 31)
        weekdays = [
            day
            for n in range((closing - opening).days + 1)
            if (day := opening + timedelta(days=n)).weekday() < 5
        ]
        if holidays is None:
            trading = set(exchange_days(opening, closing))
        else:
            trading = set(weekdays) - {*holidays, opening}
        self.calendar = [day for day in weekdays if day in trading]
        closed = {day for day in weekdays if day not in trading}
        self.holidays = sorted({*closed, opening, date(closing.year, 1, 1)})
        self.days = [day for day in self.calendar if first <= day <= end + FUTURE]
        last = [day for day in self.days if day <= end]
        if not last:
            raise UsageError(f"no trading day between {first} and {end}")
        self.first, self.end = self.days[0], datetime.combine(last[-1], CLOSE_OF_DAY)

    # ------------------------------------------------------------------ contracts and sessions
    def contracts(self, variety: str) -> list[Contract]:
        """Those that trade on any day of this world, by delivery month."""
        return list(self._contracts[variety])

    def contract(self, code: str) -> Contract | None:
        return self._by_code.get(code)

    def previous(self, day: date) -> date:
        """The trading day before, also before the first of this world."""
        return self.calendar[bisect_left(self.calendar, day) - 1]

    def sessions(self, variety: str, day: date) -> list[tuple[int, int]]:
        """Start and end of each session of a trading day, in ns. The night belongs to the evening of
        the trading day before, and is left out where a public holiday lies between."""
        hours, eve = self.varieties[variety], self.previous(day)
        between = [eve + timedelta(days=n) for n in range(1, (day - eve).days)]
        found = []
        if all(date_.weekday() >= 5 for date_ in between):
            found += [(instant(eve, start), instant(eve, end)) for start, end in hours.night]
        return found + [(instant(day, start), instant(day, end)) for start, end in hours.day]

    def _list(self, variety: Variety) -> list[Contract]:
        found = []
        for number in range(self.first.year * 12 - 2, (self.days[-1].year + 2) * 12):
            year, month = number // 12, number % 12 + 1
            if month not in variety.months:
                continue
            expires = self._expiry(variety, year, month)
            if expires is None:
                continue
            listed = self.calendar[bisect_left(self.calendar, expires - LISTED_AHEAD)]
            if expires >= self.first and listed <= self.days[-1]:
                code = f"{variety.code}{year % 100:02d}{month:02d}"
                found.append(Contract(code, variety, year, month, listed, expires))
        return found

    def _expiry(self, variety: Variety, year: int, month: int) -> date | None:
        """None where the calendar does not reach."""
        start = date(year, month, 1)
        position = bisect_left(self.calendar, start)
        if variety.expiry == "fifteenth":
            position = bisect_left(self.calendar, date(year, month, 15))
        elif variety.expiry == "third friday":
            friday = start + timedelta(days=(4 - start.weekday()) % 7 + 14)
            position = bisect_left(self.calendar, friday)
        else:
            position += 9
        known = start >= self.calendar[0] and position < len(self.calendar)
        return self.calendar[position] if known else None

    # ------------------------------------------------------------------ open interest, main contract
    def open_interest(self, contract: Contract, day: date) -> int:
        """At the close of a day: a bell around 45 days before expiry."""
        away = (contract.expires - day).days - 45
        bell = math.exp(-((away / 32) ** 2))
        return 200 + int(contract.variety.interest * bell)

    def main_table(self, variety: str) -> list[tuple[date, str]]:
        """(first trading day, contract), ascending, over all days of this world."""
        return list(self._mains[variety])

    def _choose_mains(self, variety: str) -> list[tuple[date, str]]:
        found: list[tuple[date, str]] = []
        main: Contract | None = None
        for day in self.days:
            eve = self.previous(day)
            later = [
                c
                for c in self._contracts[variety]
                if c.trades_on(day) and (main is None or c.expires >= main.expires)
            ]
            if not later:
                continue
            best = max(later, key=lambda c: (self.open_interest(c, eve), c.expires))
            if best is not main:
                main = best
                found.append((day, main.code))
        return found

    def main_on(self, variety: str, day: date) -> str | None:
        return held(self._mains[variety], day)

    # ------------------------------------------------------------------ ticks
    def tick_count(self, contract: str, day: date) -> int:
        """What `day_ticks` would give, without making it."""
        known = self._by_code.get(contract)
        if known is None or not known.trades_on(day) or not self.first <= day <= self.days[-1]:
            return 0
        per_day = self._per_day
        count = per_day if isinstance(per_day, int) else per_day.get(day, self._default)
        is_main = self.main_on(known.variety.code, day) == contract
        return count if is_main else max(2, count // 4)

    def day_ticks(self, contract: str, day: date) -> list[Row]:
        """The ticks of a contract's trading day, ascending; not to be changed by the caller."""
        key = (contract, day)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._make(contract, day, self.tick_count(contract, day))
                while len(self._kept) > KEPT_DAYS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def bars(self, contract: str, duration: int) -> list[Row] | None:  # noqa: ARG002
        """Recorded bars of a contract; None: they are made of its ticks."""
        return None

    def first_id(self, contract: str) -> int:  # noqa: ARG002
        """The number that the exchange's service gave the first tick of this world."""
        return 0

    def _make(self, code: str, day: date, count: int) -> list[Row]:
        contract = self._by_code.get(code)
        if contract is None or count == 0:
            return []
        variety, dice = contract.variety, random.Random(f"{self._seed} {code} {day}")
        stamps = self._stamps(self.sessions(variety.code, day), count, dice)
        price = self._opening(contract, day)
        high = low = price
        before = self.open_interest(contract, self.previous(day))
        after = self.open_interest(contract, day)
        volume, amount, rows = 0, 0.0, []
        for n, stamp in enumerate(stamps):
            step = dice.choice((-1, 0, 0, 1))
            price = round(price + variety.tick * step, variety.decimals)
            high, low = max(high, price), min(low, price)
            lots = dice.randrange(0, 9) if n else dice.randrange(1, 9)
            volume += lots
            amount = round(amount + lots * price * variety.multiple, 2)
            share = (n + 1) / count
            row: Row = {
                "datetime": stamp,
                "last_price": price,
                "highest": high,
                "lowest": low,
                "average": round(amount / volume / variety.multiple, 4),
                "volume": volume,
                "amount": amount,
                "open_interest": after
                if n + 1 == count
                else before + int((after - before) * share),
            }
            _add_book(row, variety, price, dice)
            rows.append(row)
        return rows

    def _stamps(
        self, sessions: Sequence[tuple[int, int]], count: int, dice: random.Random
    ) -> list[int]:
        """Two ticks of one stamp are a microsecond apart, as the service tells them."""
        slots = sum((end - start) // SLOT for start, end in sessions)
        if count > slots:
            raise UsageError(f"{count} ticks do not fit into a day of {slots} half seconds")
        drawn = sorted({0, *dice.sample(range(1, slots), count - 1)})
        stamps: list[int] = []
        for slot in drawn:
            left = slot
            for start, end in sessions:
                if left < (end - start) // SLOT:
                    stamps.append(start + left * SLOT)
                    break
                left -= (end - start) // SLOT
        for n in range(1, count):
            if dice.random() < 0.02 and stamps[n - 1] % SLOT == 0:
                stamps[n] = stamps[n - 1] + 1000
        return stamps

    def _opening(self, contract: Contract, day: date) -> float:
        """Waves of a month, dearer by delivery month, so that every roll is a step of the price."""
        variety = contract.variety
        wave = math.sin(day.toordinal() / 9) * 60 + math.sin(day.toordinal() / 31) * 150
        carry = (contract.year * 12 + contract.month) % 24 * 7
        ticks = round(variety.price / variety.tick) + int(wave) + carry
        return round(ticks * variety.tick, variety.decimals)


def _add_book(row: Row, variety: Variety, price: float, dice: random.Random) -> None:
    levels = variety.book_levels
    there = levels if dice.random() > 0.03 else max(1, levels - 2)
    for level in range(1, levels + 1):
        for side, sign in (("bid", -1), ("ask", 1)):
            if level <= there:
                away = price + sign * variety.tick * level
                row[f"{side}_price{level}"] = round(away, variety.decimals)
                row[f"{side}_volume{level}"] = dice.randrange(1, 60)
            else:
                row[f"{side}_price{level}"] = ""
                row[f"{side}_volume{level}"] = 0


def held(table: Sequence[tuple[date, str]], day: date) -> str | None:
    """The contract of a table of switches on a day."""
    position = bisect_left(_days_of(tuple(table)), day + timedelta(days=1)) - 1
    return table[position][1] if position >= 0 else None


@lru_cache(maxsize=64)
def _days_of(table: tuple[tuple[date, str], ...]) -> list[date]:
    return [day for day, _ in table]
