"""What the stages of a run, and commands that are jobs of their own, came to as figures: rows of ops.metrics."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from loaders import request_counts
from loaders.engine.metrics import Metric, measure_stage, record
from loaders.errors import INTERRUPTED
from loaders.settings import Settings
from orchestration.run.build import BuildResult
from orchestration.run.findings import SEVERITIES, Judgement


@contextlib.contextmanager
def measured(settings: Settings, stage: str, source: str = "") -> Iterator[dict[str, float | int]]:
    """Record what a command comes to, however it ends: its seconds, its exit code, what it asked of sources, and
    the figures that it puts in by name."""
    figures: dict[str, float | int] = {}
    before, started, code = request_counts.counted(), time.monotonic(), 0
    try:
        yield figures
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        code = INTERRUPTED if stopped else getattr(error, "exit_code", 1)  # typer's has one too
        raise
    finally:
        seconds = round(time.monotonic() - started, 2)
        asked = request_counts.counted() - before
        of_all = {"seconds": seconds, "exit_code": code, **asked, **figures}
        record(settings, measure_stage(stage, source, of_all))


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
    return measure_stage("build", "", figures)


def of_judgement(judged: Judgement, seconds: float) -> list[Metric]:
    figures: dict[str, float | int] = {
        "seconds": seconds,
        **{f"{severity}_findings": judged.counts.get(severity, 0) for severity in SEVERITIES},
    }
    figures["new_findings"] = sum(judged.new.values())
    figures["acknowledged_findings"] = sum(judged.acknowledged.values())
    figures["ringing_findings"] = judged.ringing
    return measure_stage("qa", "", figures)
