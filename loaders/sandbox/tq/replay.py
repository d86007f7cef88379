"""A market from recorded files: a folder with ticks and bars of single contracts.

    ticks_SHFE.cu1909.parquet (or .csv)       id, datetime (ns), fields of a tick, empty levels null
    klines_60s_SHFE.cu2001.parquet (or .csv)  datetime (ns, start), open, high, low, close, volume,
                                              open_oi, close_oi

Trading days are those of Shanghai. The main contract of a day is the one whose ticks are recorded,
else whose bars are; among several the one with the most open interest. Bars that are not recorded
are made from the finest that are, else from the ticks.
"""

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from loaders.sandbox.tq.exchange import Contract, Exchange, Row, Switches
from loaders.sandbox.tq.varieties import CST, NS, VARIETIES, nanoseconds
from loaders.sandbox.world.market import exchange_days
from quotemill.errors import UsageError

DAY = 86_400 * NS
BAR = ("datetime", "open", "high", "low", "close", "volume", "open_oi", "close_oi")
NOT_ON_THE_WIRE = ("id", "symbol", "datetime_cst")
MARGIN = timedelta(days=40)  # of the calendar around the files, twice the longest holiday
ByDay = dict[date, list[Row]]


class Replay(Exchange):
    """The files of a folder, or those of some contracts.

    Raises UsageError for a folder without files, or with a file that cannot be read.
    """

    def __init__(self, folder: Path, contracts: Collection[str] = ()) -> None:
        ticks = {name: rows for (_, name), rows in _read_files(folder, "ticks_", contracts).items()}
        bars = _read_files(folder, "klines_", contracts)
        if not ticks and not bars:
            raise UsageError(
                f"no ticks_*.parquet or klines_*.parquet in {folder}",
                hint="Choose a folder with recordings.",
            )
        stamps = [row["datetime"] for rows in (*ticks.values(), *bars.values()) for row in rows]
        days = (_date(min(stamps)), _date(max(stamps)))
        calendar = exchange_days(days[0] - MARGIN, days[1] + MARGIN)
        self._ticks: dict[str, ByDay] = {}
        self._first_ids: dict[str, int] = {}
        for code, rows in ticks.items():
            self._first_ids[code] = int(rows[0]["id"])
            self._ticks[code] = _group_by_day([_to_wire(row) for row in rows], calendar)
        self._bars: dict[tuple[str, int], ByDay] = {}
        for (seconds, code), rows in bars.items():
            fields = [{name: row[name] for name in BAR} for row in rows]
            self._bars[code, seconds * NS] = _group_by_day(fields, calendar)
        recorded = {*ticks, *(code for _, code in bars)}
        varieties = dict.fromkeys(sorted(code.rstrip("0123456789") for code in recorded))
        known = [day for file in (*self._ticks.values(), *self._bars.values()) for day in file]
        super().__init__(varieties, min(known), end=max(known), last=max(known))
        self._mains = {variety: self._choose_mains(variety) for variety in self.varieties}

    def open_interest(self, contract: Contract, day: date) -> int:
        """Open interest as last recorded up to that day; 0 before."""
        known = [rows[-1] for rows in self._recorded(contract.code, day)]
        if not known:
            return 0
        newest = max(known, key=lambda row: int(row["datetime"]))
        return int(newest["close_oi"] if "close_oi" in newest else newest["open_interest"])

    def tick_count(self, contract: str, day: date) -> int:
        return len(self.day_ticks(contract, day))

    def day_ticks(self, contract: str, day: date) -> list[Row]:
        return self._ticks.get(contract, {}).get(day, [])

    def day_bars(self, contract: str, day: date, duration: int) -> list[Row] | None:
        finer = sorted(d for code, d in self._bars if code == contract and duration % d == 0)
        for recorded in (duration, *finer):
            if rows := self._bars.get((contract, recorded), {}).get(day):
                return rows if recorded == duration else merge_bars(rows, duration, day)
        return None

    def first_id(self, contract: str) -> int:
        return self._first_ids.get(contract, 0)

    def _recorded(self, code: str, day: date) -> Iterable[list[Row]]:
        """The newest rows of each file of a contract, up to a day."""
        bars = [file for (contract, _), file in self._bars.items() if contract == code]
        for file in (self._ticks.get(code, {}), *bars):
            known = [each for each in file if each <= day]
            if known:
                yield file[max(known)]

    def _choose_mains(self, variety: str) -> Switches:
        switches: Switches = []
        for day in self.days:
            ranked = [
                (bool(self.day_ticks(c.code, day)), self.open_interest(c, day), c.code)
                for c in self.contracts(variety)
                if self.day_ticks(c.code, day) or self.day_bars(c.code, day, DAY)
            ]
            if ranked and (not switches or switches[-1][1] != max(ranked)[2]):
                switches.append((day, max(ranked)[2]))
        return switches


