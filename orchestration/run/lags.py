"""How late the data of each source are: the most late of its datasets in qa.freshness."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from loaders import sources
from loaders.engine import job_list
from loaders.engine.metrics import Metric, measure_stage
from loaders.warehouse.sql_files import read_sql
from quotemill.warehouse.schemas import has_relation


@dataclass(frozen=True)
class Lag:
    """The dataset of a source that is latest; `days` are trading days, 0 where none is late.

    `late` names every late dataset of the source: a further one is another state.
    """

    source: str
    dataset: str
    last_date: date
    expected_date: date
    days: int
    late: str = ""
    has_ended: bool = False  # the source was asked for newer days and has none


def has_ended(loaded: datetime | None, source: str, expected: date | None, days: int) -> bool:
    """Whether a dataset that is `days` late was wholly loaded after the first of them."""
    if loaded is None or expected is None:
        return False
    day = loaded.astimezone(ZoneInfo(sources.find_zone(source))).date()
    return day > expected or (day == expected and days > 1)


def read_lags(conn: psycopg.Connection, qa: str) -> tuple[Lag, ...]:
    """The lag of each source; none before the first build."""
    if not has_relation(conn, f"{qa}.freshness"):
        return ()
    query = read_sql(__package__, "lags").format(qa=qa)
    with conn.cursor(row_factory=class_row(Lag)) as cur:
        lags = cur.execute(query.encode()).fetchall()
    loaded = job_list.find_whole_loads(conn)
    return tuple(
        replace(x, has_ended=has_ended(loaded.get(x.dataset), x.source, x.expected_date, x.days))
        for x in lags
    )


def measure_lags(lags: tuple[Lag, ...]) -> list[Metric]:
    return [
        metric
        for lag in lags
        for metric in measure_stage("freshness", lag.source, {"days_behind": lag.days})
    ]
