"""The version of a file that was read: its time and size, and for bars a checksum.

A file is a different version if its time or size differ. It need not be newer: people restore
folders from older copies. If only the time differs, as after a copy without file times, the
checksum decides; computing it takes a fraction of reading bars. A cursor stores the version after
what it has reached:

    2025-06-30 1751270400000000000 320000 3735928559
"""

import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError
from quotemill.foreign import CLIENT_FILE, DAY_BARS, MINUTE_BARS, read_file

LIMITS = {".day": DAY_BARS, ".lc1": MINUTE_BARS, ".lc5": MINUTE_BARS, ".5": MINUTE_BARS}


@dataclass(frozen=True)
class State:
    """The version of a file.

    written_ns: time of the last write, nanoseconds since 1970 UTC.
    size: bytes.
    checksum: CRC-32 of the bytes; None if they were not read. States are equal without it.
    """

    written_ns: int
    size: int
    checksum: int | None = field(default=None, compare=False)

    @classmethod
    def try_read(cls, file: Path) -> "State | None":
        """The current state of a file; None if it cannot be read."""
        try:
            return cls.read_state(file)
        except DataQualityError:
            return None

    @classmethod
    def read_state(cls, file: Path) -> "State":
        """The current state of a file. Raises DataQualityError if it cannot be read."""
        try:
            info = file.stat()
        except OSError as error:
            raise DataQualityError(f"{file} cannot be read: {error.strerror}") from error
        return cls(info.st_mtime_ns, info.st_size)

    def unchanged(self, file: Path) -> "State | None":
        """The current state of a file if its bytes are still those of this state.

        None if they differ or this state has no checksum. Raises DataQualityError.
        """
        now = State.read_state(file)
        if now.size != self.size or not self.begins(file):
            return None
        return replace(now, checksum=self.checksum)

    def begins(self, file: Path) -> bool:
        """Whether a file starts with the bytes of this state. Raises DataQualityError."""
        if self.checksum is None:
            return False
        content = read_content(file, size=self.size)
        return (len(content), zlib.crc32(content)) == (self.size, self.checksum)

    @property
    def written_at(self) -> datetime:
        return datetime.fromtimestamp(self.written_ns / 1e9, UTC)

    @property
    def day(self) -> date:
        """The day of the last write in exchange time."""
        return self.written_at.astimezone(SHANGHAI).date()


def read_content(path: Path, start: int = 0, size: int = -1) -> bytes:
    """The bytes of a file from `start` on, at most `size`. Raises DataQualityError."""
    return read_file(path, LIMITS.get(path.suffix.lower(), CLIENT_FILE), start=start, size=size)


class Reading(NamedTuple):
    """One reading of a whole file.

    known_at: the time since which its content is known.
    cursor: records that this version was read.
    """

    known_at: datetime
    cursor: str

    @classmethod
    def make(cls, state: State, now: datetime, before: str | None) -> "Reading":
        """The reading of a file in this state.

        before: the cursor of the last reading. An older copy takes the time of that reading: its
            content holds from then on.
        """
        known = f"{min(state.written_at, now):%Y-%m-%dT%H:%M:%S.%fZ}"
        known = max(known, (before or "").partition(" ")[0])
        return cls(datetime.fromisoformat(known), make_cursor(known, state))


def make_cursor(reached: object, state: State | None) -> str:
    """The cursor's text: what a key has reached, then the state of the file read."""
    if state is None:
        return str(reached)
    checksum = f" {state.checksum}" if state.checksum is not None else ""
    return f"{reached} {state.written_ns} {state.size}{checksum}"


def state_in(cursor: str | None) -> State | None:
    """The file's state in a cursor; None if no file was read."""
    # some cursors end with a word
    numbers = [part for part in (cursor or "").split(" ")[1:] if part.isdigit()]
    if len(numbers) not in (2, 3):
        return None
    written_ns, size, *checksum = map(int, numbers)
    return State(written_ns, size, checksum[0] if checksum else None)
