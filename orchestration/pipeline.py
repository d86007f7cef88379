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
from orchestration.build import BuildResult
from orchestration.status import count_findings


@dataclass(frozen=True)
class RunResult:
    """`findings` counts the rows of qa.findings by severity after the build."""

    loads: tuple[LoadResult, ...]
    build: BuildResult | None
    findings: dict[str, int]
    exit_code: int

    def as_json(self) -> dict[str, Any]:
        return {
            "loads": [load.as_json() for load in self.loads],
            "build": self.build and self.build.as_json(),
            "findings": self.findings,
            "exit_code": self.exit_code,
        }


def run(
    settings: Settings,
    requests: Sequence[LoadRequest],
    load: Callable[[LoadRequest], LoadResult],
    report: Callable[[str], None],
) -> RunResult:
    """Load ▶ build ▶ judge. A source that fails does not keep the others from being built."""
    loads, errors = [], []
    for request in requests:
        try:
            loads.append(load(request))
        except QuotemillError as error:
            report(f"{request.source}: {error}" + (f" ({error.hint})" if error.hint else ""))
            errors.append(error)
        if loads and loads[-1].status == "cancelled":
            break
    if errors and not loads:
        raise errors[0]
    if loads[-1].status == "cancelled":  # whoever stops a load wants no build of it now
        return RunResult(tuple(loads), None, {}, loads[-1].exit_code)
    warehouse = open_warehouse(settings)
    built = builds.build(settings, warehouse, report, only_touched=True)
    with warehouse.connect() as conn:
        findings = count_findings(conn)
    codes = [error.exit_code for error in errors] + [load.exit_code for load in loads]
    if built:
        codes.append(built.exit_code)
    if findings.get("error", 0) > settings.finding_limit:
        codes.append(DataQualityError.exit_code)
    return RunResult(tuple(loads), built, findings, gravest(codes))
