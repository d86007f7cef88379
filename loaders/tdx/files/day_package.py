"""The vendor's packages, which continue the files of the client's folder.

A day package such as `20261127.zip` holds two files of each exchange, little-endian:

    sh261127.cod   150 bytes a code: the code at 0, its number (u16) at 32, the name (GBK) at 40
    sh261127.md1   512 bytes a number: open, high, low, close (f64, yuan or points) from 12 on,
                   shares (u64) at 56, turnover (f64, yuan) at 72; of an index its members that rose
                   and fell (u16) at 152 and 232

Its bars become records of `vipdoc/*/lday/*.day`, its names become `T0002/hq_cache/*.tnf`.
`gbbq.zip` holds gbbq, and a `zhb.zip` with the sectors. A file keeps the bar of a day that it has.
"""

import io
import os
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from loaders.files import whole_file
from loaders.tdx.bars.records import PRICES, Records
from loaders.tdx.client.answers import EXCHANGES
from loaders.tdx.files.sectors import KINDS as SECTORS
from loaders.tdx.files.tnf import HEAD, LAYOUTS
from loaders.tdx.files.vipdoc import DAY, IN_HANDS, SIZE, read_day_records
from loaders.tdx.losses import Loss
from quotemill.errors import DataQualityError
from quotemill.foreign import CLIENT_FILE, check_size, reading
from quotemill.instrument_ranges import COMPOSITE, OTHER_NAMES, classify_code, price_decimals

BEIJING_SINCE = date(2022, 5, 6)  # its first day in a package
HQ_CACHE = Path("T0002", "hq_cache")
_MOST = 2**32 - 1  # of a number in a day file
_LAYOUTS = {
    "cod": np.dtype(
        {
            "names": ["code", "number", "name"],
            "formats": ["S6", "<u2", "S32"],
            "offsets": [0, 32, 40],
            "itemsize": 150,
        }
    ),
    "md1": np.dtype(
        {
            "names": [*PRICES, "volume", "amount", "up", "down"],
            "formats": [*["<f8"] * 4, "<u8", "<f8", "<u2", "<u2"],
            "offsets": [12, 20, 28, 36, 56, 72, 152, 232],
            "itemsize": 512,
        }
    ),
}


@dataclass(frozen=True)
class DayPackage:
    """Content of a day package.

    names: of all codes, by code (`sh600000`)
    bars: a record of a day file by code; only modelled kinds that have a price
    """

    day: date
    names: Mapping[str, str]
    bars: Mapping[str, np.void]


def read_package(content: bytes, day: date) -> DayPackage:
    """Read the package of a day. Raises DataQualityError; no part may be missing."""
    names, bars = dict[str, str](), dict[str, np.void]()
    files = unzip(content, f"{day:%Y%m%d}.zip")
    for exchange in EXCHANGES:
        if exchange == "bj" and day < BEIJING_SINCE:
            continue
        stem = f"{exchange}{day:%y%m%d}"
        listed, prices = (_parse(files, f"{stem}.{end}", _LAYOUTS[end]) for end in _LAYOUTS)
        listed = listed[listed["code"] != b""]
        codes = [exchange + digits.decode("latin-1") for digits in listed["code"]]
        if COMPOSITE not in codes:
            codes = [OTHER_NAMES.get(code, code) for code in codes]
        numbers = listed["number"]
        is_wrong = len({*codes}) < len(codes) or len(np.unique(numbers)) < len(codes)
        if is_wrong or numbers.max(initial=0) >= len(prices):
            raise DataQualityError(
                f"{stem}.cod: duplicate codes or numbers, or codes missing from {stem}.md1"
            )
        texts = (name.partition(b"\0")[0].decode("gbk", "replace") for name in listed["name"])
        names |= dict(zip(codes, map(str.strip, texts), strict=True))
        bars |= _to_records(codes, prices[numbers], day)
    if COMPOSITE not in bars:
        raise DataQualityError(f"{day:%Y%m%d}.zip has no bar for {COMPOSITE}")
    return DayPackage(day, names, bars)


