"""The pipeline: load each source, build what the loads touched, judge the result."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from loaders import loads, log, sources
from loaders.engine.metrics import Metric
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult, not_due, stopped
from loaders.loads import Display
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.run import build as builds
from orchestration.run import findings, metrics
from orchestration.run.build_progress import stoppable
from orchestration.run.build_result import BuildResult
from orchestration.run.calendar_check import nothing_to_do
from orchestration.run.findings import Judgement
from orchestration.run.lags import Lag, measure_lags, read_lags
from quotemill.errors import (
    DataQualityError,
    LockHeldError,
    NotDue,
    PartialError,
    QuotemillError,
    UpstreamError,
    most_severe,
)

if TYPE_CHECKING:
    import psycopg

# seconds to wait for another build: longer than a first build of a whole market
BUILD_WAIT = 3600.0
STAGES = ("calendar", "load", "build", "qa", "archive", "alerts", "report")


@dataclass(frozen=True)
class Stage:
    """The result of a stage after the pipeline.

    `summary` is one line: what the stage did, or why it did nothing.
    """

    name: str
    exit_code: int
    seconds: float
    summary: str
    error: str | None = None
    hint: str = ""
    metrics: tuple[Metric, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Its error and hint, for people."""
        return QuotemillError(self.error, hint=self.hint).lines if self.error else []


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    `judgement`: None if nothing was judged.
    `error`: why not, if that is a failure; `error_code` is its exit code.
    `stages`: the stages after the pipeline.
    """

    loads: tuple[LoadResult, ...]
    exit_code: int
    builds: tuple[BuildResult, ...] = ()
    judgement: Judgement | None = None
    error: str | None = None
    hint: str = ""
    error_code: int = 0
    judged_in: float = 0.0  # seconds
    stages: tuple[Stage, ...] = ()
    run_id: str | None = None  # None: not recorded
    lags: tuple[Lag, ...] = ()  # of the loaded sources
    unadjusted: str | None = None  # why adjusted prices equal raw ones

    @property
    def build(self) -> BuildResult | None:
        """The last build; it also tried what an earlier one could not build."""
        return self.builds[-1] if self.builds else None

    @property
    def why(self) -> "RunResult | LoadResult | Stage":
        """The part whose `error` and `hint` explain why the run failed."""
        parts: tuple[LoadResult | Stage, ...] = (*self.loads, *self.stages)
        failed = (x for x in parts if x.error and x.exit_code == self.exit_code)
        return self if self.error else next(failed, self)

    @property
    def cause(self) -> str | None:
        """Why the run failed, in a line; findings stand for themselves."""
        if self.why.error is None and self.exit_code == DataQualityError.exit_code:
            return f"findings: {self.judgement}" if self.judgement else None
        return self.why.error

    @property
    def was_stopped(self) -> bool:
        """Whether a user cancelled a load, and so wants nothing more of the run."""
        return any(load.status == "cancelled" for load in self.loads)

    @property
    def metrics(self) -> list[Metric]:
        judged = metrics.measure_judgement(self.judgement, self.judged_in) if self.judgement else []
        later = [metric for stage in self.stages for metric in stage.metrics]
        return [
            *loads.measure_loads(self.loads),
            *metrics.measure_builds(self.builds),
            *judged,
            *measure_lags(self.lags),
            *later,
        ]

    def as_json(self) -> dict[str, Any]:
        judged = self.judgement or Judgement()
        why = self.why
        # a script reads in one place why a run failed
        return {
            "run_id": self.run_id,
            "loads": [load.as_json() for load in self.loads],
            "build": self.build and self.build.as_json(),
            "builds": [build.as_json() for build in self.builds],
            "findings": judged.counts,
            "new_findings": judged.new,
            "unread_checks": judged.unread,
            "unadjusted": self.unadjusted,
            "stages": [{k: v for k, v in asdict(s).items() if k != "metrics"} for s in self.stages],
            "exit_code": self.exit_code,
            "error": why.error,
            "hint": why.hint,
        }


def run(
    settings: Settings,
    requests: Sequence[LoadRequest],
    display: Display,
    report: Callable[[str], None],
    as_of: datetime | None = None,
    only: Collection[str] = STAGES,
) -> RunResult:
    """Run calendar ▶ load ▶ build ▶ judge.

    Load and build repeat for each part of a source. A failed source does not stop the build of
    others, and a build that is refused stops neither further loads nor the judgement. If nothing is
    due, only what an earlier run left is built. Freshness is judged as of the time of the loads.
    `only` names the stages.
    """
    results: list[LoadResult] = []
    built: list[BuildResult] = []
    started = "load" not in only
    refused: QuotemillError | None = None  # why the last build did not run

    def codes(*more: int) -> list[int]:
        return [*(load.exit_code for load in results), *(b.exit_code for b in built[-1:]), *more]

    def build_touched(wait: float | None) -> BuildResult | None:
        warehouse = open_warehouse(settings)
        shown = partial(stoppable, display)
        return builds.build(settings, warehouse, shown, only_touched=True, wait=wait)

    try:
        for parts in _rounds(settings, requests, as_of, results, report, only):
            first = len(results)
            rests = "load" not in only or any(load.is_resting for load in results)
            ended = {load.source for load in results if load.ends_source}
            for part in parts:
                if part is None or part.source in ended:
                    continue
                results.append(loads.try_load(settings, part, display, as_of=as_of))
                if results[-1].status == "cancelled":  # then the user wants no build now
                    return RunResult(tuple(results), most_severe(codes()), tuple(built))
            # without a started load there is nothing to build
            moved = any(
                x.job_id is not None or not (x.exit_code or x.is_idle) for x in results[first:]
            )
            if not moved and not rests:
                continue
            started = started or moved
            if "build" in only:
                try:
                    result = build_touched(None)  # a load that is due meanwhile cannot wait
                except QuotemillError as error:
                    # further loads need no build, and the next build includes this one
                    refused = error
                    continue
                refused = None
                built += [result] if result else []
                started = started or result is not None
        if isinstance(refused, LockHeldError):
            result = build_touched(BUILD_WAIT)
            refused = None
            built += [result] if result else []
            started = True
        if refused is not None and ("qa" not in only or isinstance(refused, UpstreamError)):
            raise refused
        if refused is None and (not started or "qa" not in only):
            return RunResult(tuple(results), most_severe(codes()), tuple(built))
        warehouse = open_warehouse(settings)
        qa = warehouse.inner_schema("qa")
        # a finding that a more severe code hides rings the next night
        failure = refused.exit_code if refused else 0
        reports = not hides_findings(results, most_severe(codes(failure)))
        last = built[-1].unbuilt if built else ()
        unbuilt = last if refused is None else None
        judged_as_of = as_of or source_time(settings, requests)

        def judge(conn: "psycopg.Connection") -> tuple[Judgement, tuple[Lag, ...], str | None]:
            if judged_as_of:  # freshness as of the loads
                values = (judged_as_of.isoformat(),)
                conn.execute("select set_config('quotemill.as_of', %s, true)", values)
            lists = "report" in only
            judged = findings.judge(conn, qa, unbuilt=unbuilt, report=reports, lists=lists)
            return judged, read_lags(conn, qa), findings.explain_unadjusted(conn, qa)

        start = time.monotonic()
        judged, lags, unadjusted = warehouse.ask(judge)
        seconds = round(time.monotonic() - start, 2)
    except QuotemillError as error:
        why = refused or error
        log.write_error(why)
        code = most_severe(codes(why.exit_code))
        return RunResult(tuple(results), code, tuple(built), **_explain(why))
    if refused is not None:
        log.write_error(refused)
    ringing = judged.ringing > settings.finding_limit
    log.write("error" if ringing or judged.unread else "info", f"findings: {judged}")
    if ringing and reports:
        code = DataQualityError.exit_code
    else:
        # a check that cannot be read says nothing about its data, on any night
        unread = PartialError.exit_code if judged.unread else 0
        quality = DataQualityError.exit_code if ringing else 0
        code = most_severe(codes(quality, unread, failure))
    own = {load.source for load in results}
    lags = tuple(lag for lag in lags if lag.source in own)
    outcome = RunResult(
        tuple(results),
        code,
        tuple(built),
        judged,
        judged_in=seconds,
        lags=lags,
        unadjusted=unadjusted,
    )
    return replace(outcome, **_explain(refused)) if refused is not None else outcome


def _explain(error: QuotemillError) -> dict[str, Any]:
    """The fields of a result that say why nothing was built or judged."""
    return {"error": str(error), "hint": error.hint, "error_code": error.exit_code}


def hides_findings(loads: Sequence[LoadResult], code: int) -> bool:
    """Whether the exit code of loads and builds comes before that of new findings.

    Keys that had failed before, with exit code 6 each night, do not.
    """
    if code == PartialError.exit_code:
        return not all(load.is_standing for load in loads if load.exit_code == code)
    return code not in (0, DataQualityError.exit_code, LockHeldError.exit_code)


def source_time(settings: Settings, requests: Sequence[LoadRequest]) -> datetime | None:
    """The time by the clock of the only source, which in a sandbox may be in the past.

    None for several sources, or if the source cannot say.
    """
    if len(requests) != 1:
        return None
    try:
        return sources.find(requests[0].source).requests.now(settings)
    except QuotemillError:
        return None


def _rounds(
    settings: Settings,
    requests: Sequence[LoadRequest],
    as_of: datetime | None,
    results: list[LoadResult],
    report: Callable[[str], None],
    only: Collection[str],
) -> Sequence[Sequence[LoadRequest | None]]:
    """The rounds of loads, each followed by a build.

    One round without a load if there is only a build to run.
    """
    if "load" not in only:
        return [()]
    parts = [_parts(settings, r, as_of, results, report, only) for r in requests]
    rests = any(load.is_resting for load in results)
    return list(zip_longest(*parts)) or ([()] if rests else [])


def _parts(
    settings: Settings,
    request: LoadRequest,
    as_of: datetime | None,
    results: list[LoadResult],
    report: Callable[[str], None],
    only: Collection[str],
) -> Sequence[LoadRequest]:
    """The loads that a source makes of a request.

    Empty if no load is due or an error prevents it; then `results` gets the reason.
    """
    try:
        if "calendar" in only and (why := nothing_to_do(settings, request, as_of)) is not None:
            report(f"{request.source}: {why}")
            results.append(not_due(request.source, NotDue(why), is_resting=True))
            return ()
        return sources.find(request.source).requests.parts(settings, request, as_of)
    except NotDue as nothing:
        report(f"{request.source}: {nothing}")
        results.append(not_due(request.source, nothing))
    except QuotemillError as error:  # does not stop the loads of other sources
        report(f"{request.source}: {error}" + (f" ({error.hint})" if error.hint else ""))
        log.write_error(error, request.source)
        results.append(stopped(request.source, error))
    return ()
