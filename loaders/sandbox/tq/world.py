"""A synthetic futures market: open interest, main contracts, ticks.

The same arguments give the same market, days after the end of the world included.

Open interest decides the main contract: on a trading day it is the one with the most of it at the
close of the day before, and it never returns to an earlier delivery month.
"""

import math
import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from threading import RLock

from loaders.sandbox.tq.exchange import Contract, Exchange, Row, Switches
from loaders.sandbox.tq.varieties import NS, Variety
from quotemill.errors import UsageError

DEFAULT_VARIETIES = ("SHFE.cu", "SHFE.au", "DCE.m", "CFFEX.IF")
DEFAULT_FIRST = date(2025, 8, 1)
DEFAULT_END = date(2025, 12, 12)
FUTURE = timedelta(days=90)  # the clock can move this far beyond the end
SLOT = NS // 2  # the exchange sends two snapshots a second
CACHED_DAYS = 400  # contract-days


class World(Exchange):
    """The market of some varieties.

    ticks_per_day: ticks of a main contract on a day, one number or numbers by day (other days have
        `default_ticks`); other contracts have a quarter of it, at least 2
    """

    def __init__(
        self,
        varieties: Iterable[str] = DEFAULT_VARIETIES,
        *,
        first: date = DEFAULT_FIRST,
        end: date = DEFAULT_END,
        ticks_per_day: int | Mapping[date, int] = 120,
        default_ticks: int = 120,
        seed: int = 1,
        holidays: Sequence[date] | None = None,
    ) -> None:
        super().__init__(varieties, first, end, end + FUTURE, holidays)
        self._seed = seed
        self._per_day, self._default = ticks_per_day, default_ticks
        self._cache: OrderedDict[tuple[str, date], list[Row]] = OrderedDict()
        self._lock = RLock()
        self._mains = {code: self._choose_mains(code) for code in self.varieties}

    def open_interest(self, contract: Contract, day: date) -> int:
        """Open interest at the close of a day: a bell around 45 days before expiry."""
        away = (contract.expires - day).days - 45
        bell = math.exp(-((away / 32) ** 2))
        return 200 + int(contract.variety.interest * bell)

    def _choose_mains(self, variety: str) -> Switches:
        switches: Switches = []
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
            best = max(later, key=lambda c: (self.open_interest(c, eve), c is main))
            if best is not main:
                main = best
                switches.append((day, main.code))
        return switches

    def tick_count(self, contract: str, day: date) -> int:
        known = self._by_code.get(contract)
        if known is None or not known.trades_on(day) or not self.first <= day <= self.days[-1]:
            return 0
        per_day = self._per_day
        count = per_day if isinstance(per_day, int) else per_day.get(day, self._default)
        is_main = self.main_on(known.variety.code, day) == contract
        return count if is_main else max(2, count // 4)

    def day_ticks(self, contract: str, day: date) -> list[Row]:
        key = (contract, day)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = self._make(contract, day, self.tick_count(contract, day))
                while len(self._cache) > CACHED_DAYS:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(key)
            return self._cache[key]

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
        """Times of ticks; two of one stamp are a microsecond apart, as in the service."""
        slots = sum((end - start) // SLOT for start, end in sessions)
        if count > slots:
            raise UsageError(f"{count} ticks do not fit into a day of {slots} half seconds")
        drawn = sorted({0, *dice.sample(range(1, slots), count - 1)})
        if count > 1:
            drawn[-1] = slots - 1  # however few ticks a day has, it is quoted to its close
        stamps: list[int] = []
        for slot in drawn:
            left = slot
            for start, end in sessions:
                if left < (end - start) // SLOT:
                    stamps.append(start + left * SLOT)
                    break
                left -= (end - start) // SLOT
        for n in range(1, count):
            if dice.random() < 0.02 and stamps[n - 1] % SLOT == 0 and n < count - 1:
                stamps[n] = stamps[n - 1] + 1000
        return stamps

    def _opening(self, contract: Contract, day: date) -> float:
        """Opening price: waves, higher by delivery month, so that a roll is a step."""
        variety = contract.variety
        wave = math.sin(day.toordinal() / 9) * 60 + math.sin(day.toordinal() / 31) * 150
        carry = (contract.year * 12 + contract.month) % 24 * 7
        ticks = round(variety.price / variety.tick) + int(wave) + carry
        return round(ticks * variety.tick, variety.decimals)


def _add_book(row: Row, variety: Variety, price: float, dice: random.Random) -> None:
    levels = variety.book_levels
    filled = levels if dice.random() > 0.03 else max(1, levels - 2)
    for level in range(1, levels + 1):
        for side, sign in (("bid", -1), ("ask", 1)):
            if level <= filled:
                away = price + sign * variety.tick * level
                row[f"{side}_price{level}"] = round(away, variety.decimals)
                row[f"{side}_volume{level}"] = dice.randrange(1, 60)
            else:
                row[f"{side}_price{level}"] = ""
                row[f"{side}_volume{level}"] = 0