def unzip(content: bytes, place: str) -> dict[str, bytes]:
    """The files of a zip by lower-case name, without folders. Raises DataQualityError."""
    files = {}
    with reading(place), zipfile.ZipFile(io.BytesIO(content)) as zipped:
        for member in zipped.infolist():
            check_size(f"{place}: {member.filename}", member.file_size, CLIENT_FILE)
            files[member.filename.rpartition("/")[2].lower()] = zipped.read(member)
    return files


def _parse(files: Mapping[str, bytes], name: str, layout: np.dtype[Any]) -> Records:
    if name not in files:
        raise DataQualityError(f"{name} is missing: the package is incomplete, or for another day")
    count, tail = divmod(len(files[name]), layout.itemsize)
    if tail or not count:
        raise DataQualityError(
            f"{name}: size of {len(files[name]):,} bytes is not a multiple of the record "
            f"size ({layout.itemsize})"
        )
    return np.frombuffer(files[name], layout)


def _to_records(codes: list[str], prices: Records, day: date) -> dict[str, np.void]:
    kinds = [classify_code(code) for code in codes]
    priced = np.logical_and.reduce([prices[name] > 0 for name in PRICES])
    at = np.flatnonzero(priced & np.array([kind is not None for kind in kinds]))
    bars, codes, kinds = prices[at], [codes[i] for i in at], [kinds[i] for i in at]
    most = [(name, _MOST / 1000) for name in PRICES]
    for name, limit in (*most, ("amount", np.inf), ("volume", _MOST * 100)):
        for i in np.flatnonzero(~(bars[name] < limit))[:1]:
            raise DataQualityError(
                f"{day:%Y%m%d}.zip: impossible value for {codes[i]}: {name} {bars[name][i]}"
            )
    is_index = np.array([kind == "index" for kind in kinds], bool)
    units = np.array([price_decimals(c, k or "") for c, k in zip(codes, kinds, strict=True)], int)
    made = np.zeros(len(at), DAY)
    made["day"] = day.year * 10_000 + day.month * 100 + day.day
    for name in PRICES:
        made[name] = np.rint(bars[name] * 10.0**units)
    made["amount"] = bars["amount"]
    hands, odd = np.divmod(bars["volume"], 100)
    # day files count an index in hands; the packages' unit shows in the whole market's
    counts_shares = COMPOSITE in codes and bars["volume"][codes.index(COMPOSITE)] > _MOST
    in_hands = np.where(is_index, counts_shares, bars["volume"] > _MOST)
    made["volume"] = np.where(in_hands, hands, bars["volume"])
    marks = np.where(in_hands, (IN_HANDS << 8) + odd, 0)
    counts = bars["up"] + (bars["down"].astype(np.uint32) << 16)
    made["reserved"] = np.where(is_index, counts, marks)
    return dict(zip(codes, made, strict=True))


