"""Check for problems: send what is new, send what is resolved, stay silent about the rest.

While the warehouse is away that is the one cause, and the book is a file. The table is written
before anything is sent: a problem that is not on record would be sent by every check.
"""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from loaders import log, sources
from loaders.check import failed
from loaders.settings import Settings, load_settings, read_environment_settings
from loaders.warehouse import turns
from loaders.warehouse.migration_files import refuse_outdated
from loaders.warehouse.postgres import find_warehouse
from orchestration.alerts import book, causes, channels, file_book
from orchestration.alerts.book import Entry, Message, Verdicts, on_this_host
from orchestration.alerts.failed_keys import check_failed_keys, word_loads
from orchestration.checks.place import Place
from quotemill.errors import LockHeldError, QuotemillError, SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.refusals import explain_refusal
from quotemill.warehouse.schemas import has_relation

WAREHOUSE = "warehouse"
SETTINGS_FILE = "settings_file"  # resolved by any check, which needs readable settings
_LOCK = "quotemill:alerts"  # one check at a time: two would send the same


@dataclass(frozen=True)
class CheckResult:
    """Open causes, messages that all channels accepted, and messages that some did not."""

    open: tuple[str, ...]
    sent: int
    unsent: int


def check_and_notify(
    settings: Settings,
    verdicts: Verdicts,
    *,
    run_id: str | None = None,
    now: datetime | None = None,
) -> CheckResult:
    """Check machine and warehouse, add the `verdicts` of a run, update the book, send messages.

    A message that a channel refuses is logged; the next check tries again.
    """
    now = now or datetime.now(UTC)
    ready, _ = sources.configured(settings)
    machine = causes.check_machine(settings, ready, now) | causes.check_tick_store(settings)
    verdicts = {on_this_host(SETTINGS_FILE): None, **verdicts}
    try:
        warehouse = find_warehouse(settings)
        if warehouse is None:  # the run could not create one
            return _notify_from_file(settings, {**machine, **verdicts}, now)
        with _locked(warehouse) as conn:
            stored = causes.check_warehouse(conn, warehouse, settings, run_id, now)
            known = verdicts
            keys = book.check_apart(conn, "keys", lambda: check_failed_keys(conn, known))
            verdicts = {on_this_host(WAREHOUSE): None, **machine, **stored, **verdicts, **keys}
            verdicts |= word_loads(Place(settings, warehouse, now), verdicts)
            return _notify_from_warehouse(settings, conn, verdicts, now)
    except (QuotemillError, psycopg.Error, OSError) as error:
        # a full disk may be the reason
        full = "".join(f"; {c.sentence}" for c in machine.values() if c and c.name == "disk")
        away = book.ring(failed(WAREHOUSE, explain_refusal(error, settings) or log.explain(error)))
        away = replace(away, note=full)
        return _notify_from_file(
            settings, {on_this_host(SETTINGS_FILE): None, on_this_host(WAREHOUSE): away}, now
        )


def list_entries(
    settings: Settings, warehouse: Warehouse | None, *, with_resolved: bool = False
) -> list[Entry]:
    """Open alerts, the newest first; those found while there was no warehouse are in a file.

    Raises SettingsError if an older version made the tables.
    """
    stored = file_book.read_entries(settings.home)
    if warehouse is not None:
        with warehouse.connect() as conn:
            if has_relation(conn, "ops.alerts"):
                stored = file_book.merge(book.read_entries(conn), stored)
    entries = [entry for entry in stored.values() if with_resolved or entry.is_open]
    return sorted(entries, key=lambda entry: entry.last_at, reverse=True)


def close(settings: Settings, name: str, now: datetime | None = None) -> Entry:
    """Resolve an open cause; the next check sends its end.

    Raises UsageError where it is not open.
    """
    now = now or datetime.now(UTC)
    warehouse = find_warehouse(settings)
    if warehouse is None:
        entries = file_book.read_entries(settings.home)
        closed = _close(entries, name, now)
        file_book.write(settings.home, entries.values())
        return closed
    with _locked(warehouse) as conn:
        closed = _close(
            file_book.merge(book.read_entries(conn), file_book.read_entries(settings.home)),
            name,
            now,
        )
        book.write(conn, [closed])
    return closed


