"""Has the gateway got its servers? Known by what it says of them, and awaited."""

import asyncio

LOST, RESTORED_EMPTY, RESTORED = 1100, 1101, 1102
FARM_BROKEN = (2103, 2105, 2157)  # market data, history, contracts
FARM_BACK = (2104, 2106, 2107, 2108, 2158)
OURS = ("us", "secdef")  # farms of other markets may sleep


class Health:
    """Of one connection, within its event loop."""

    def __init__(self) -> None:
        self._missing: set[str] = set()
        self._good = asyncio.Event()
        self._good.set()

    @property
    def is_good(self) -> bool:
        return self._good.is_set()

    def hear(self, code: int, text: str) -> None:
        farm = text.rpartition(":")[2].strip()
        if code == LOST:
            self._missing.add("")
        elif code in (RESTORED_EMPTY, RESTORED):
            self._missing.discard("")
        elif code in FARM_BROKEN and farm.startswith(OURS):
            self._missing.add(farm)
        elif code in FARM_BACK:
            self._missing.discard(farm)
        if self._missing:
            self._good.clear()
        else:
            self._good.set()

    async def wait(self, seconds: float) -> bool:
        """At most so long until nothing is missing; was that so?"""
        try:
            await asyncio.wait_for(self._good.wait(), seconds)
        except TimeoutError:
            return self.is_good
        return True