class DayFiles:
    """The day files below a folder, which packages continue.

    newest: the newest record of each file, by code
    """

    def __init__(self, root: Path, files: Mapping[str, Path]) -> None:
        self.root, self.paths = root, files
        tails = {code: _read_records(path, newest=1) for code, path in files.items()}
        self.newest = {code: tail[-1] for code, tail in tails.items() if len(tail)}
        self._seen = {bar[1:] for bar in _read_records(self._find(COMPOSITE)).tolist()}
        self.added = defaultdict[str, list[np.void]](list)
        self.names: DayPackage | None = None

    @property
    def newest_day(self) -> date | None:
        """The newest day of the calendar's index."""
        bar = self.newest.get(COMPOSITE)
        return date.fromisoformat(str(bar["day"])) if bar is not None else None

    def repeats(self, package: DayPackage) -> bool:
        """Whether a package has the bar of another day, under its own."""
        return package.bars[COMPOSITE].tolist()[1:] in self._seen

    def find_losses(self, package: DayPackage) -> list[Loss]:
        """What a package lacks of the stocks and funds with a bar on the newest day."""
        newest = self.newest.get(COMPOSITE)
        had = [
            code
            for code, bar in self.newest.items()
            if newest is not None and bar["day"] == newest["day"] and classify_code(code) != "index"
        ]
        losses = []
        for exchange in EXCHANGES:
            stored = {code for code in had if code.startswith(exchange)}
            lost = stored - package.bars.keys()
            answer, example = f"{package.day:%Y%m%d}.zip", min(lost, default="")
            losses.append(
                Loss(answer, len(lost), len(stored), f"codes traded on {exchange}", example)
            )
        return losses

    def add(self, package: DayPackage) -> None:
        for code, bar in package.bars.items():
            self.added[code].append(bar)
            if code not in self.newest or self.newest[code]["day"] < bar["day"]:
                self.newest[code] = bar
        self._seen.add(package.bars[COMPOSITE].tolist()[1:])
        if self.newest[COMPOSITE]["day"] == package.bars[COMPOSITE]["day"]:
            self.names = package

    def write(self) -> None:
        """Write the added records, and the names of the newest package. Raises OSError.

        The calendar's index comes last: after a kill the same packages are due again.
        """
        for code in sorted(self.added, key=lambda code: (code == COMPOSITE, code)):
            if code == COMPOSITE:
                self._write_names()
                # a power cut must not leave the index without the codes; Windows has no sync
                getattr(os, "sync", bool)()
            _add_records(self._find(code), np.array(self.added[code], DAY))

    def _find(self, code: str) -> Path:
        return self.paths.get(code) or self.root / f"vipdoc/{code[:2]}/lday/{code}.day"

    def _write_names(self) -> None:
        size, place = LAYOUTS["s"]
        for exchange in EXCHANGES:
            content = bytes(HEAD)
            for code, name in self.names.names.items() if self.names else ():
                if code.startswith(exchange) and code[2:].isdigit():
                    record = code[2:].encode().ljust(place.start, b"\0") + name.encode(
                        "gbk", "replace"
                    )
                    content += record[: place.stop].ljust(size, b"\0")
            if len(content) > HEAD:
                replace_file(self.root / HQ_CACHE / f"{exchange}s.tnf", content)


def unpack_events(content: bytes, root: Path) -> None:
    """Write gbbq and the sectors of gbbq.zip. Raises DataQualityError, OSError."""
    files = unzip(content, "gbbq.zip")
    if "gbbq" not in files:
        raise DataQualityError("gbbq.zip does not contain gbbq")
    if "zhb.zip" in files:
        sectors = unzip(files["zhb.zip"], "zhb.zip")
        files |= {name: sectors[name] for name in SECTORS if name in sectors}
    for name in ("gbbq", *SECTORS):
        if name in files:
            replace_file(root / HQ_CACHE / name, files[name])


def replace_file(path: Path, content: bytes) -> None:
    """Write a file if its content differs; it is whole or absent. Raises OSError."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = whole_file.unfinished(path)
    part.write_bytes(content)
    whole_file.sync(part)
    whole_file.rename(path)


def _add_records(path: Path, added: Records) -> None:
    """Add the records of days that a file lacks: at its end, or in a new file if they are older."""
    added = added[np.argsort(added["day"], kind="stable")]
    newest = _read_records(path, newest=1)
    if len(newest) and added["day"][0] <= newest["day"][-1]:
        stored = _read_records(path)
        more = added[~np.isin(added["day"], stored["day"])]
        if len(more):
            whole = np.concatenate([stored, more])
            replace_file(path, whole[np.argsort(whole["day"], kind="stable")].tobytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(file.tell() // SIZE * SIZE)  # a record that a kill has cut
        file.write(added.tobytes())


def _read_records(path: Path, newest: int | None = None) -> Records:
    """The whole records of a file, or only the newest; none of a missing one."""
    return read_day_records(path, newest) if path.is_file() else np.zeros(0, DAY)
