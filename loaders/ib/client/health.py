"""Whether the gateway has its servers, by what it says of them; a broken one can be awaited.

Each request needs some of them: a broken farm of historical data holds up no quote, and a broken
farm of market data no look-up. What cuts the gateway off altogether (LOST) holds up all.
"""

import asyncio
import re
from typing import Literal

LOST, TWS_LOST, RESTORED_EMPTY, RESTORED = 1100, 2110, 1101, 1102
CUT_OFF = (LOST, TWS_LOST)  # from the servers, all of them
Farm = Literal["quotes", "history", "contracts"]
FARM_BROKEN: dict[int, Farm] = {2103: "quotes", 2105: "history", 2157: "contracts"}
FARM_BACK = (2104, 2106, 2107, 2108, 2158)
CONTRACTS = "secdef"
OURS = ("us", CONTRACTS)  # farms of other markets may sleep
OTHERS = ("usfuture", "usbond", "uscrypto")


def find_farm(text: str) -> str:
    """The farm that a message names: `… is broken:usopt`, `… available upon demand.usfarm.nj`."""
    if ":" in text:
        return _read_name(text.rpartition(":")[2])
    last = text.strip(" .").rpartition(" ")[2]
    return _read_name(last.partition(".")[2] or last)


def _read_name(text: str) -> str:
    """A farm's name; those of contracts stand for each other: any of them answers."""
    name = text.strip(" .")
    return CONTRACTS if name.startswith(CONTRACTS) else name


def list_connected(text: str) -> set[str]:
    """The farms that are connected by 1101 or 1102: `… are connected: usfarm; secdefil.`."""
    words = re.split("(not connected|connected):", text)
    lists = zip(words[1::2], words[2::2], strict=True)
    return {
        _read_name(name)
        for word, names in lists
        if word == "connected"
        for name in re.split("[;,\\s]+", names)
    }


class Health:
    """State of one connection's servers, within its event loop."""

    def __init__(self) -> None:
        self._is_cut_off = False
        self._broken: dict[str, Farm] = {}  # by name
        self._changed = asyncio.Event()

    def is_good(self, farm: Farm) -> bool:
        """Whether a request that needs this kind of farm can be answered, as far as is known."""
        return not self._is_cut_off and farm not in self._broken.values()

    def hear(self, code: int, text: str) -> None:
        name = find_farm(text)
        if code in CUT_OFF:
            self._is_cut_off = True
        elif code in (RESTORED_EMPTY, RESTORED):
            self._is_cut_off = False
            for back in list_connected(text):
                self._broken.pop(back, None)
        elif code in FARM_BROKEN and name.startswith(OURS) and not name.startswith(OTHERS):
            self._broken[name] = FARM_BROKEN[code]
        elif code in FARM_BACK:
            self._broken.pop(name, None)
        else:
            return
        self._changed.set()

    async def wait(self, seconds: float, farm: Farm) -> bool:
        """Wait until this kind of farm is good; False if that took longer."""
        try:
            async with asyncio.timeout(seconds):
                while not self.is_good(farm):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return self.is_good(farm)
        return True
