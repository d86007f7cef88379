"""Rows of ops.metrics: figures of stages of a run, and of commands that are jobs."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from loaders.engine.metrics import Metric, measure_stage, record
from loaders.requests import counts as request_counts
from loaders.settings import Settings
from orchestration.run.build_result import BuildResult
from orchestration.run.findings import SEVERITIES, Judgement
from quotemill.errors import INTERRUPTED


@contextlib.contextmanager
def measure_command(
    settings: Settings, stage: str, source: str = ""
) -> Iterator[dict[str, float | int]]:
    """Record the figures of a command, however it ends.

    They are its seconds, its exit code, the counts of its requests to sources, and the figures that
    the block adds by name.
    """
    figures: dict[str, float | int] = {}
    before, started, code = request_counts.counted(), time.monotonic(), 0
    try:
        yield figures
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        # typer's exceptions have an exit code too
        code = INTERRUPTED if stopped else getattr(error, "exit_code", 1)
        raise
    finally:
        seconds = round(time.monotonic() - started, 2)
        requests = request_counts.counted() - before
        totals = {"seconds": seconds, "exit_code": code, **requests, **figures}
        record(settings, measure_stage(stage, source, totals))


def measure_builds(builds: Sequence[BuildResult]) -> list[Metric]:
    """Figures of all builds of a run together; empty without a build."""
    if not builds:
        return []
    figures: dict[str, float | int] = {
        "seconds": round(sum(build.seconds for build in builds), 2),
        "exit_code": max(build.exit_code for build in builds),
        "models": sum(build.models_built for build in builds),
    }
    for name in ("rows_written", "tests_passed", "tests_warned", "tests_failed"):
        figures[name] = sum(getattr(build, name) for build in builds)
    return measure_stage("build", "", figures)


def measure_judgement(judged: Judgement, seconds: float) -> list[Metric]:
    figures: dict[str, float | int] = {
        "seconds": seconds,
        **{f"{severity}_findings": judged.counts.get(severity, 0) for severity in SEVERITIES},
        "new_findings": sum(judged.new.values()),
        "acknowledged_findings": sum(judged.acknowledged.values()),
        "ringing_findings": judged.ringing,
    }
    return measure_stage("qa", "", figures)
