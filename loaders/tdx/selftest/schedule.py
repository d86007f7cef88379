"""Which schedule of ops.testing_schedules is due: for a command that a user's cron starts every hour."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from loaders.errors import SettingsError
from loaders.trading_time import SHANGHAI

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Schedule:
    """A row of ops.testing_schedules. `cron` has five fields, in exchange time."""

    name: str
    cron: str
    options: dict[str, Any] = field(default_factory=dict)
    last_run_at: datetime | None = None

    def number(self, name: str, otherwise: float) -> float:
        """An option of the schedule. Raises SettingsError where it is no number."""
        value = self.options.get(name, otherwise)
        if type(value) not in (int, float):
            raise SettingsError(
                f"schedule {self.name!r}: option {name} is {value!r}, not a number",
                hint='options of ops.testing_schedules are like {"bulk_timeout": 60}',
            )
        return float(value)

    def is_due(self, now: datetime) -> bool:
        """Has a time of the schedule passed since its last run? One that never ran is due at once.

        Raises SettingsError for a cron text that is none.
        """
        from apscheduler.triggers.cron import CronTrigger

        try:
            trigger = CronTrigger.from_crontab(_with_named_days(self.cron), timezone=SHANGHAI)
        except ValueError as error:
            raise SettingsError(
                f"schedule {self.name!r}: {self.cron!r} is no cron text ({error})",
                hint="five fields, as in `30 9 * * sat`; see ops.testing_schedules",
            ) from None
        if self.last_run_at is None:
            return True
        then = trigger.get_next_fire_time(self.last_run_at, now)
        return then is not None and then <= now


def take_due(conn: psycopg.Connection, kind: str, now: datetime) -> Schedule | None:
    """The first due schedule of a kind, marked as run `now`; two that ask at once do not both get it."""
    with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        schedules = cursor.execute(
            "select name, cron, options, last_run_at from ops.testing_schedules "
            "where source = 'tdx' and kind = %s and is_enabled order by name for update",
            (kind,),
        ).fetchall()
    due = next((schedule for schedule in schedules if schedule.is_due(now)), None)
    if due is not None:
        conn.execute(
            "update ops.testing_schedules set last_run_at = %s where name = %s", (now, due.name)
        )
    return due


def _with_named_days(cron: str) -> str:
    """APScheduler counts weekdays from Monday as 0, cron from Sunday: names mean the same to both."""
    *others, days = cron.split()
    named = re.sub(r"(?<![/\w])[0-7](?!\w)", lambda found: _WEEKDAYS[int(found[0])], days)
    return " ".join([*others, named])
