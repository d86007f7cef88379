"""The night's work: load every configured source, build what the loads touched, judge the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from loaders import runlog, sources
from loaders.engine.load import LoadResult, not_due, stopped
from loaders.engine.request import LoadRequest
from loaders.errors import DataQualityError, NotDue, QuotemillError, gravest
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration import build as builds
from orchestration import findings
from orchestration.build import BuildResult
from orchestration.findings import Judgement

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class RunResult:
    """`judgement` is None where nothing was built or judged; `error` tells why where that is wrong."""

    loads: tuple[LoadResult, ...]
    exit_code: int
    builds: tuple[BuildResult, ...] = ()
    judgement: Judgement | None = None
    error: str | None = None
    hint: str = ""

    @property
    def build(self) -> BuildResult | None:
        """The last one: what an earlier one could not build, it has tried too."""
        return self.builds[-1] if self.builds else None

    def as_json(self) -> dict[str, Any]:
        judged = self.judgement or Judgement()
        # a script looks in one place for why a run failed
        failed = (x for x in self.loads if x.error and x.exit_code == self.exit_code)
        why = self if self.error else next(failed, self)
        return {
            "loads": [load.as_json() for load in self.loads],
            "build": self.build and self.build.as_json(),
            "builds": [build.as_json() for build in self.builds],
            "findings": judged.counts,
            "new_findings": judged.new,
            "exit_code": self.exit_code,
            "error": why.error,
            "hint": why.hint,
        }


def run(
    settings: Settings,
    requests: Sequence[LoadRequest],
    load: Callable[[LoadRequest], LoadResult],
    report: Callable[[str], None],
    as_of: datetime | None = None,
) -> RunResult:
    """Load ▶ build, and again where a source has a further part ▶ judge.

    A source that fails does not keep the others from being built; where nothing is due of any, nothing is.
    What is fresh is judged as of the moment of the loads.
    """
    loads: list[LoadResult] = []
    built: list[BuildResult] = []
    begun = False

    def codes(*more: int) -> list[int]:
        return [*(load.exit_code for load in loads), *(b.exit_code for b in built[-1:]), *more]

    try:
        for parts in zip_longest(*(_parts(settings, r, as_of, loads, report) for r in requests)):
            first = len(loads)
            ended = {load.source for load in loads if load.ends_source}
            for part in parts:
                if part is None or part.source in ended:
                    continue
                loads.append(load(part))
                if loads[-1].status == "cancelled":  # who stops a load wants no build of it now
                    return RunResult(tuple(loads), gravest(codes()), tuple(built))
            # where no load began there is nothing to build
            if all(x.job_id is None and (x.exit_code or x.is_idle) for x in loads[first:]):
                continue
            begun = True
            result = builds.build(settings, open_warehouse(settings), report, only_touched=True)
            built += [result] if result else []
        if not begun:
            return RunResult(tuple(loads), gravest(codes()))
        warehouse = open_warehouse(settings)
        # what a graver code hides rings the next night
        tell = gravest(codes()) in (0, DataQualityError.exit_code)
        record = all(build.succeeded for build in built[-1:])
        qa = warehouse.inner_schema("qa")

        moment = as_of or _own_moment(settings, requests)

        def judge(conn: "psycopg.Connection") -> Judgement:
            if moment:  # as the loads were: what is fresh then
                at = moment.isoformat()
                conn.execute("select set_config('quotemill.as_of', %s, true)", (at,))
            return findings.judge(conn, qa, record=record, tell=tell)

        judged = warehouse.ask(judge)
    except QuotemillError as error:
        code = gravest(codes(error.exit_code))
        runlog.write_error(error)
        return RunResult(tuple(loads), code, tuple(built), error=str(error), hint=error.hint)
    ringing = judged.ringing > settings.finding_limit
    runlog.write("error" if ringing else "info", f"findings: {judged}")
    code = gravest(codes(DataQualityError.exit_code if ringing else 0))
    return RunResult(tuple(loads), code, tuple(built), judged)


def _own_moment(settings: Settings, requests: Sequence[LoadRequest]) -> datetime | None:
    """The moment by the clock of the only source: a sandbox's may stand in the past. None where nobody tells."""
    if len(requests) != 1:
        return None
    try:
        return sources.find(requests[0].source).now(settings)
    except QuotemillError:
        return None


def _parts(
    settings: Settings,
    request: LoadRequest,
    as_of: datetime | None,
    loads: list[LoadResult],
    report: Callable[[str], None],
) -> Sequence[LoadRequest]:
    """The loads that a source makes of a request; none, and a result that says so, where none is due or
    nobody can tell."""
    try:
        return sources.find(request.source).parts(settings, request, as_of)
    except NotDue as why:
        report(f"{request.source}: {why}")
        loads.append(not_due(request.source, why))
    except QuotemillError as error:  # it keeps no other source from being loaded
        report(f"{request.source}: {error}" + (f" ({error.hint})" if error.hint else ""))
        runlog.write_error(error, request.source)
        loads.append(stopped(request.source, error))
    return ()
