"""Which version of a file was read: when it was written, its size, and of bars a sum over its bytes.

A file is another one than before where time or size differ. It need not be newer: folders are restored
from older copies. Where the time alone differs, as of all files of a folder that was copied without their
times, the sum tells whether it is another one after all; to sum up bytes takes a fraction of reading bars.
What was read stands in a cursor, behind what that has reached:

    2025-06-30 1751270400000000000 320000 3735928559
"""

import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from loaders.errors import DataQualityError
from loaders.trading_time import SHANGHAI


@dataclass(frozen=True)
class State:
    """When a file was last written, in nanoseconds, its bytes, and where they were read their CRC-32."""

    written_ns: int
    size: int
    checksum: int | None = field(default=None, compare=False)

    @classmethod
    def of(cls, file: Path) -> "State | None":
        """The state of a file now; None where there is none to be had."""
        try:
            return cls.known_of(file)
        except DataQualityError:
            return None

    @classmethod
    def known_of(cls, file: Path) -> "State":
        """The state of a file now. Raises DataQualityError."""
        try:
            found = file.stat()
        except OSError as error:
            raise DataQualityError(f"{file} cannot be read: {error.strerror}") from error
        return cls(found.st_mtime_ns, found.st_size)

    def unchanged(self, file: Path) -> "State | None":
        """The state of a file now whose bytes are those of this state, for all that its time says; None of
        another one, or where nobody knows. Raises DataQualityError."""
        now = State.known_of(file)
        if now.size != self.size or not self.begins(file):
            return None
        return replace(now, checksum=self.checksum)

    def begins(self, file: Path) -> bool:
        """Does a file begin with the bytes of this state, so that it has at most grown since? Raises DataQualityError."""
        if self.checksum is None:
            return False
        try:
            with file.open("rb") as opened:
                content = opened.read(self.size)
        except OSError as error:
            raise DataQualityError(f"{file} cannot be read: {error.strerror}") from error
        return (len(content), zlib.crc32(content)) == (self.size, self.checksum)

    @property
    def written_at(self) -> datetime:
        return datetime.fromtimestamp(self.written_ns / 1e9, UTC)

    @property
    def day(self) -> date:
        """The exchange's day on which it was written."""
        return self.written_at.astimezone(SHANGHAI).date()


class Reading(NamedTuple):
    """A file that is read whole: the moment since which what it tells is known, and the cursor that says
    that this version was read."""

    moment: datetime
    cursor: str

    @classmethod
    def of(cls, state: State, now: datetime, before: str | None) -> "Reading":
        """`before` is the cursor of the last reading. An older copy takes that one's moment: what it tells
        holds from then on, as nobody knew better before."""
        known = f"{min(state.written_at, now):%Y-%m-%dT%H:%M:%S.%fZ}"
        known = max(known, (before or "").partition(" ")[0])
        return cls(datetime.fromisoformat(known), cursor_of(known, state))


def cursor_of(reached: object, state: State | None) -> str:
    """What a key has reached, and the state of the file that was read so far."""
    if state is None:
        return str(reached)
    checksum = f" {state.checksum}" if state.checksum is not None else ""
    return f"{reached} {state.written_ns} {state.size}{checksum}"


def state_in(cursor: str | None) -> State | None:
    """The state of the file in a cursor; None where no file was read."""
    numbers = (cursor or "").split(" ")[1:]
    return State(*map(int, numbers)) if len(numbers) in (2, 3) else None
