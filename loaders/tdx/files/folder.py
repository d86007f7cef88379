"""The desktop client's folder: its files, whatever the case of their names.

    scan_folder(settings)                the folder of tdx.client, scanned once; None without one
    folder.find("T0002/hq_cache/gbbq")   the path of that file, or None
    folder.bars("day")                   vipdoc/*/lday/*.day by code: {"sh600000": Path}; minutes
                                         ("minute1", "minute5") in the newer format if both exist;
                                         sh999999 is sh000001, unless that has a file too
    folder.unreadable                    folders and files that cannot be read, each with the reason
    folder.hides("vipdoc/sz/…")          whether that path is below one of these

Files count in ten places: vipdoc/{sh,sz,bj}/{lday,minline,fzline} and T0002/hq_cache, also as
`VIPDOC/SH/LDAY/SH600000.DAY`. Nothing is written, so a read-only mount is enough.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from loaders.settings import Settings
from loaders.tdx.files.written import State
from loaders.tdx.settings import FOLDER_FIX, TdxSettings
from quotemill.errors import SettingsError
from quotemill.instrument_ranges import OTHER_NAMES

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
FOLDERS = {"day": "lday", "minute1": "minline", "minute5": "fzline"}
SUFFIXES = {"day": (".day",), "minute1": (".lc1",), "minute5": (".lc5", ".5")}
HQ_CACHE = "t0002/hq_cache"
_BARS = {
    f"vipdoc/{exchange}/{folder}": (exchange, period)
    for period, folder in FOLDERS.items()
    for exchange in ("sh", "sz", "bj")
}
_WANTED = (*_BARS, HQ_CACHE)


@dataclass(frozen=True)
class Folder:
    """Files of the client's folder.

    files: by lower-case path with slashes, such as `vipdoc/sh/lday/sh600000.day`.
    unreadable: a sentence for each folder or file that cannot be read, by such a path.
    """

    root: Path
    files: Mapping[str, Path] = field(repr=False)
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """A sentence about the unreadable parts; None if everything can be read."""
        if not self.unreadable:
            return None
        more = f" and {len(self.unreadable) - 1:,} more" if len(self.unreadable) > 1 else ""
        first = next(iter(self.unreadable.values()))
        return f"{first}{more}. The rest of the client's folder is loaded"

    def hides(self, name: str) -> bool:
        """Whether a file with this path would lie in a part that cannot be read."""
        return any(f"{name.lower()}/".startswith(f"{part}/") for part in self.unreadable)

    def find(self, name: str) -> Path | None:
        """The file with this path in the client's folder, in any case; None without it."""
        return self.files.get(name.lower())

    def bars(self, period: str) -> Mapping[str, Path]:
        """Files of day, minute1 or minute5 bars by code."""
        return self._bars[period]

    @cached_property
    def _bars(self) -> Mapping[str, Mapping[str, Path]]:
        by_period: dict[str, dict[str, Path]] = {period: {} for period in FOLDERS}
        for name, path in self.files.items():
            place, _, file = name.rpartition("/")
            exchange, period = _BARS.get(place, ("", ""))
            code, dot, end = file.partition(".")
            newer, *older = SUFFIXES.get(period, ("",))
            if not CODE.fullmatch(code) or not code.startswith(exchange):
                continue
            if dot + end == newer:
                by_period[period][code] = path
            elif dot + end in older:
                by_period[period].setdefault(code, path)
        for files in by_period.values():
            for name, code in OTHER_NAMES.items():
                if name in files:
                    files.setdefault(code, files.pop(name))
        return by_period


def check_folder(settings: Settings) -> None:
    """Raises SettingsError if tdx.client is not a folder."""
    folder = settings.tdx.client
    if folder is not None and not folder.is_dir() and not settings.tdx.download:
        raise SettingsError(
            f"setting tdx.client ({settings.origin('tdx.client')}): {folder} is not a folder",
            hint=FOLDER_FIX,
        )


def list_files(root: Path) -> Folder:
    """The folder's files; none of a folder that is not there."""
    scan = _Scan()
    if root.is_dir():
        scan.walk(root, "")
    return Folder(root, scan.files, scan.unreadable)


def scan_folder(settings: TdxSettings) -> Folder | None:
    """The client's folder from the settings; None if they name none. Raises SettingsError."""
    root = settings.client
    if root is None:
        return None
    scan = _Scan()
    try:
        scan.walk(root, "")
    except OSError as error:
        raise SettingsError(
            f"setting tdx.client: cannot read {root}: {error.strerror}", hint=FOLDER_FIX
        ) from error
    folder = Folder(root, scan.files, scan.unreadable)
    has_bars = any(folder.bars(period) for period in FOLDERS)
    if scan.unreadable and not scan.files:
        raise SettingsError(
            f"tdx.client: {next(iter(scan.unreadable.values()))}, and {root} has no other "
            "files of the client",
            hint="Make it readable for the user that runs quotemill, or download it again.",
        )
    if not has_bars and scan.zips:
        raise SettingsError(f"tdx.client: {scan.zips[0]} is not unpacked", hint=FOLDER_FIX)
    if not scan.files:
        raise SettingsError(
            f"tdx.client: {root} has no files of the desktop client", hint=FOLDER_FIX
        )
    return folder


@dataclass
class _Scan:
    """Files, unreadable parts and zips that were met."""

    files: dict[str, Path] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    zips: list[Path] = field(default_factory=list)

    def walk(self, folder: Path, place: str) -> None:
        """Take the wanted files below `folder`, the client's `place`. Raises OSError."""
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda entry: entry.name)
        for entry in listing:
            path, name, reason = Path(entry.path), f"{place}{entry.name.lower()}", ""
            is_wanted = place.rstrip("/") in _WANTED
            leads = any(f"{wanted}/".startswith(f"{name}/") for wanted in _WANTED)
            try:
                if entry.is_file():
                    if is_wanted:
                        self._take(name, path)
                    elif name.endswith(".zip"):
                        self.zips.append(path)
                elif leads and entry.is_dir():
                    self.walk(path, f"{name}/")
                elif entry.is_symlink() and not path.exists():
                    reason = "broken link"
            except OSError as error:  # a link that leads to itself, a share that went away
                reason = str(error.strerror)
            if reason and (is_wanted or leads):
                self.unreadable[name] = f"cannot read {entry.path}: {reason}"

    def _take(self, name: str, path: Path) -> None:
        # of `vipdoc` and `VIPDOC` side by side the file written last counts
        twin = self.files.get(name)
        if twin is None or _read_time(path) >= _read_time(twin):
            self.files[name] = path


def _read_time(path: Path) -> int:
    state = State.try_read(path)
    return state.written_ns if state else 0
