"""A market from recorded files in a folder.

    daily_<CODE>.csv                 day bars of a code; one file at least
    minute_line_<CODE>.csv           price and hands by minute
    ticks_<CODE>.csv                 ticks
    minute1_bars_<CODE>_<year>.csv   one-minute bars
    vipdoc/<exchange>/lday/<code>.day   later days, as the desktop client stores them
    corporate_actions.csv            for the adjusted series only

Trading days are the union of the days of the daily files, and the clock starts at the end of the
last one. The other files are served for their own dates and never extend the calendar: minutes,
ticks and recorded minute bars at any clock, the VIPDOC days once the clock has reached them.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from loaders.sandbox.tdx.vipdoc_files import read_day_file
from loaders.sandbox.tdx.wire import is_etf
from loaders.sandbox.world.actions import Action, read_actions
from loaders.sandbox.world.bars import Bars, empty_bars
from loaders.sandbox.world.clock import CLOSE_OF_DAY
from loaders.sandbox.world.world import Kind, MinutePoint, Security, Tick, World
from quotemill.errors import UsageError

NAMES = {"sh600000": "浦发银行", "sz000002": "万科A", "sh000001": "上证指数"}


def parse_li(text: str) -> int:
    """Yuan or points of a text in thousandths, exact; digits after the third are cut."""
    whole, _, fraction = text.strip().partition(".")
    sign = -1 if whole.startswith("-") else 1
    return sign * (abs(int(whole or 0)) * 1000 + int((fraction + "000")[:3]))


def classify_code(code: str) -> Kind:
    exchange, digits = code[:2], code[2:]
    if (exchange, digits[:3]) in (("sh", "000"), ("sz", "399")):
        return "index"
    return "fund" if is_etf(exchange, digits) else "stock"


class ReplayMarket(World):
    """The files of a folder; UsageError without daily files or for a bad one."""

    records_intraday = True

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("daily_*.csv")) if folder.is_dir() else []
        if not files:
            raise UsageError(
                f"no daily_<CODE>.csv in {folder}", hint="Choose a folder with files to replay."
            )
        self._folder = folder
        self._bars = {file.stem[6:].lower(): _read_daily(file) for file in files}
        days = sorted({date.fromisoformat(s[:10]) for b in self._bars.values() for s in b.stamps})
        securities = [
            Security(
                code[:2], code[2:], NAMES.get(code, code[2:]), classify_code(code), _first(bars)
            )
            for code, bars in self._bars.items()
        ]
        for code, bars in self._bars.items():
            self._bars[code] = bars.plus(_read_vipdoc(folder, code, bars.stamps[-1]))
        actions = folder / "corporate_actions.csv"
        self._actions = read_actions(actions) if actions.is_file() else []
        self._points: dict[str, dict[str, list[MinutePoint]]] = {}
        self._ticks: dict[str, dict[str, list[Tick]]] = {}
        self._recorded: dict[str, Bars | None] = {}
        super().__init__(days, datetime.combine(days[-1], CLOSE_OF_DAY), securities)

    def actions(self, code: str) -> Sequence[Action]:
        return [action for action in self._actions if action.code == code]

    def day_bars(self, code: str) -> Bars:
        return self._bars.get(code) or empty_bars()

    def minutes(self, code: str, day: date) -> Bars:  # noqa: ARG002
        """None: recorded minutes have no open, high and low; see `minute_history`."""
        return empty_bars()

    def minute_history(self, code: str) -> Bars | None:
        if code not in self._recorded:
            files = sorted(self._folder.glob(f"minute1_bars_{code.upper()}_*.csv"))
            self._recorded[code] = _read_minute_bars(files) if files else empty_bars()
        return self._recorded[code]

    def minute_points(self, code: str, day: date) -> list[MinutePoint]:
        if code not in self._points:
            self._points[code] = _read_points(self._folder / f"minute_line_{code.upper()}.csv")
        return self._points[code].get(day.isoformat(), [])

    def ticks(self, code: str, day: date) -> list[Tick]:
        if code not in self._ticks:
            self._ticks[code] = _read_ticks(self._folder / f"ticks_{code.upper()}.csv")
        return self._ticks[code].get(day.isoformat(), [])


def _first(bars: Bars) -> date:
    return date.fromisoformat(bars.stamps[0][:10])


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _bars(stamps: list[str], rows: list[tuple[int, ...]]) -> Bars:
    if not rows:
        return empty_bars()
    o, h, low, c, volume, amount = np.ascontiguousarray(np.array(rows, dtype=np.int64).T)
    nothing = np.zeros(len(stamps), dtype=np.int64)
    return Bars(stamps, o, h, low, c, volume, amount, nothing, nothing, nothing)


def _read_daily(file: Path) -> Bars:
    stamps, rows = [], []
    try:
        for row in _rows(file):
            stamps.append(f"{date.fromisoformat(row['date'])}T15:00:00")
            prices = (parse_li(row[name]) for name in ("open", "high", "low", "close"))
            rows.append((*prices, int(row["volume_hands"]), parse_li(row["amount_yuan"])))
    except (KeyError, ValueError) as error:
        raise UsageError(f"{file.name}, row {len(stamps)}: cannot read {error}") from error
    if not rows:
        raise UsageError(f"{file.name} has no rows")
    return _bars(stamps, rows)


def _read_vipdoc(folder: Path, code: str, after: str) -> Bars:
    """Records of the desktop client's day file after a stamp."""
    file = folder / "vipdoc" / code[:2] / "lday" / f"{code}.day"
    if not file.is_file():
        return empty_bars()
    bars = read_day_file(file, code, classify_code(code))
    return bars.slice(bisect_right(bars.stamps, after), len(bars))


def _read_minute_bars(files: list[Path]) -> Bars:
    """Index bars as recorded; their volumes are cut to hundreds, as the service does."""
    stamps, rows = [], []
    for file in files:
        for row in _rows(file):
            stamps.append(row["bar_end"].replace(" ", "T") + ":00")
            prices = (parse_li(row[name]) for name in ("open", "high", "low", "close"))
            rows.append((*prices, int(row["raw_vol_field"]) // 100 * 100, 0))
    return _bars(stamps, rows)


def _read_points(file: Path) -> dict[str, list[MinutePoint]]:
    """Points by day; the files label minutes by their start, the service by their end."""
    points: dict[str, list[MinutePoint]] = {}
    for row in _rows(file) if file.is_file() else ():
        start = datetime.fromisoformat(row["bar_start"])
        label = (start + timedelta(minutes=1)).strftime("%H:%M")
        point = MinutePoint(label, parse_li(row["price_yuan"]), int(row["volume_hands"]))
        points.setdefault(start.date().isoformat(), []).append(point)
    return points


def _read_ticks(file: Path) -> dict[str, list[Tick]]:
    ticks: dict[str, list[Tick]] = {}
    for row in _rows(file) if file.is_file() else ():
        numbers = (parse_li(row["price_yuan"]), int(row["volume_hands"]), int(row["side"]), 0)
        ticks.setdefault(row["date"], []).append(Tick(row["minute"], *numbers))
    return ticks
