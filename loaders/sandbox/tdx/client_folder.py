"""A market from a desktop client's folder: the bars of `vipdoc/*/lday/*.day`.

Trading days are those of the file of sh000001 (or sz399001); the clock starts at the end of the
last one. Names come from `T0002/hq_cache/*.tnf`. The market has no minutes, ticks or corporate
actions: the vendor's adjusted series is the raw one.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

from loaders.sandbox.tdx.vipdoc_files import parse_day, read_day_file
from loaders.sandbox.world.actions import Action
from loaders.sandbox.world.bars import Bars, empty_bars
from loaders.sandbox.world.clock import CLOSE_OF_DAY
from loaders.sandbox.world.world import Kind, MinutePoint, Security, Tick, World
from quotemill.errors import UsageError

INDICES = ("sh000001", "sz399001")
STOCKS = ("sh60", "sh68", "sh90", "sz00", "sz30", "sz20", "bj43", "bj8", "bj92")
FUNDS = ("sh50", "sh51", "sh52", "sh53", "sh56", "sh58", "sz15", "sz16", "sz18")
KINDS: dict[str, Kind] = {
    **dict.fromkeys(STOCKS, "stock"),
    **dict.fromkeys(FUNDS, "fund"),
    **dict.fromkeys(("sh000", "sz399"), "index"),
}


def is_client_folder(folder: Path) -> bool:
    return any(True for _ in _day_files(folder))


class ClientMarket(World):
    """The day files of a folder; raises UsageError without an index."""

    records_intraday = True

    def __init__(self, folder: Path) -> None:
        self._files = {code: file for code, file in _day_files(folder) if _kind(code)}
        index = next((code for code in INDICES if code in self._files), None)
        if index is None:
            raise UsageError(
                f"{folder} has no day file of {' or '.join(INDICES)}, which gives the calendar",
                hint="name a folder that contains vipdoc with day bars of the indices",
            )
        self._bars: dict[str, Bars] = {}
        days = [
            date.fromisoformat(stamp[:10])
            for stamp in read_day_file(self._files[index], index, "index").stamps
        ]
        names = dict(_names(folder))
        securities = [
            Security(
                code[:2], code[2:], names.get(code, code[2:]), kind, _first_day(file) or days[0]
            )
            for code, file in sorted(self._files.items())
            if (kind := _kind(code))
        ]
        super().__init__(days, datetime.combine(days[-1], CLOSE_OF_DAY), securities)

    def actions(self, code: str) -> Sequence[Action]:  # noqa: ARG002
        return []

    def day_bars(self, code: str) -> Bars:
        security = self.find(code)
        if security is None:
            return empty_bars()
        if code not in self._bars:
            self._bars[code] = read_day_file(self._files[code], code, security.kind)
        return self._bars[code]

    def minutes(self, code: str, day: date) -> Bars:  # noqa: ARG002
        return empty_bars()

    def minute_points(self, code: str, day: date) -> list[MinutePoint]:  # noqa: ARG002
        return []

    def ticks(self, code: str, day: date) -> list[Tick]:  # noqa: ARG002
        return []


def _day_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Day files by code; names may be upper or lower case."""
    for file in folder.glob("[vV][iI][pP][dD][oO][cC]/*/[lL][dD][aA][yY]/*.[dD][aA][yY]"):
        yield file.stem.lower(), file


def _kind(code: str) -> Kind | None:
    return next((KINDS[code[:n]] for n in (5, 4, 3) if code[:n] in KINDS), None)


def _first_day(file: Path) -> date | None:
    with file.open("rb") as opened:
        return parse_day(int.from_bytes(opened.read(4), "little"))


def _names(folder: Path) -> Iterator[tuple[str, str]]:
    # an older client's lists first: today's names replace theirs
    for letter, size, at_name in (("m", 314, 23), ("s", 360, 31)):
        for list_ in folder.glob(f"[tT]0002/[hH][qQ]_[cC][aA][cC][hH][eE]/[sb][hzj]{letter}.tnf"):
            content, exchange = list_.read_bytes()[50:], list_.name[:2]
            for at in range(0, len(content) // size * size, size):
                digits = content[at : at + 6].decode("ascii", "replace")
                name = content[at + at_name : at + size].partition(b"\0")[0]
                yield exchange + digits, name.decode("gbk", "replace").strip() or digits
