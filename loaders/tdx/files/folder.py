"""The desktop client's folder: its files by kind, however their names are written.

    scan_folder(settings)                the folder in the settings, scanned once; None without one
    folder.form                          how it is laid out, in words
    folder.find("T0002/hq_cache/gbbq")   the path of that file, or None
    folder.bars("day")                   vipdoc/*/lday/*.day by code: {"sh600000": Path}; minutes
                                         ("minute1", "minute5") in the newer format if both exist;
                                         sh999999 is sh000001, unless that has a file too
    folder.strays                        files of bars not named as a code of their exchange
    folder.unreadable                    folders and files that cannot be read, each with the reason
    folder.hides("vipdoc/sz/…")          whether that path is below one of these

Names match in any case (`VIPDOC/SH/LDAY/SH600000.DAY`). They also match with the backslashes that
unpacking a Windows zip leaves in them (`vipdoc\\sh\\lday\\sh600000.day` is then one name). Nothing
is written, so a read-only mount is enough.

The vendor's downloads are the same without `vipdoc`, packed or not: `sh/lday/sh600000.day` of
hsjday.zip, and `sh600000.day` of shlday.zip. Files have the names of the client's folder here. Of
several forms in a folder the first counts, and its zips (in vipdoc, too) only if it has no bars
beside them.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from loaders.tdx.files.written import State
from loaders.tdx.files.zip_members import list_members
from loaders.tdx.settings import TdxSettings
from quotemill.errors import DataQualityError, SettingsError
from quotemill.foreign import reading
from quotemill.instrument_ranges import OTHER_NAMES

CODE = re.compile(r"(sh|sz|bj)[0-9]{6}")
FOLDERS = {"day": "lday", "minute1": "minline", "minute5": "fzline"}
SUFFIXES = {"day": (".day",), "minute1": (".lc1",), "minute5": (".lc5", ".5")}
HQ_CACHE = "t0002/hq_cache"
FORMS = (
    "the client's folder",
    "folders sh, sz and bj without vipdoc",
    "files of bars without folders",
)
_VIPDOC = "vipdoc"
_TOPS = (_VIPDOC, "t0002")
_EXCHANGES = ("sh", "sz", "bj")
_FLAT = re.compile(r"(sh|sz|bj)(l?day|minline|fzline|[0-9]*fz)")  # of shlday.zip, sh5fz.zip
_BARS = {
    f"vipdoc/{exchange}/{folder}": (exchange, period)
    for period, folder in FOLDERS.items()
    for exchange in _EXCHANGES
}
_WANTED = (*_BARS, HQ_CACHE)


@dataclass(frozen=True)
class Folder:
    """Files of the client's folder.

    files: by lower-case path with slashes, such as `vipdoc/sh/lday/sh600000.day`.
    unreadable: a sentence for each folder or file that cannot be read, by such a path.
    form: one of FORMS, or of a zip.
    """

    root: Path
    files: Mapping[str, Path] = field(repr=False)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    form: str = FORMS[0]

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
        for files in by_period.values():
            for name, code in OTHER_NAMES.items():
                if name in files:
                    files.setdefault(code, files.pop(name))
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
    client, vipdoc = settings.client, settings.vipdoc
    if client is None and vipdoc is None:
        return None
    files: dict[str, Path] = {}
    unreadable: dict[str, str] = {}
    form = FORMS[0]
    if client is not None:
        files, form = _scan(client, "tdx.client", unreadable)
        if (around := _find_client_around(client)) or (vipdoc is None and not files):
            raise _explain_empty(client, unreadable, around)
    if vipdoc is not None:
        files = {name: path for name, path in files.items() if not name.startswith("vipdoc/")}
        bars, form = _scan(vipdoc, "tdx.vipdoc", unreadable)
        if form == FORMS[0] and (inner := _find_folder(vipdoc, _VIPDOC)):
            raise SettingsError(
                f"tdx.vipdoc names {vipdoc}, which has no file of the desktop client",
                hint=f"it is the folder that holds sh and sz: tdx.vipdoc = {inner}",
            )
        if not bars and (near := _find_near(vipdoc, "tdx.vipdoc")):
            raise SettingsError(
                f"tdx.vipdoc names {vipdoc}, which has no file of bars",
                hint=f"it may be tdx.vipdoc = {near}",
            )
        files |= {name: path for name, path in bars.items() if name.startswith("vipdoc/")}
    return Folder(client or vipdoc or Path(), files, unreadable, form)


def _scan(root: Path, setting: str, unreadable: dict[str, str]) -> tuple[dict[str, Path], str]:
    """The wanted files by their path in the client's folder, and the form. Raises SettingsError."""
    try:
        with reading(root):
            entries = list(list_members(root) if root.is_file() else _walk(root, (), unreadable))
    except DataQualityError as error:
        raise SettingsError(
            f"setting {setting}: {error}",
            hint="tdx.client is the folder that holds vipdoc and T0002, or a zip of bars (download"
            " it again if it is not whole), and quotemill's user must be able to read it",
        ) from error
    files, form = _arrange(entries)
    is_zip = root.is_file()
    if not is_zip and not any(name.startswith("vipdoc/") for name in files):
        zipped = list(_unzip(root, unreadable))
        bars, its_form = _arrange(zipped)
        if bars:
            files, form, is_zip = files | bars, its_form, True
    return files, f"a zip of {form}" if is_zip else form


