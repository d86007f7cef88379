"""The night's work: load every configured source, build what the loads touched, judge the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loaders.engine.load import LoadResult
from loaders.engine.request import LoadRequest
from loaders.errors import DataQualityError, QuotemillError, gravest
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration import build as builds
from orchestration import findings
from orchestration.build import BuildResult
from orchestration.findings import Judgement


@dataclass(frozen=True)
class RunResult:
    """`judgement` is None where nothing was built or judged; `error` tells why where that is wrong."""

    loads: tuple[LoadResult, ...]
    exit_code: int
    build: BuildResult | None = None
    judgement: Judgement | None = None
    error: str | None = None
    hint: str = ""

    @property
    def findings(self) -> dict[str, int]:
        """Rows of qa.findings by severity."""
        return self.judgement.counts if self.judgement else {}

    def as_json(self) -> dict[str, Any]:
        judged = self.judgement or Judgement()
        # a script looks in one place for why a run failed
        failed = (x for x in self.loads if x.error and x.exit_code == self.exit_code)
        why = self if self.error else next(failed, self)
        return {
            "loads": [load.as_json() for load in self.loads],
            "build": self.build and self.build.as_json(),
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
) -> RunResult:
    """Load ▶ build ▶ judge. A source that fails does not keep the others from being built."""
    loads: list[LoadResult] = []
    for request in requests:
        loads.append(load(request))
        if loads[-1].status == "cancelled":
            break
    done = tuple(loads)
    codes = [load.exit_code for load in loads]
    # whoever stops a load wants no build of it now, and where no load began there is nothing to build
    if loads[-1].status == "cancelled" or all(x.job_id is None and x.exit_code for x in loads):
        return RunResult(done, gravest(codes))
    built: BuildResult | None = None
    try:
        warehouse = open_warehouse(settings)
        built = builds.build(settings, warehouse, report, only_touched=True)
        if built:
            codes.append(built.exit_code)
        # what a graver code hides rings the next night
        tell = gravest(codes) in (0, DataQualityError.exit_code)
        record = built is None or built.succeeded
        qa = warehouse.inner_schema("qa")
        judged = warehouse.ask(lambda conn: findings.judge(conn, qa, record=record, tell=tell))
        if judged.ringing > settings.finding_limit:
            codes.append(DataQualityError.exit_code)
    except QuotemillError as error:
        code = gravest([*codes, error.exit_code])
        return RunResult(done, code, built, error=str(error), hint=error.hint)
    return RunResult(done, gravest(codes), built, judged)