def _close(entries: dict[str, Entry], name: str, now: datetime) -> Entry:
    entry = entries.get(name)
    if entry is None or not entry.is_open:
        listed = ", ".join(other for other in entries if entries[other].is_open)
        hint = f"Choose one of: {listed}." if listed else "Leave it: no alert is open."
        raise UsageError(f"no open alert is named {name}", hint=hint)
    book.resolve(entry, now)
    return entry


def load_settings_or_notify() -> Settings:
    """Load the settings of a command that runs unattended.

    Settings that cannot be read are sent to the channels that the environment names; then raises
    SettingsError.
    """
    try:
        return load_settings()
    except SettingsError as error:
        settings = read_environment_settings(("home", "alerts.urls"))
        if settings.alerts.urls:
            # unreadable settings do not say how long to keep log files: delete none
            secrets = log.collect_secrets(settings)
            log.start(settings.home / "logs", secrets, days=36_500, megabytes=1_000_000)
            cause = book.ring(failed("settings", error))
            _notify_from_file(settings, {on_this_host(SETTINGS_FILE): cause}, datetime.now(UTC))
        raise


def _notify_from_warehouse(
    settings: Settings, conn: psycopg.Connection, verdicts: Verdicts, now: datetime
) -> CheckResult:
    """Send from ops.alerts, and from what the file has stored while the warehouse was away."""
    entries = file_book.merge(book.read_entries(conn), file_book.read_entries(settings.home))
    messages = _update_book(settings, entries, verdicts, now)
    book.write(conn, entries.values())
    result = _send_all(settings, entries, messages, now)
    book.write(conn, entries.values())
    file_book.remove(settings.home)
    return result


def _notify_from_file(settings: Settings, verdicts: Verdicts, now: datetime) -> CheckResult:
    """Send from the book in a file. Without a channel no home is created for it."""
    entries = file_book.read_entries(settings.home)
    messages = _update_book(settings, entries, verdicts, now)
    result = _send_all(settings, entries, messages, now)
    if settings.alerts.urls:
        file_book.write(settings.home, entries.values())
    return result


@contextlib.contextmanager
def _locked(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with contextlib.closing(
        warehouse.connect(autocommit=True, application_name="quotemill alerts")
    ) as conn:
        if not has_relation(conn, "ops.alerts"):
            raise SettingsError("the warehouse is of an older version", hint="Run `quotemill run`.")
        refuse_outdated(conn)
        until = time.monotonic() + turns.LIMIT
        while holder := turns.take(conn, _LOCK):
            if time.monotonic() >= until:
                raise LockHeldError(f"{holder} has been checking alerts for {turns.LIMIT} seconds")
            time.sleep(0.1)
        yield conn


def _update_book(
    settings: Settings, entries: dict[str, Entry], verdicts: Verdicts, now: datetime
) -> list[Message]:
    hours = settings.alerts.repeat_after
    return book.update_book(entries, verdicts, now, timedelta(hours=hours) if hours else None)


def _send_all(
    settings: Settings, entries: dict[str, Entry], messages: Sequence[Message], now: datetime
) -> CheckResult:
    targets = channels.configured_channels(settings)
    accepted = [_send(message, targets, now) for message in messages if targets]
    still_open = tuple(name for name, entry in entries.items() if entry.is_open)
    return CheckResult(still_open, sum(accepted), len(accepted) - sum(accepted))


def _send(message: Message, targets: Sequence[channels.Channel], now: datetime) -> bool:
    """Send to the channels that have not accepted the message; True once all have."""
    entry = message.entry
    kind = "resolved" if message.is_recovery else entry.severity
    for channel in targets:
        if channel.name in entry.channels:
            continue
        error = channel.send(
            f"quotemill on {socket.gethostname()}, {kind}: {entry.cause}",
            log.scrub(message.text()),
            is_bad=not message.is_recovery,
            attachment=message.attachment,
        )
        if error:
            text = f"alert {entry.cause} did not reach channel {channel.name}: {error}"
            log.write("warning", text, detail={"next": "the next run tries again"})
        else:
            entry.channels.append(channel.name)
            log.write("info", f"alert {kind}: {entry.cause} was sent to channel {channel.name}")
    names = [channel.name for channel in targets]
    message.settle(names, now)
    return set(names) <= set(entry.channels)
