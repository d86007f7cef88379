"""The alert book while the warehouse is away: `alerts.json` in the home.

The next check that reaches the warehouse takes it over and removes it. A full disk is a common
reason why the embedded server is away; then the file goes to memory (/dev/shm), so that the problem
is not sent by every check.
"""

import contextlib
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from loaders.files import lock as locks
from loaders.files import whole_file
from orchestration.alerts.book import Entry, with_host

_MEMORY = Path("/dev/shm")
_TIMES = ("first_at", "last_at", "told_at", "recovered_at", "recovery_told_at")


@contextlib.contextmanager
def lock(home: Path) -> Iterator[None]:
    """Run one check of a home at a time. Without a home there is nothing to lock."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            # of the folder: a lock file might find no room
            stack.enter_context(locks.hold(home, wait=math.inf, is_folder=True))
        yield


def read(home: Path) -> dict[str, Entry]:
    """Entries by cause; none where the file is absent or damaged: sent twice beats not sent."""
    home_file, memory_file = _places(home)
    return merge(_read_file(home_file), _read_file(memory_file))


def write(home: Path, entries: Iterable[Entry]) -> bool:
    """Write the book to the first place with room; False where none has. Creates a missing home."""
    text = json.dumps([asdict(entry) for entry in entries], default=str, indent=1)
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    for place in _places(home):
        with contextlib.suppress(OSError):
            whole_file.write(place, text)
            return True
    return False


def remove(home: Path) -> None:
    """Remove the file once the warehouse holds its entries."""
    for place in _places(home):
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)


def merge(entries: dict[str, Entry], others: dict[str, Entry]) -> dict[str, Entry]:
    """Keep the newer entry of each cause, of equally old ones the one that was sent further."""
    merged = dict(entries)
    for name, entry in others.items():
        if name not in merged or _age_and_progress(entry) > _age_and_progress(merged[name]):
            merged[name] = entry
    return merged


def _age_and_progress(entry: Entry) -> tuple[datetime, bool, bool, int]:
    seen_at = max(entry.last_at, entry.recovered_at or entry.last_at)
    sent = (entry.recovery_told_at is not None, entry.told_at is not None)
    return (seen_at, *sent, len(entry.channels))


def _places(home: Path) -> tuple[Path, Path]:
    """The file in the home, and the one in memory, whose name no other user or home has."""
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return home / "alerts.json", _MEMORY / f"quotemill-alerts-{os.getuid()}-{digest}.json"


def _read_file(place: Path) -> dict[str, Entry]:
    try:
        with open(place, encoding="utf-8", opener=_open_no_wait) as file:
            status = os.fstat(file.fileno())
            # any user may put something into /dev/shm
            if status.st_uid != os.getuid() or not stat.S_ISREG(status.st_mode):
                return {}
            rows = json.load(file)
        for row in rows:
            row |= {n: row[n] and datetime.fromisoformat(row[n]) for n in _TIMES}
            row["cause"] = with_host(row["cause"])
        return {row["cause"]: Entry(**row) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _open_no_wait(place: str, flags: int) -> int:
    """Open without following a link or waiting for a writer, as a pipe would."""
    return os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
