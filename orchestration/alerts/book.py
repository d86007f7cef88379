"""The alert book, table ops.alerts: one row per cause, and which messages are due.

A cause is sent once, again when its state changes (another exit code), for each further subject (a
symbol or a model that fails) or after `alerts.repeat_after`, and once more when it is resolved. A
channel that refused a message gets it again at the next check.
"""

import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from loaders import log
from loaders.check import FINDING_VERDICTS, Check
from loaders.trading_time import format_time
from loaders.warehouse.migration_files import refuse_outdated

MEMORY = timedelta(days=7)
_NAMED = 5  # subjects in a message
LONGEST = 500  # characters of an error in a message
# an exit code, maybe a number, then subjects with a day each; other causes have no subjects
_WITH_SUBJECTS = re.compile(r"(\d+(?: \d+)?); (.+ \d{4}-\d{2}-\d{2})")
_SUBJECT = re.compile(r"(.+?) (\d{4}-\d{2}-\d{2})(?:, |$)")


@dataclass(frozen=True)
class Cause(Check):
    """A check that is not well, and when it rings.

    severity  error or warning, in the title of its messages
    state     another one sends it again
    patience  number of checks in a row that must find it before it is sent
    subjects  each that no check found within MEMORY sends it again: one that fails, recovers and
              fails again rings once
    note      what only the message says, after the sentence
    """

    severity: str = "error"
    state: str = ""
    patience: int = 1
    attachment: Path | None = None
    subjects: tuple[str, ...] = ()
    note: str = ""


# results by cause name: None where all is well; a name is absent where nothing was checked
Verdicts = Mapping[str, Cause | None]


def ring(check: Check, **when: Any) -> Cause:
    """A check as the cause that it is."""
    return Cause(**check.__dict__, **when)


def check_apart(conn: psycopg.Connection, name: str, check: Callable[[], Verdicts]) -> Verdicts:
    """Verdicts of a check; one that cannot be made is a cause, and costs no other check.

    Raises what a lost connection raises: then the warehouse is away.
    """
    try:
        return {f"check:{name}": None, **check()}
    except Exception as error:
        if conn.closed:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        log.write("error", f"alerts cannot check {name}: {reason}")
        text = f"alerts cannot check {name}, so its state is unknown: {reason}"[:LONGEST]
        cause = Cause("check", "fail", text, "quotemill doctor", state=type(error).__name__)
        return {f"check:{name}": cause}


def on_this_host(name: str) -> str:
    """The name of a cause that machines on one warehouse have each for themselves."""
    return f"{name}@{socket.gethostname()}"


@dataclass
class Entry:
    """A row of ops.alerts; resolved where `recovered_at` is set. Times are UTC.

    message  the sentence of the check
    command  its fix
    """

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
    told_at: datetime | None = None  # when all channels had accepted it
    is_known: bool = False  # whether any channel ever accepted it
    recovered_at: datetime | None = None
    recovery_told_at: datetime | None = None
    name: str = ""  # of the check, as its verdict; empty in rows of an older version
    verdict: str = ""

    @property
    def check(self) -> Check:
        name, _, subject = self.cause.partition(":")
        verdict, fix = self.verdict or FINDING_VERDICTS[self.severity], self.command
        if not self.is_open:
            verdict, fix = "ok", ""
        return Check(self.name or name, verdict, self.message, fix, subject=subject)

    @property
    def is_open(self) -> bool:
        return self.recovered_at is None

    @property
    def seen_at(self) -> datetime:
        return max(self.last_at, self.recovered_at or self.last_at)

    @property
    def is_unsent(self) -> bool:
        """True while some channel has yet to accept the newest message."""
        if self.is_open:
            return self.told_at is None and self.count >= self.patience
        return self.recovery_told_at is None


@dataclass(frozen=True)
class Message:
    """The messages about an entry to the channels that have not accepted it yet."""

    entry: Entry
    is_recovery: bool
    attachment: Path | None = None

    def text(self) -> str:
        """The message, with its fix."""
        entry = self.entry
        since = format_time(entry.first_at, timespec="minutes")
        if self.is_recovery:
            return f"Resolved (open since {since}): {entry.message}"
        times = f", seen {entry.count} times" if entry.count > 1 else ""
        return f"{entry.message}\nSince {since}{times}.\nfix: {entry.command}"

    def settle(self, channels: Sequence[str], now: datetime) -> None:
        """Record that the message is sent once all `channels` have accepted it."""
        self.entry.is_known = self.entry.is_known or bool(self.entry.channels)
        if not set(channels) <= set(self.entry.channels):
            return
        if self.is_recovery:
            self.entry.recovery_told_at = now
        else:
            self.entry.told_at = now


