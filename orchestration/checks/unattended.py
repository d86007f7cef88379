"""Checks of what runs without anybody: scheduled jobs, and the alerts about them."""

from collections.abc import Iterator

import psycopg

from loaders.check import Check, failed
from orchestration.checks.place import Place
from orchestration.schedule import jobs, ledger
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

SHOWN = 5  # alerts in a message


def check_schedule(place: Place) -> Iterator[Check]:
    """Check that the jobs can be read and that something starts them."""
    if place.away:  # their records are there
        return
    rows = place.warehouse.ask(ledger.read_rows) if place.warehouse else []
    known, wrong = jobs.survey(place.settings, rows)
    late = ledger.list_overdue(rows, known, place.as_of or place.now)
    yield from (failed("schedule", error) for error in wrong.values())
    for row in late:
        yield ledger.describe_missed(row.name, row.next_run_at, known[row.name])
    if any(row["is_stale"] for row in place.known("freshness") or ()):
        for row in rows:
            if row.name in known and not row.is_enabled:
                fix = f"quotemill schedule enable {row.name}"
                yield Check("schedule", "warn", f"{row.name} is disabled", fix, subject=row.name)
    if not wrong and not late and not any(row.next_run_at for row in rows):
        yield Check("schedule", "ok", "no job starts automatically", ledger.name_install())
    elif not wrong and not late:
        yield Check("schedule", "ok", say_count(len(known), "job"))


def check_alerts(place: Place) -> Iterator[Check]:
    """Check that channels accepted every alert; having no channel is fine."""
    from orchestration.alerts import channels

    if place.away:
        return
    settings = place.settings
    names = [channel.name for channel in channels.configured_channels(settings)]
    names += ["a dead man's switch"] if settings.alerts.ping_url else []
    unsent = place.warehouse.ask(_list_unsent_causes) if place.warehouse else []
    if not names:
        yield Check(
            "alerts", "ok", "no channel is configured", "Set urls under [alerts] in quotemill.toml"
        )
    elif settings.alerts.urls and unsent:
        text = f"not accepted by every channel: {', '.join(unsent[:SHOWN])}"
        yield Check("alerts", "warn", text, "quotemill alerts check")
    else:
        text = f"sent to {', '.join(names)} (test them with `quotemill alerts test`)"
        yield Check("alerts", "ok", text)


def _list_unsent_causes(conn: psycopg.Connection) -> list[str]:
    from orchestration.alerts import book

    entries = book.read_entries(conn) if has_relation(conn, "ops.alerts") else {}
    return [name for name, entry in entries.items() if entry.is_unsent]