def start_of_bar(stamp: int, duration: int, day: date) -> int:
    """Start of the bar of a stamp: 00:00 for days, else a multiple of the duration."""
    return nanoseconds(day) if duration >= DAY else stamp - (stamp + 8 * 3600 * NS) % duration


def merge_bars(bars: list[Row], duration: int, day: date) -> list[Row]:
    """Longer bars from the bars of one trading day."""
    merged: list[Row] = []
    for bar in bars:
        start = start_of_bar(bar["datetime"], duration, day)
        if not merged or merged[-1]["datetime"] != start:
            merged.append({**bar, "datetime": start})
            continue
        whole = merged[-1]
        whole["high"], whole["low"] = max(whole["high"], bar["high"]), min(whole["low"], bar["low"])
        whole["close"], whole["close_oi"] = bar["close"], bar["close_oi"]
        whole["volume"] += bar["volume"]
    return merged


def trading_day(stamp: int, calendar: list[date]) -> date:
    """Trading day of a stamp: a time after 18:00 belongs to the next one."""
    day = (datetime.fromtimestamp(stamp // NS, CST) + timedelta(hours=6)).date()
    return next(known for known in calendar if known >= day)


def _date(stamp: int) -> date:
    return datetime.fromtimestamp(stamp // NS, CST).date()


def _group_by_day(rows: list[Row], calendar: list[date]) -> ByDay:
    groups: ByDay = defaultdict(list)
    days: dict[int, date] = {}
    for row in rows:
        # all rows of an hour have one trading day
        hour = row["datetime"] // (3600 * NS)
        if hour not in days:
            days[hour] = trading_day(row["datetime"], calendar)
        groups[days[hour]].append(row)
    return dict(groups)


def _to_wire(row: dict[str, Any]) -> Row:
    return {
        name: "" if value is None else value
        for name, value in row.items()
        if name not in NOT_ON_THE_WIRE
    }


def _read_files(
    folder: Path, prefix: str, contracts: Collection[str]
) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Rows by (seconds, contract), 0 for ticks; Parquet wins over CSV."""
    recordings: dict[tuple[int, str], list[dict[str, Any]]] = {}
    files = [f for kind in ("parquet", "csv") for f in sorted(folder.glob(f"{prefix}*.{kind}"))]
    for file in files:
        name = file.stem.removeprefix(prefix)
        seconds = 0
        if prefix == "klines_":
            text, _, name = name.partition("s_")
            seconds = int(text) if text.isdigit() else -1
        if name.rstrip("0123456789") not in VARIETIES or seconds < 0:
            raise UsageError(
                f"{file.name} is not a recording of a known contract",
                hint="Name files like ticks_SHFE.cu1909.parquet or klines_60s_SHFE.cu1909.parquet, "
                "with one of these products: " + ", ".join(VARIETIES),
            )
        if contracts and name not in contracts:
            continue
        if (seconds, name) not in recordings and (rows := _read(file)):
            recordings[seconds, name] = rows
    return recordings


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        else:
            with file.open(encoding="utf-8", newline="") as lines:
                rows = [
                    {n: _value(n, text) for n, text in row.items()} for row in csv.DictReader(lines)
                ]
        return sorted(rows, key=lambda row: (row["datetime"], row.get("id", 0)))
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"cannot read {file.name}: {error}") from error


def _value(name: str, text: str) -> Any:
    if name in ("symbol", "datetime_cst"):
        return text
    if text == "":
        return None
    whole = name in ("id", "datetime", "open_interest") or "volume" in name or name.endswith("_oi")
    return int(text) if whole else float(text)
