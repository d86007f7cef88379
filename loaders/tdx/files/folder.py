"""The desktop client's folder: its files by kind, however their names are written.

    scan_folder(settings)                the folder in the settings, scanned once; None without one
    folder.find("T0002/hq_cache/gbbq")   the path of that file, or None
    folder.bars("day")                   vipdoc/*/lday/*.day by code: {"sh600000": Path}; minutes
                                         ("minute1", "minute5") in the newer format if both exist
    folder.strays                        files of bars not named as a code of their exchange
    folder.unreadable                    folders and files that cannot be read, each with the reason
    folder.hides("vipdoc/sz/…")          whether that path is below one of these

Names match in any case (`VIPDOC/SH/LDAY/SH600000.DAY`). They also match with the backslashes that
unpacking a Windows zip leaves in them (`vipdoc\\sh\\lday\\sh600000.day` is then one name). Nothing
is written, so a read-only mount is enough.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from loaders.tdx.settings import TdxSettings
from quotemill.errors import SettingsError

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
FOLDERS = {"day": "lday", "minute1": "minline", "minute5": "fzline"}
SUFFIXES = {"day": (".day",), "minute1": (".lc1",), "minute5": (".lc5", ".5")}
HQ_CACHE = "t0002/hq_cache"
_VIPDOC = "vipdoc"
_TOPS = (_VIPDOC, "t0002")
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
        return f"{first}{more}; the rest of the client's folder is loaded"

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
        # the newer format comes last, so it replaces the older one
        for suffix, period in [(s, p) for p in SUFFIXES for s in reversed(SUFFIXES[p])]:
            for name, path in self.files.items():
                code = _read_code(name, period, suffix)
                if code:
                    by_period[period][code] = path
        return by_period

    @cached_property
    def strays(self) -> tuple[Path, ...]:
        """Files of bars whose name is no code of their folder's exchange."""
        strays = []
        for name, path in self.files.items():
            place, _, file = name.rpartition("/")
            period = _BARS.get(place, ("", ""))[1]
            suffix = next((s for s in SUFFIXES.get(period, ()) if file.endswith(s)), None)
            if suffix and _read_code(name, period, suffix) is None:
                strays.append(path)
        return tuple(strays)


def name_bars(code: str, period: str) -> str:
    """The path in the client's folder of a code's bars, in the newer format."""
    return f"{_VIPDOC}/{code[:2]}/{FOLDERS[period]}/{code}{SUFFIXES[period][0]}"


def _read_code(name: str, period: str, suffix: str) -> str | None:
    place, _, file = name.rpartition("/")
    exchange, its_period = _BARS.get(place, ("", ""))
    if its_period != period or not file.endswith(suffix):
        return None
    code = file.removesuffix(suffix)
    return code if CODE.fullmatch(code) and code.startswith(exchange) else None


def scan_folder(settings: TdxSettings) -> Folder | None:
    """The client's folder from the settings; None if they name none.

    A `vipdoc` in the settings replaces the one in the client's folder. Raises SettingsError.
    """
    if settings.client is None and settings.vipdoc is None:
        return None
    files: dict[str, Path] = {}
    unreadable: dict[str, str] = {}
    if settings.client is not None:
        files = _walk(settings.client, "", "tdx.client", unreadable)
        if settings.vipdoc is None and not files:
            raise _explain_empty("tdx.client", settings.client, unreadable)
    if settings.vipdoc is not None:
        files = {name: path for name, path in files.items() if not name.startswith("vipdoc/")}
        vipdoc_files = _walk(settings.vipdoc, "vipdoc", "tdx.vipdoc", unreadable)
        if not vipdoc_files and _find_folder(settings.vipdoc, _VIPDOC):
            raise _explain_empty("tdx.vipdoc", settings.vipdoc, unreadable)
        files |= vipdoc_files
    return Folder(settings.client or settings.vipdoc or Path(), files, unreadable)


