"""The book as a file, for while the warehouse cannot hold it: `alerts.json` of the home, or in memory where the
home's disk is full.

What is read is the newest entry of each cause, wherever it lies, so that an old file that cannot be removed any
more tells nothing anew.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from loaders import atomic_file
from orchestration.alerts.book import Entry

_MEMORY = Path("/dev/shm")
_TIMES = ("first_at", "last_at", "told_at", "recovered_at", "recovery_told_at")


@contextlib.contextmanager
def turn(home: Path) -> Iterator[None]:
    """One look of a home at a time: two would tell the same. Without a home there is nobody to wait for."""
    try:
        folder = os.open(home, os.O_RDONLY)  # a file for it may find no room
    except OSError:
        yield
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def read(home: Path) -> dict[str, Entry]:
    """The book by cause; empty where there is none, or it is damaged: better told twice than not at all."""
    found: dict[str, Entry] = {}
    for place in _places(home):
        found = newest(found, _entries(place))
    return found


def write(home: Path, entries: Iterable[Entry]) -> bool:
    """Write the book to the first place that has room; False where none has. Makes a home where there is none."""
    text = json.dumps([asdict(entry) for entry in entries], default=str, indent=1)
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    return any(_is_written(place, text) for place in _places(home))


def remove(home: Path) -> None:
    """Take it away once the warehouse has it. One that has to stay is older than what the warehouse says."""
    for place in _places(home):
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)


def newest(one: dict[str, Entry], other: dict[str, Entry]) -> dict[str, Entry]:
    """Of each cause the entry of the later look; of one look the one that was told further."""
    found = dict(one)
    for name, entry in other.items():
        if name not in found or _progress(entry) > _progress(found[name]):
            found[name] = entry
    return found


def _progress(entry: Entry) -> tuple[datetime, bool, bool, int]:
    seen_at = max(entry.last_at, entry.recovered_at or entry.last_at)
    told = (entry.recovery_told_at is not None, entry.told_at is not None)
    return (seen_at, *told, len(entry.channels))


def _places(home: Path) -> list[Path]:
    """Besides the home, folders of all users: a name of this user and home alone."""
    of_home = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    name = f"quotemill-alerts-{os.getuid()}-{of_home}.json"
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")
    return [home / "alerts.json", _MEMORY / name, temporary / name]


def _entries(place: Path) -> dict[str, Entry]:
    try:
        with open(place, encoding="utf-8", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            # anybody may put something there
            if status.st_uid != os.getuid() or not stat.S_ISREG(status.st_mode):
                return {}
            rows = json.load(file)
        for row in rows:
            row |= {n: row[n] and datetime.fromisoformat(row[n]) for n in _TIMES}
        return {row["cause"]: Entry(**row) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _at_once(place: str, flags: int) -> int:
    """A file's descriptor; nothing there makes us wait for it, as a pipe would."""
    return os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _is_written(place: Path, text: str) -> bool:
    try:
        atomic_file.write(place, text)
    except OSError:
        return False
    return True
