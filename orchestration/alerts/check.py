"""One look at what may be wrong: what is new is told, what is over is told, what goes on is not.

While the warehouse is away, that is the one cause, and the book is a file, which the next look that reaches the
warehouse takes over. Nothing is told before the book was written: what is not on record would be told by each look.
"""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from loaders import log, sources
from loaders.errors import QuotemillError, SettingsError
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse, find_warehouse
from orchestration.alerts import book, causes, channels, file_book
from orchestration.alerts.book import Cause, Entry, Message, Verdicts

WAREHOUSE = "warehouse"
SETTINGS_FILE = "settings_file"  # over as soon as there is anything to look with
_LOCK = "quotemill:alerts"  # one look at a time: two would tell the same


@dataclass(frozen=True)
class Looked:
    """What a look did: causes that are open now, messages that all channels took, and those that some did not."""

    open: tuple[str, ...]
    told: int
    untold: int


def look(
    settings: Settings,
    verdicts: Verdicts,
    *,
    run_id: str | None = None,
    now: datetime | None = None,
) -> Looked:
    """Look at machine and warehouse beside the `verdicts` of a run, bring the book up to it, and tell.

    What a channel does not take is in the log, and is tried again by the next look.
    """
    now = now or datetime.now(UTC)
    of_file: Verdicts = {SETTINGS_FILE: None}
    ready, _ = sources.configured(settings)
    if ready and (file := channels.emptied(settings)):
        of_file, settings = {SETTINGS_FILE: _lost(file)}, channels.or_remembered(settings)
    elif ready:  # else nothing can begin, which is told to the last channels
        channels.remember(settings)
    verdicts = {**of_file, **verdicts}
    of_machine = causes.of_machine(settings, ready, now)
    try:
        warehouse = find_warehouse(settings)
        if warehouse is None:  # the run could not make one
            return by_file(settings, {**of_machine, **verdicts}, now)
        with _turn(warehouse) as conn:
            found = causes.of_warehouse(conn, warehouse, settings, run_id, now)
            all_of = {WAREHOUSE: None, **of_machine, **found, **verdicts}
            return _by_warehouse(settings, conn, all_of, now)
    except (QuotemillError, psycopg.Error, OSError) as error:
        # a full one may be why
        full = [
            cause.message for name, cause in of_machine.items() if cause and name[:5] == "disk:"
        ]
        text = "; ".join([str(error).strip(), *full])
        away = Cause("error", text, "quotemill doctor")
        return by_file(settings, {**of_file, WAREHOUSE: away}, now)


def _lost(file: Path) -> Cause:
    text = (
        f"{file} is gone or empty: what it set is as if it were not set, the channels of alerts too"
    )
    return Cause("error", text, "quotemill doctor")


def _by_warehouse(
    settings: Settings, conn: psycopg.Connection, verdicts: Verdicts, now: datetime
) -> Looked:
    """Tell from ops.alerts, and from what was told while it could not be reached."""
    entries = file_book.newest(book.read(conn), file_book.read(settings.home))
    messages = _judged(settings, entries, verdicts, now)
    book.write(conn, entries.values())
    looked = _tell(settings, entries, messages, now)
    if messages:
        try:
            book.write(conn, entries.values())
        except psycopg.Error:
            file_book.write(settings.home, entries.values())
            raise
    file_book.remove(settings.home)
    return looked


def by_file(settings: Settings, verdicts: Verdicts, now: datetime) -> Looked:
    """Tell from the book in a file. Where nobody is to be told no home is made for it."""
    home = settings.home
    with file_book.turn(home):
        entries = file_book.read(home)
        messages = _judged(settings, entries, verdicts, now)
        if settings.alerts.urls:
            file_book.write(home, entries.values())
        looked = _tell(settings, entries, messages, now)
        if settings.alerts.urls:
            file_book.write(home, entries.values())
    return looked


@contextlib.contextmanager
def _turn(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with contextlib.closing(
        warehouse.connect(autocommit=True, application_name="quotemill alerts")
    ) as conn:
        if not has_relation(conn, "ops.alerts"):
            raise SettingsError("the warehouse is of an older version", hint="quotemill run")
        conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (_LOCK,))
        yield conn


def _judged(
    settings: Settings, entries: dict[str, Entry], verdicts: Verdicts, now: datetime
) -> list[Message]:
    hours = settings.alerts.repeat_after
    return book.judge(entries, verdicts, now, timedelta(hours=hours) if hours else None)


def _tell(
    settings: Settings, entries: dict[str, Entry], messages: Sequence[Message], now: datetime
) -> Looked:
    everyone = channels.of(settings)
    taken = [_send(message, everyone, now) for message in messages if everyone]
    still_open = tuple(name for name, entry in entries.items() if entry.is_open)
    return Looked(still_open, sum(taken), len(taken) - sum(taken))


def _send(message: Message, everyone: Sequence[channels.Channel], now: datetime) -> bool:
    """Tell the channels that have not taken it; True once all have."""
    entry = message.entry
    what = f"over: {entry.cause}" if message.is_recovery else f"{entry.severity}: {entry.cause}"
    for channel in everyone:
        if channel.name in entry.channels:
            continue
        why = channel.send(
            f"quotemill on {socket.gethostname()}, {what}",
            log.scrub(message.text()),
            is_bad=not message.is_recovery,
            attachment=message.attachment,
        )
        if why:
            text = f"alert {entry.cause} did not reach channel {channel.name}: {why}"
            log.write("warning", text, detail={"next": "the next run tries again"})
        else:
            entry.channels.append(channel.name)
            log.write("info", f"alert {what} was told to channel {channel.name}")
    names = [channel.name for channel in everyone]
    message.settle(names, now)
    return set(names) <= set(entry.channels)
