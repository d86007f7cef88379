"""Figures of a run by stage and source: rows of ops.metrics.

A figure that a source cannot count has no row.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import psycopg

from loaders import log
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import QuotemillError, SettingsError, innermost, most_severe

COUNTED = ("requests", "bytes", "retries", "fallbacks", "refused")  # of LoadResult.counts
KEPT = "2 years"  # a report over a year can be compared with the year before
UNITS = {"seconds": "s", "bytes": "B", "exit_code": "code"}


class Metric(NamedTuple):
    """`source` is empty where the stage is not of one source."""

    stage: str
    source: str
    name: str
    value: float | int

    @property
    def unit(self) -> str:
        """s, B, code, or the counted thing: rows of rows_new, keys of failed_keys."""
        words = self.name.split("_")
        return UNITS.get(self.name) or (
            words[0] if words[0] in ("rows", "tests", "days") else words[-1]
        )


def measure_loads(
    loads: Sequence[LoadResult], uncounted: Mapping[str, Collection[str]]
) -> list[Metric]:
    """Figures of the loads of each source together.

    `uncounted` are the counts that a source cannot know.
    """
    metrics = []
    for source in dict.fromkeys(load.source for load in loads):
        own = [load for load in loads if load.source == source]
        figures: dict[str, float | int] = {
            "seconds": round(sum(load.seconds for load in own), 2),
            "exit_code": most_severe(load.exit_code for load in own),
            "loads": sum(load.job_id is not None for load in own),
            **{
                name: sum(load.total(name) for load in own)
                for name in ("rows_read", "rows_new", "rows_changed")
            },
            "done_keys": sum(load.total("done") for load in own),
            "skipped_keys": sum(load.total("skipped") for load in own),
            "failed_keys": sum(len(task.failures) for load in own for task in load.tasks),
            **{
                name: sum(load.counts.get(name, 0) for load in own)
                for name in COUNTED
                if name not in uncounted.get(source, ())
            },
        }
        metrics += measure_stage("load", source, figures)
    return metrics


def measure_stage(stage: str, source: str, figures: Mapping[str, float | int]) -> list[Metric]:
    return [Metric(stage, source, name, value) for name, value in figures.items()]


def record(settings: Settings, metrics: Sequence[Metric]) -> None:
    """Write figures of the run that this process is part of.

    A failure to write is logged and fails nothing; no server is started.
    """
    if not metrics:
        return
    try:
        warehouse = open_warehouse(settings, start=False)
        warehouse.ask(lambda conn: write(conn, log.run_id(), metrics), patient=False)
    except SettingsError:  # the command itself reports it; no home is created
        return
    except (QuotemillError, psycopg.Error) as error:
        log.write("warning", f"cannot record metrics: {innermost(error)}")


def write(conn: psycopg.Connection, run_id: str, metrics: Iterable[Metric]) -> None:
    """Write figures of a run, in the place of earlier ones; delete those older than KEPT."""
    with conn.cursor() as cur:
        cur.executemany(
            "insert into ops.metrics (run_id, stage, source, name, value, unit) "
            "values (%s, %s, %s, %s, %s, %s) on conflict (run_id, stage, source, name) "
            "do update set value = excluded.value, measured_at = excluded.measured_at",
            [(run_id, m.stage, m.source, m.name, Decimal(str(m.value)), m.unit) for m in metrics],
        )
        # the id starts with the day, so the primary key finds the rows
        cur.execute(
            "delete from ops.metrics where measured_at < now() - %(kept)s::interval "
            "and run_id < to_char(now() at time zone 'UTC' - %(kept)s::interval, 'YYYYMMDD')",
            {"kept": KEPT},
        )
