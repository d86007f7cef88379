"""The desktop client's folder as people have it: files by what they are, however their names are written.

    folder_of(settings)                  the folder of the settings, looked through once; None without one
    folder.find("T0002/hq_cache/gbbq")   the path of that file, or None
    folder.bars("day")                   vipdoc/*/lday/*.day by code: {"sh600000": Path}; of minutes
                                         ("minute1", "minute5") the newer form where both are there
    folder.strays                        files of bars that are no code of their exchange's folder

Names are found in any case (`VIPDOC/SH/LDAY/SH600000.DAY`), and with the backslashes that unpacking a
zip of Windows leaves in them (`vipdoc\\sh\\lday\\sh600000.day` is then one name). Nothing is written, so
a read-only mount does.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from loaders.errors import SettingsError
from loaders.tdx.settings import TdxSettings

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
FOLDERS = {"day": "lday", "minute1": "minline", "minute5": "fzline"}
SUFFIXES = {"day": (".day",), "minute1": (".lc1",), "minute5": (".lc5", ".5")}
HQ_CACHE = "t0002/hq_cache"
_TOPS = ("vipdoc", "t0002")
_BARS = {
    f"vipdoc/{exchange}/{folder}": (exchange, period)
    for period, folder in FOLDERS.items()
    for exchange in ("sh", "sz", "bj")
}
_WANTED = (*_BARS, HQ_CACHE)


@dataclass(frozen=True)
class Folder:
    """Files of the client by their lower-case path with slashes (`vipdoc/sh/lday/sh600000.day`)."""

    root: Path
    files: Mapping[str, Path] = field(repr=False)

    def find(self, name: str) -> Path | None:
        """A file by its path in the client's folder, in any case; None if it is not there."""
        return self.files.get(name.lower())

    def bars(self, period: str) -> Mapping[str, Path]:
        """The files of day, minute1 or minute5 bars, by code."""
        return self._bars[period]

    @cached_property
    def _bars(self) -> Mapping[str, Mapping[str, Path]]:
        found: dict[str, dict[str, Path]] = {period: {} for period in FOLDERS}
        # the newer form last, so that it stays
        for suffix, period in [(s, p) for p in SUFFIXES for s in reversed(SUFFIXES[p])]:
            for name, path in self.files.items():
                code = _code_of(name, period, suffix)
                if code:
                    found[period][code] = path
        return found

    @cached_property
    def strays(self) -> tuple[Path, ...]:
        """Files among the bars that are not named as a code of the exchange whose folder they are in."""
        strays = []
        for name, path in self.files.items():
            place, _, file = name.rpartition("/")
            period = _BARS.get(place, ("", ""))[1]
            suffix = next((s for s in SUFFIXES.get(period, ()) if file.endswith(s)), None)
            if suffix and _code_of(name, period, suffix) is None:
                strays.append(path)
        return tuple(strays)


def _code_of(name: str, period: str, suffix: str) -> str | None:
    place, _, file = name.rpartition("/")
    exchange, its_period = _BARS.get(place, ("", ""))
    if its_period != period or not file.endswith(suffix):
        return None
    code = file.removesuffix(suffix)
    return code if CODE.fullmatch(code) and code.startswith(exchange) else None


def folder_of(settings: TdxSettings) -> Folder | None:
    """The client's folder of the settings; `vipdoc`, where it is set, stands in for the folder's own.

    Raises SettingsError for a folder that is not there or cannot be read.
    """
    if settings.client is None and settings.vipdoc is None:
        return None
    files: dict[str, Path] = {}
    if settings.client is not None:
        files = _walked(settings.client, "", "tdx.client")
        if settings.vipdoc is None and not any(name.startswith(_TOPS) for name in files):
            raise SettingsError(
                f"tdx.client names {settings.client}, which has no file of the desktop client",
                hint="it is the folder that holds vipdoc and T0002; a folder vipdoc alone is tdx.vipdoc",
            )
    if settings.vipdoc is not None:
        files = {name: path for name, path in files.items() if not name.startswith("vipdoc/")}
        files |= _walked(settings.vipdoc, "vipdoc", "tdx.vipdoc")
    return Folder(settings.client or settings.vipdoc or Path(), files)


def _walked(root: Path, prefix: str, setting: str) -> dict[str, Path]:
    if not root.is_dir():
        raise SettingsError(
            f"{setting} names {root}, which is not a folder",
            hint="tdx.client is the folder that holds vipdoc and T0002, tdx.vipdoc is vipdoc itself",
        )
    found: dict[str, Path] = {}
    try:
        for name, path in _below(root, prefix):
            twin = found.get(name)
            # `vipdoc` and `VIPDOC` side by side: what was written last
            if twin is None or path.stat().st_mtime_ns > twin.stat().st_mtime_ns:
                found[name] = path
    except OSError as error:
        raise SettingsError(
            f"{setting}: {error.filename or root} cannot be read: {error.strerror}",
            hint="let the user that runs quotemill read the client's folder",
        ) from error
    return found


def _below(folder: Path | str, prefix: str) -> Iterator[tuple[str, Path]]:
    """The wanted files below a folder, whose own path in the client's folder is `prefix`."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            name = _path_of(prefix, entry.name)
            if entry.is_dir():
                if any(f"{wanted}/".startswith(f"{name}/") for wanted in _WANTED):
                    yield from _below(entry.path, name)
            elif name.rpartition("/")[0] in _WANTED and entry.is_file():
                yield name, Path(entry.path)


def _path_of(prefix: str, name: str) -> str:
    """An entry's path in the client's folder: what stands before `vipdoc` in a name is the folder
    that was packed."""
    parts = [part for part in name.lower().split("\\") if part]
    if not prefix and len(parts) > 1:
        tops = [i for i, part in enumerate(parts) if part in _TOPS]
        parts = parts[tops[0] :] if tops else parts
    return "/".join([prefix, *parts] if prefix else parts)