def update_book(
    entries: dict[str, Entry], verdicts: Verdicts, now: datetime, repeat_after: timedelta | None
) -> list[Message]:
    """Update entries by the verdicts of a check; return all unsent messages, older ones too."""
    for name, cause in verdicts.items():
        entry = entries.get(name)
        if cause is None:
            if entry is not None and entry.is_open:
                resolve(entry, now)
        elif entry is None or not entry.is_open:
            entries[name] = Entry(
                cause=name,
                severity=cause.severity,
                message=cause.sentence + cause.note,
                command=cause.fix,
                first_at=now,
                last_at=now,
                state=_join_state(cause.state, dict.fromkeys(cause.subjects, f"{now:%Y-%m-%d}")),
                patience=cause.patience,
                name=cause.name,
                verdict=cause.verdict,
            )
        else:
            _continue(entry, cause, now, repeat_after)
    messages = []
    for name, entry in entries.items():
        current = verdicts.get(name)
        if entry.is_unsent:
            attachment = current.attachment if current else None
            messages.append(Message(entry, not entry.is_open, attachment))
    return messages


def _continue(entry: Entry, cause: Cause, now: datetime, repeat_after: timedelta | None) -> None:
    is_due = repeat_after is not None and entry.told_at and now >= entry.told_at + repeat_after
    state, recent = split_state(entry.state)
    recent = {name: day for name, day in recent.items() if day >= f"{now - MEMORY:%Y-%m-%d}"}
    further = [name for name in cause.subjects if name not in recent]
    if state != cause.state or further or is_due:
        entry.told_at, entry.channels = None, []
    entry.severity, entry.message = cause.severity, cause.sentence + cause.note
    entry.command, entry.name, entry.verdict = cause.fix, cause.name, cause.verdict
    if recent and further:
        entry.message += f", also {name_some(further)}"
    recent |= dict.fromkeys(cause.subjects, f"{now:%Y-%m-%d}")
    entry.state, entry.patience = _join_state(cause.state, recent), cause.patience
    entry.last_at, entry.count = now, entry.count + 1


def name_some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _join_state(state: str, subjects: Mapping[str, str]) -> str:
    """The state of an entry: that of its cause, then the newest day of each subject.

    For example `6; AAPL 2026-11-20, BRK B 2026-11-19`.
    """
    listed = ", ".join(f"{name} {day}" for name, day in sorted(subjects.items()))
    return f"{state}; {listed}" if listed else state


def split_state(state: str) -> tuple[str, dict[str, str]]:
    """The state of a cause and the days of its subjects, from the state of an entry."""
    match = _WITH_SUBJECTS.fullmatch(state)
    return (match[1], dict(_SUBJECT.findall(match[2]))) if match else (state, {})


def resolve(entry: Entry, now: datetime) -> None:
    """Close an entry. Only channels that were sent the problem are sent its end."""
    entry.recovered_at = now
    if not entry.is_known:
        entry.recovery_told_at = now
    entry.channels = []


def read_entries(conn: psycopg.Connection, *, only_open: bool = False) -> dict[str, Entry]:
    """Entries by cause, the newest first. Raises SettingsError if an older version stored them."""
    refuse_outdated(conn)
    names = ", ".join(f.name for f in fields(Entry))
    where = "where recovered_at is null" if only_open else ""
    query = f"select {names} from ops.alerts {where} order by last_at desc, cause"
    with conn.cursor(row_factory=class_row(Entry)) as cur:
        return {entry.cause: entry for entry in cur.execute(query.encode())}


def write(conn: psycopg.Connection, entries: Iterable[Entry]) -> None:
    names = [f.name for f in fields(Entry)]
    values = ", ".join(f"%({name})s" for name in names)
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name != "cause")
    statement = (
        f"insert into ops.alerts ({', '.join(names)}) values ({values}) "
        f"on conflict (cause) do update set {updates}"
    )
    with conn.cursor() as cur:
        cur.executemany(statement.encode(), [entry.__dict__ for entry in entries])