def _walk(root: Path, prefix: str, setting: str, unreadable: dict[str, str]) -> dict[str, Path]:
    """The wanted files by their path in the client's folder. Raises SettingsError."""
    if not root.is_dir():
        raise SettingsError(
            f"{setting} names {root}, which is not a folder",
            hint="tdx.client is the folder that holds vipdoc and T0002,"
            " tdx.vipdoc is vipdoc itself",
        )
    try:
        os.scandir(root).close()
    except OSError as error:
        raise SettingsError(
            f"{setting}: {root} cannot be read: {error.strerror}",
            hint="let the user that runs quotemill read the client's folder",
        ) from error
    files: dict[str, Path] = {}
    for name, path in _walk_below(root, prefix, unreadable):
        twin = files.get(name)
        # of `vipdoc` and `VIPDOC` side by side, the file written last counts
        if twin is None or _read_time(path) > _read_time(twin):
            files[name] = path
    return files


def _walk_below(
    folder: Path | str, prefix: str, unreadable: dict[str, str]
) -> Iterator[tuple[str, Path]]:
    """Wanted files below `folder`, whose own path in the client's folder is `prefix`."""
    try:
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda e: e.name)
    except OSError as error:
        unreadable[prefix] = f"{folder} cannot be read: {error.strerror}"
        return
    for entry in listing:
        name = _inner_path(prefix, entry.name)
        is_wanted = name.rpartition("/")[0] in _WANTED
        if not is_wanted and not any(f"{w}/".startswith(f"{name}/") for w in _WANTED):
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # a link that leads to itself, a share that went away
            unreadable[name] = f"{entry.path} cannot be read: {error.strerror}"
            continue
        if is_wanted and is_file:
            yield name, Path(entry.path)
        elif is_folder and not is_wanted:
            yield from _walk_below(entry.path, name, unreadable)


def _read_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _explain_empty(setting: str, folder: Path, unreadable: Mapping[str, str]) -> SettingsError:
    """The error for a folder without the client's files; its hint names a likely one."""
    if unreadable:
        first = next(iter(unreadable.values()))
        return SettingsError(
            f"{setting}: {first}, and nothing else of the client is in {folder}",
            hint="let the user that runs quotemill read the client's folder",
        )
    inner = _find_folder(folder, _VIPDOC)
    if setting == "tdx.vipdoc":
        hint = f"it is the folder that holds sh and sz: tdx.vipdoc = {inner}"
    elif inner is not None:
        return SettingsError(
            f"{setting} names {folder}, whose {inner.name} holds no file of bars",
            hint="download day bars in the client, then run again",
        )
    elif folder.name.lower() == _VIPDOC or _find_folder(folder, "sh") or _find_folder(folder, "sz"):
        hint = (
            f"this looks like vipdoc itself: tdx.client = {folder.absolute().parent}, or tdx.vipdoc"
        )
    elif folder.name.lower() in ("t0002", "hq_cache"):
        hint = "it is the folder that holds T0002, not T0002 itself"
    else:
        # a folder one level too high holds the client's folder directly
        below = (f for f in _list_folders(folder) if _find_folder(f, _VIPDOC))
        meant = next(below, None)
        hint = f"it is the folder that holds vipdoc and T0002{f': {meant}' if meant else ''}"
    return SettingsError(
        f"{setting} names {folder}, which has no file of the desktop client", hint=hint
    )


def _find_folder(folder: Path, name: str) -> Path | None:
    """The folder of that name, in any case, directly below `folder`; else None."""
    return next((f for f in _list_folders(folder) if f.name.lower() == name), None)


def _list_folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            with contextlib.suppress(OSError):
                if entry.is_dir():
                    yield Path(entry.path)


def _inner_path(prefix: str, name: str) -> str:
    """The path of an entry in the client's folder, from `vipdoc` or `T0002` on."""
    parts = [part for part in name.lower().split("\\") if part]
    if not prefix and len(parts) > 1:
        tops = [i for i, part in enumerate(parts) if part in _TOPS]
        parts = parts[tops[0] :] if tops else parts
    return "/".join([prefix, *parts] if prefix else parts)
