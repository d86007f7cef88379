"""What the stages of a run came to, as figures: rows of ops.metrics."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import psycopg

from loaders.engine.load import LoadResult
from orchestration.build import BuildResult
from orchestration.findings import SEVERITIES, Judgement

COUNTED = ("requests", "bytes", "retries", "fallbacks", "refused")  # of LoadResult.counts
UNITS = {"seconds": "s", "bytes": "B", "exit_code": "code"}


class Metric(NamedTuple):
    """`source` is empty where the stage is not of one source."""

    stage: str
    source: str
    name: str
    value: float | int

    @property
    def unit(self) -> str:
        """s, B, code, or what is counted: rows of rows_new, keys of failed_keys."""
        words = self.name.split("_")
        return UNITS.get(self.name) or (words[0] if words[0] in ("rows", "tests") else words[-1])


def of_loads(loads: Sequence[LoadResult]) -> list[Metric]:
    """The loads of each source together; a source may have several."""
    found = []
    for source in dict.fromkeys(load.source for load in loads):
        own = [load for load in loads if load.source == source]
        figures: dict[str, float | int] = {
            "seconds": round(sum(load.seconds for load in own), 2),
            "exit_code": max(load.exit_code for load in own),
            "loads": sum(load.job_id is not None for load in own),
            **{
                name: sum(load.total(name) for load in own)
                for name in ("rows_read", "rows_new", "rows_changed")
            },
            "done_keys": sum(load.total("done") for load in own),
            "skipped_keys": sum(load.total("skipped") for load in own),
            "failed_keys": sum(len(task.failures) for load in own for task in load.tasks),
            **{name: sum(load.counts.get(name, 0) for load in own) for name in COUNTED},
        }
        found += [Metric("load", source, name, value) for name, value in figures.items()]
    return found


def of_builds(builds: Sequence[BuildResult]) -> list[Metric]:
    """The builds of a run together; none where there was none."""
    if not builds:
        return []
    figures: dict[str, float | int] = {
        "seconds": round(sum(build.seconds for build in builds), 2),
        "exit_code": max(build.exit_code for build in builds),
        "models": sum(build.models_built for build in builds),
        "rows_written": sum(build.rows_written for build in builds),
        "tests_passed": sum(build.tests_passed for build in builds),
        "tests_warned": sum(build.tests_warned for build in builds),
        "tests_failed": sum(build.tests_failed for build in builds),
    }
    return [Metric("build", "", name, value) for name, value in figures.items()]


def of_judgement(judged: Judgement, seconds: float) -> list[Metric]:
    figures: dict[str, float | int] = {
        "seconds": seconds,
        **{f"{severity}_findings": judged.counts.get(severity, 0) for severity in SEVERITIES},
    }
    figures["new_findings"] = sum(judged.new.values())
    figures["acknowledged_findings"] = sum(judged.acknowledged.values())
    figures["ringing_findings"] = judged.ringing
    return [Metric("qa", "", name, value) for name, value in figures.items()]


def write(conn: psycopg.Connection, run_id: str, metrics: Iterable[Metric]) -> None:
    """Write figures of a run; one that was written before is replaced."""
    with conn.cursor() as cur:
        cur.executemany(
            "insert into ops.metrics (run_id, stage, source, name, value, unit) "
            "values (%s, %s, %s, %s, %s, %s) on conflict (run_id, stage, source, name) "
            "do update set value = excluded.value, measured_at = excluded.measured_at",
            [(run_id, m.stage, m.source, m.name, Decimal(str(m.value)), m.unit) for m in metrics],
        )