def _unzip(root: Path, unreadable: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """The files of the zips in a folder, and in its vipdoc."""
    folders = filter(None, (root, _find_folder(root, _VIPDOC)))
    paths = (path for folder in folders for path in sorted(folder.iterdir()))
    for path in (path for path in paths if path.suffix.lower() == ".zip"):
        try:
            yield from list_members(path)
        except DataQualityError as error:
            others = f"{unreadable[_VIPDOC]}; " if _VIPDOC in unreadable else ""
            unreadable[_VIPDOC] = f"{others}{error}: download it again"


def _arrange(entries: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], str]:
    """Files by their path in the client's folder, with bars of one form, and that form."""
    by_form: dict[int, dict[str, Path]] = {form: {} for form in range(len(FORMS))}
    for name, path in entries:
        if place := _place_file(_split(name)):
            form, inner = place
            twin = by_form[form].get(inner)
            # of `vipdoc` and `VIPDOC` side by side the file written last counts, in a zip the later
            if twin is None or _read_time(path) >= _read_time(twin):
                by_form[form][inner] = path
    has_bars = (form for form in by_form if any(n.startswith("vipdoc/") for n in by_form[form]))
    form = next(has_bars, 0)
    return by_form[0] | by_form[form], FORMS[form]


def _split(name: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[\\/]", name.lower()) if part)


def _place_file(parts: tuple[str, ...]) -> tuple[int, str] | None:
    """The form of a file's path and its path in the client's folder; None for an unwanted file."""
    tops = [at for at, part in enumerate(parts) if part in _TOPS]
    if tops:
        inner = "/".join(parts[tops[0] :])
        return (0, inner) if inner.rpartition("/")[0] in _WANTED else None
    inner = "/".join((_VIPDOC, *parts[-3:]))
    if inner.rpartition("/")[0] in _BARS:
        return 1, inner
    code, dot, suffix = parts[-1].partition(".")
    period = next((p for p, suffixes in SUFFIXES.items() if dot + suffix in suffixes), None)
    if period is None or not CODE.fullmatch(code):
        return None
    return 2, f"{_VIPDOC}/{code[:2]}/{FOLDERS[period]}/{parts[-1]}"


def _place_folder(parts: tuple[str, ...]) -> str | None:
    """A folder's path in the client's folder; None for one without wanted files."""
    tops = [at for at, part in enumerate(parts) if part in _TOPS]
    inner = "/".join(parts[tops[0] :] if tops else (_VIPDOC, *parts))
    if any(f"{wanted}/".startswith(f"{inner}/") for wanted in _WANTED):
        return inner
    return f"{_VIPDOC}/{parts[0][:2]}" if len(parts) == 1 and _FLAT.fullmatch(parts[0]) else None


def _walk(
    folder: Path, parts: tuple[str, ...], unreadable: dict[str, str]
) -> Iterator[tuple[str, Path]]:
    """Files below `folder` that may be wanted, by their path in the root. Raises OSError."""
    with os.scandir(folder) as entries:
        listing = sorted(entries, key=lambda e: e.name)
    for entry in listing:
        inner = (*parts, *_split(entry.name))
        place, path, reason = _place_folder(inner), Path(entry.path), ""
        try:
            if entry.is_file():
                yield "/".join(inner), path
            elif place and entry.is_dir():
                yield from _walk(path, inner, unreadable)
            elif entry.is_symlink() and not path.exists():
                reason = "its link leads nowhere"
        except OSError as error:  # a link that leads to itself, a share that went away
            reason = str(error.strerror)
        if reason and (wanted := place or (_place_file(inner) or ("", ""))[1]):
            unreadable[wanted] = f"{entry.path} cannot be read: {reason}"


def _read_time(path: Path) -> int:
    state = State.try_read(path)
    return state.written_ns if state else 0


def _find_client_around(folder: Path) -> Path | None:
    """The client's folder if this is its vipdoc, or a folder in there; else None."""
    if folder.is_file():
        return None
    folder = folder.absolute()
    vipdoc = next((f for f in (folder, *folder.parents[:2]) if f.name.lower() == _VIPDOC), None)
    return vipdoc.parent if vipdoc and _find_folder(vipdoc.parent, "t0002") else None


def _explain_empty(
    folder: Path, unreadable: Mapping[str, str], around: Path | None
) -> SettingsError:
    """The error for a folder without the client's files; its hint names one that has them."""
    if unreadable:
        first = next(iter(unreadable.values()))
        return SettingsError(
            f"tdx.client: {first}, and nothing else of the client is in {folder}",
            hint="let the user that runs quotemill read it, or download it again",
        )
    inner = _find_folder(folder, _VIPDOC)
    if inner is not None and not around:
        return SettingsError(
            f"tdx.client names {folder}, whose {inner.name} holds no file of bars",
            hint="download day bars in the client, then run again",
        )
    if around:
        return SettingsError(
            f"tdx.client names {folder}, which is a part of the client's folder",
            hint=f"it is the folder that holds vipdoc and T0002: tdx.client = {around}",
        )
    near = _find_near(folder, "tdx.client")
    return SettingsError(
        f"tdx.client names {folder}, which has no file of the desktop client",
        hint=f"it may be tdx.client = {near}"
        if near
        else "it is the folder that holds vipdoc and T0002, or the vendor's files of bars",
    )


def _find_near(folder: Path, setting: str) -> Path | None:
    """A folder around this one, or in it, with bars that the setting takes; None without one."""
    for near in (*folder.absolute().parents[:2], *_list_folders(folder)):
        with contextlib.suppress(SettingsError):
            files, form = _scan(near, setting, {})
            is_wrong = form == FORMS[0] if setting == "tdx.vipdoc" else _find_client_around(near)
            if not is_wrong and any(name.startswith(f"{_VIPDOC}/") for name in files):
                return near
    return None


def _find_folder(folder: Path, name: str) -> Path | None:
    """The folder of that name, in any case, directly below `folder`; else None."""
    return next((f for f in _list_folders(folder) if f.name.lower() == name), None)


def _list_folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            with contextlib.suppress(OSError):
                if entry.is_dir():
                    yield Path(entry.path)
