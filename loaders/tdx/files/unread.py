"""What lies in the client's folder, looks like market data, and is not read."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from loaders.tdx.files import tnf
from loaders.tdx.files.folder import FOLDERS, SUFFIXES, Folder
from loaders.tdx.files.generations import choose
from loaders.tdx.files.zip_members import Member, list_members
from quotemill.errors import DataQualityError
from quotemill.instrument_ranges import GUIDE, classify_code
from quotemill.wording import say_count

DEEPEST = 4  # folders below the client's
# by the lower-case path in the folder, the first that matches
KINDS = (
    (r"(.*/)?ds/.*\.(day|lc1|lc5|5|1)", "bars of other markets, which have no dataset"),
    (r".*\.1", "one-minute bars of an older client: download them again as .lc1"),
    (r".*\.(day|lc1|lc5|5)", "bars outside the folders that are read"),
    (r"(.*/)?gpcw[0-9]*\.(zip|dat)", "financial reports, which have no dataset"),
    (r".*/base\.dbf", "figures of companies, which have no dataset"),
    (r".*\.(zst|tic|trd)", "ticks of a session, which only a service has for a dataset"),
    (r"(.*[^0-9])?[0-9]{6}\.(txt|csv|xls|xlsx|parquet)", "exported bars: the .day files are read"),
    (r".*\.(zip|rar|7z)", "archives: name a zip of bars in tdx.client to read it alone"),
)


def describe_unread(folder: Folder, *, has_service: bool = False) -> list[str]:
    """A sentence for each folder and kind of files that are not read."""
    bars = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    read = {path for name, path in folder.files.items() if name.endswith(bars)}
    zips = {Path(path.archive.filename or "") for path in read if isinstance(path, Member)}
    known = " ".join((*map(str, zips), *folder.unreadable.values()))
    unread: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in _list_names(folder.root, zips):
        path = folder.root / name
        if path in read or str(path) in known:
            continue
        place, _, file = name.rpartition("/")
        inner = name.lower().replace("\\", "/")
        what = next((what for kind, what in KINDS if re.fullmatch(kind, inner)), None)
        if what:
            unread[place or ".", what].append(file)
    known_codes = {*folder.bars("day"), *_list_codes(folder)}
    for period in ("minute1", "minute5"):
        for code, path in folder.bars(period).items():
            kind = classify_code(code)
            if kind == "index":
                whose = "indices, which have no dataset"
            elif kind is None:
                whose = f"codes that are not modelled ({GUIDE})"
            # a service lists further codes
            elif not has_service and code not in known_codes:
                whose = "codes without day bars and in no list: download their day bars"
            else:
                continue
            place = f"vipdoc/{code[:2]}/{FOLDERS[period]}"
            unread[place, f"bars within the day of {whose}"].append(path.name)
    return [
        f"{say_count(len(files), 'file')} in {place}, such as {min(files)}: {what}"
        for (place, what), files in sorted(unread.items())
    ]


def _list_codes(folder: Folder) -> Iterator[str]:
    for exchange, pair in tnf.FILES.items():
        if choice := choose(folder, pair):
            with suppress(DataQualityError):
                yield from tnf.read_names(choice.path, exchange)


def _list_names(root: Path, zips: Iterable[Path]) -> Iterator[str]:
    """Names of files below a folder, not too deep, and in zips; what cannot be read has none."""
    for path in sorted(path for path in zips if path.is_relative_to(root)):
        yield from (member.relative_to(root).as_posix() for _, member in list_members(path))
    if root.is_file():
        return
    for folder, folders, files in os.walk(root):
        place = Path(folder).relative_to(root)
        folders[:] = sorted(folders) if len(place.parts) < DEEPEST else []
        yield from ((place / file).as_posix() for file in files)
