"""What people were told of each cause, and what is to be told now: ops.alerts, a row for each cause there ever was.

A cause is told once, again when its state changes (another exit code) or after `alerts.repeat_after`, and
once more when it is over. What a channel did not take is told to that channel again at the next look.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class Cause:
    """Something that is wrong. `command` shows more; it is told anew when its `state` changes, and only
    once so many looks in a row have found it as its `patience` says."""

    severity: str  # error, warning
    message: str
    command: str
    state: str = ""
    patience: int = 1
    attachment: Path | None = None


# what a look found by the name of a cause: None where all is well, absent where it did not look
Verdicts = Mapping[str, Cause | None]


@dataclass
class Entry:
    """A row of ops.alerts. It is over where `recovered_at` is set."""

    cause: str
    severity: str
    message: str
    command: str
    first_at: datetime
    last_at: datetime
    state: str = ""
    patience: int = 1
    count: int = 1
    channels: list[str] = field(default_factory=list)
    told_at: datetime | None = None
    is_known: bool = False  # has any channel ever taken it?
    recovered_at: datetime | None = None
    recovery_told_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.recovered_at is None

    @property
    def is_untold(self) -> bool:
        """Is there something to tell, or that some channel has not taken?"""
        if self.is_open:
            return self.told_at is None and self.count >= self.patience
        return self.recovery_told_at is None


@dataclass(frozen=True)
class Message:
    """What is to be told of an entry to the channels that have not taken it yet."""

    entry: Entry
    is_recovery: bool
    attachment: Path | None = None

    def text(self) -> str:
        """Some lines for people, with the command that shows more."""
        entry = self.entry
        since = f"{entry.first_at:%Y-%m-%d %H:%M} UTC"
        if self.is_recovery:
            return f"It is over. Since {since} it was: {entry.message}"
        often = f", found {entry.count} times" if entry.count > 1 else ""
        return f"{entry.message}\nSince {since}{often}.\nMore: {entry.command}"

    def settle(self, channels: Sequence[str], now: datetime) -> None:
        """Note which of all channels have taken it; it is told once all have."""
        self.entry.is_known = self.entry.is_known or bool(self.entry.channels)
        if not set(channels) <= set(self.entry.channels):
            return
        if self.is_recovery:
            self.entry.recovery_told_at = now
        else:
            self.entry.told_at = now


def judge(
    entries: dict[str, Entry], verdicts: Verdicts, now: datetime, repeat_after: timedelta | None
) -> list[Message]:
    """Bring the book up to what a look found, and say what is to be told, also of earlier looks."""
    for name, cause in verdicts.items():
        entry = entries.get(name)
        if cause is None:
            if entry is not None and entry.is_open:
                _end(entry, now)
        elif entry is None or not entry.is_open:
            entries[name] = Entry(
                *(name, cause.severity, cause.message, cause.command, now, now),
                state=cause.state,
                patience=cause.patience,
            )
        else:
            _go_on(entry, cause, now, repeat_after)
    messages = []
    for name, entry in entries.items():
        found = verdicts.get(name)
        if entry.is_untold:
            messages.append(Message(entry, not entry.is_open, found.attachment if found else None))
    return messages


def _go_on(entry: Entry, cause: Cause, now: datetime, repeat_after: timedelta | None) -> None:
    is_due = repeat_after is not None and entry.told_at and now >= entry.told_at + repeat_after
    if entry.state != cause.state or is_due:
        entry.told_at, entry.channels = None, []
    entry.severity, entry.message, entry.command = cause.severity, cause.message, cause.command
    entry.state, entry.patience = cause.state, cause.patience
    entry.last_at, entry.count = now, entry.count + 1


def _end(entry: Entry, now: datetime) -> None:
    """Who was told that it began is told that it is over, and nobody else."""
    entry.recovered_at = now
    if not entry.is_known:
        entry.recovery_told_at = now
    entry.channels = []


def read(conn: psycopg.Connection, *, only_open: bool = False) -> dict[str, Entry]:
    """The book by cause, the newest first."""
    names = ", ".join(f.name for f in fields(Entry))
    where = "where recovered_at is null" if only_open else ""
    query = f"select {names} from ops.alerts {where} order by last_at desc, cause"
    with conn.cursor(row_factory=class_row(Entry)) as cur:
        return {entry.cause: entry for entry in cur.execute(query.encode())}


def write(conn: psycopg.Connection, entries: Iterable[Entry]) -> None:
    names = [f.name for f in fields(Entry)]
    values = ", ".join(f"%({name})s" for name in names)
    moved = ", ".join(f"{name} = excluded.{name}" for name in names if name != "cause")
    statement = (
        f"insert into ops.alerts ({', '.join(names)}) values ({values}) "
        f"on conflict (cause) do update set {moved}"
    )
    with conn.cursor() as cur:
        cur.executemany(statement.encode(), [entry.__dict__ for entry in entries])
