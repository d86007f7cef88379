"""How late the data of each source are: the most late of its datasets in qa.freshness."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from loaders import sources
from loaders.check import Check
from loaders.engine import job_list
from loaders.engine.metrics import Metric, measure_stage
from loaders.settings import Settings
from loaders.warehouse.sql_files import read_sql
from quotemill.warehouse.schemas import has_relation


@dataclass(frozen=True)
class Lag:
    """The dataset of a source that is latest; `days` are trading days, 0 where none is late.

    `late` names every late dataset of the source: a further one is another state.
    """

    source: str
    dataset: str
    last_date: date | None  # None: no row
    expected_date: date
    days: int
    late: str = ""
    loaded_at: datetime | None = None  # wholly, up to the newest day, by the clock of the load

    def __str__(self) -> str:
        ends = f"ends {self.last_date}" if self.last_date else "has no row"
        return f"{self.dataset} {ends}, expected {self.expected_date}"

    @property
    def has_ended(self) -> bool:
        """Whether the source was asked for newer days, after the first of them, and has none."""
        if self.loaded_at is None or not self.days or self.source not in sources.MODULES:
            return False
        day = self.loaded_at.astimezone(ZoneInfo(sources.find_zone(self.source))).date()
        return day > self.expected_date or (day == self.expected_date and self.days > 1)

    def check(self, settings: Settings, stopped: int | None = None) -> Check:
        """The check of a dataset that is late; `stopped`: the load that an error has ended."""
        fix = self.describe_fix(settings)
        if stopped is not None:
            fix = job_list.name_retry(f"quotemill retry {stopped}", is_later=True)
        return Check("freshness", "warn", str(self), fix, subject=self.dataset)

    def describe_fix(self, settings: Settings) -> str:
        """What brings the dataset up to date; empty for a source that this version has not."""
        if self.source not in sources.MODULES:  # its row must hide no other
            return ""
        ended = self.last_date if self.has_ended else None
        return sources.find_operations(self.source).stale_fix(settings, self.dataset, ended)


def read_lags(conn: psycopg.Connection, qa: str) -> tuple[Lag, ...]:
    """The lag of each source; none before the first build."""
    if not has_relation(conn, f"{qa}.freshness"):
        return ()
    query = read_sql(__package__, "lags").format(qa=qa)
    with conn.cursor(row_factory=class_row(Lag)) as cur:
        lags = cur.execute(query.encode()).fetchall()
    loaded = job_list.find_whole_loads(conn)
    return tuple(replace(lag, loaded_at=loaded.get(lag.dataset)) for lag in lags)


def measure_lags(lags: tuple[Lag, ...]) -> list[Metric]:
    return [
        metric
        for lag in lags
        for metric in measure_stage("freshness", lag.source, {"days_behind": lag.days})
    ]
