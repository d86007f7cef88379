"""Self-tests of a source and verifications of what was loaded: start, list, results, schedule."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from loaders import sources
from loaders.engine import check_report, check_runs
from orchestration.console.api.answers import Answer, Call, CheckAnswer, Limit, StartedAnswer
from orchestration.console.api.ingestion import Word
from orchestration.console.api.schedules import (
    ScheduleCall,
    SchedulesAnswer,
    change,
    describe_schedules,
)
from orchestration.console.context import Console
from orchestration.console.errors import NotThere, scrub
from orchestration.console.starting import add_options, find_options
from quotemill.errors import UsageError

KINDS = ("selftest", "verify")
RunNumber = Annotated[int, Path(ge=1, lt=2**63, description="run number")]


class TestCall(Call):
    """A self-test of the service, or a verification of loaded data.

    bulk_timeout: for a self-test, the most seconds that a bulk route may take
    sample: for a verification, the number of securities
    """

    source: Word
    kind: Literal["selftest", "verify"] = "selftest"
    bulk_timeout: Annotated[float, Field(ge=0.1, le=3600)] | None = None
    sample: Annotated[int, Field(ge=1, le=1000)] | None = None


class TestRun(Answer):
    """A recorded run. Times are in UTC."""

    run_id: int
    source: str
    kind: str
    schedule: str | None
    started_at: datetime
    finished_at: datetime | None
    base_url: str | None
    status: str
    total: int
    passed: int
    failed: int
    skipped: int


class TestCheck(CheckAnswer):
    """One check by its number, with the older names passed, failed and skipped, and the reason."""

    no: int
    status: str
    reason: str | None
    evidence: dict[str, Any]


class TestResults(Answer):
    run: TestRun
    checks: list[TestCheck]


class TestRuns(Answer):
    runs: list[TestRun]


def routes(console: Console) -> APIRouter:
    router = APIRouter(prefix="/testing", tags=["self-test"])

    @router.post("/run", status_code=202)
    def start_test(call: TestCall) -> StartedAnswer:
        """Start a self-test or a verification: `loaders selftest tdx`, `loaders verify tdx`."""
        sources.find(call.source)
        wrong = "sample" if call.kind == "selftest" else "bulk_timeout"
        if getattr(call, wrong) is not None:
            raise UsageError(f"{wrong} does not apply to {call.kind}")
        text = f"loaders {call.kind} {call.source}"
        known = find_options(text) or ""
        words = [*text.split(), *_list_options(call)]
        started = console.commands.start(
            add_options(console, words, known), "POST /api/testing/run"
        )
        return StartedAnswer(run_id=started.run_id, command=started.text)

    @router.get("/runs")
    def list_runs(limit: Limit = 20) -> TestRuns:
        """List the last runs, as in table ops.testing_runs."""
        listed = console.read_any(lambda conn: check_runs.list_runs(conn, limit)) or []
        return TestRuns(runs=[TestRun(**scrub_run(run)) for run in listed])

    @router.get("/runs/{run_id}/results")
    def read_results(run_id: RunNumber) -> TestResults:
        """Show a run with all its checks, as `loaders selftest tdx --json` prints them."""
        run, checks = read_run(console, run_id)
        return TestResults(
            run=TestRun(**scrub_run(run)),
            checks=[TestCheck(**scrub(check)) for check in checks],
        )

    @router.get(
        "/runs/{run_id}/report",
        response_class=Response,
        responses={200: {"content": {"text/markdown": {}}}},
    )
    def read_report(run_id: RunNumber) -> Response:
        """Show its failure report as Markdown, as with `loaders selftest tdx --report`."""
        run, checks = read_run(console, run_id)
        shown = check_report.describe_record(
            scrub_run(run) | {"detail": scrub(run["detail"])}, [scrub(check) for check in checks]
        )
        text = check_report.failure_page(shown, run["source"], run["kind"])
        named = {"content-disposition": f'attachment; filename="{run["kind"]}-{run_id}.md"'}
        return PlainTextResponse(text, headers=named, media_type="text/markdown")

    @router.get(
        "/runs/{run_id}/log",
        response_class=Response,
        responses={200: {"content": {"application/x-ndjson": {}}}},
    )
    def read_log(run_id: RunNumber) -> Response:
        """Show its checks as JSON lines, as in table ops.testing_logs."""
        _, checks = read_run(console, run_id)
        lines = [json.dumps(scrub(check), ensure_ascii=False) + "\n" for check in checks]
        named = {"content-disposition": f'attachment; filename="test-{run_id}.jsonl"'}
        return Response("".join(lines), media_type="application/x-ndjson", headers=named)

    @router.get("/schedule")
    def read_schedule() -> SchedulesAnswer:
        """List the jobs that test and verify: `quotemill schedule list`."""
        return _only_tests(describe_schedules(console))

    @router.put("/schedule")
    def change_schedule(call: ScheduleCall) -> SchedulesAnswer:
        """Change when a self-test starts, as with PUT /api/schedules."""
        if call.job not in [job.job for job in _only_tests(describe_schedules(console)).jobs]:
            raise UsageError(
                f"{call.job} is not a self-test job",
                hint="List them with GET /api/testing/schedule.",
            )
        return _only_tests(describe_schedules(console, change(console, call)))

    return router


def read_run(console: Console, run_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A recorded run and its checks. Raises NotThere."""
    recorded = console.read_any(lambda conn: check_runs.read_run(conn, run_id))
    if recorded is None:
        raise NotThere(
            f"there is no test run {run_id}", hint="List them with GET /api/testing/runs."
        )
    return recorded


def scrub_run(run: dict[str, Any]) -> dict[str, Any]:
    """A run without secrets; its times stay times."""
    return {n: v if isinstance(v, datetime) else scrub(v) for n, v in run.items()}


def _list_options(call: TestCall) -> list[str]:
    options = {"bulk-timeout": call.bulk_timeout, "sample": call.sample}
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


def _only_tests(shown: SchedulesAnswer) -> SchedulesAnswer:
    jobs = [job for job in shown.jobs if any(f" {kind} " in f"{job.command} " for kind in KINDS)]
    return shown.model_copy(update={"jobs": jobs})
