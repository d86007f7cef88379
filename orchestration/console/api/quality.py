"""The quality of the data: freshness, findings and their acknowledgement, alerts, the report."""

from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from loaders.engine.failed_keys import FailedKey
from loaders.settings import Settings
from orchestration.checks import findings as wrong
from orchestration.checks.place import Place
from orchestration.console.api.answers import Answer, Call, CheckAnswer
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.report import gather, page
from orchestration.run.findings import Finding
from quotemill.errors import UsageError

Severity = Literal["error", "warning", "info"]
State = Literal["new", "standing", "acknowledged"]
MOST = 2000  # findings of one answer


class FreshnessRow(Answer):
    """A dataset with its last loaded day and its expected day."""

    source: str
    dataset: str
    last_date: date | None
    expected_date: date | None
    is_stale: bool


class Freshness(Answer):
    freshness: list[FreshnessRow]


class Findings(Answer):
    """`counts` covers all matches, `findings` has at most `limit` of them.

    `checks` has these findings and failed keys as checks.
    """

    counts: dict[str, int]
    new: dict[str, int]
    acknowledged: dict[str, int]
    findings: list[Finding]
    failed_keys: list[FailedKey]
    checks: list[CheckAnswer]


class AckCall(Call):
    """Findings to acknowledge, and the reason.

    `names` are finding numbers, keys, checks or failed keys (`kline_daily sh600000`).
    """

    names: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=500),
    ]
    reason: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
    severity: Severity | None = None


class Acknowledged(Answer):
    acknowledged: int


class AlertRow(CheckAnswer):
    """An alert with its check, cause, start, and whether it was sent.

    `message` and `command` are older names of `sentence` and `fix`.
    """

    cause: str
    severity: str
    message: str
    command: str
    first_at: datetime
    last_at: datetime
    count: int
    channels: list[str]
    told_at: datetime | None
    recovered_at: datetime | None


class Alerts(Answer):
    alerts: list[AlertRow]


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["quality"])

    @router.get("/freshness")
    def read_freshness() -> Freshness:
        """Show how current each dataset is: `quotemill status`."""
        place = Place(console.settings(), console.find_warehouse(), console.now, console.at)
        rows = [FreshnessRow.model_validate(row) for row in place.freshness]
        return Freshness(freshness=rows)

    @router.get("/qa")
    def list_findings(
        severity: Severity | None = None,
        state: Annotated[list[State] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 500,
    ) -> Findings:
        """List data-quality findings, most severe first: `quotemill findings`."""
        values: dict[str, Any] = {"states": state} if state else {}
        shown = wrong.read_wrong(
            console.find_warehouse(), severity=severity, as_of=console.at, **values
        )
        counts = shown.counts
        listed = replace(
            shown, findings=shown.findings[:limit], failed_keys=shown.failed_keys[:limit]
        )
        return Findings(
            counts=counts.counts,
            new=counts.new,
            acknowledged=counts.acknowledged,
            findings=listed.findings,
            failed_keys=listed.failed_keys,
            checks=[CheckAnswer(**check.as_json()) for check in listed.checks],
        )

    @router.post("/qa/ack")
    def acknowledge(call: AckCall) -> Acknowledged:
        """Acknowledge findings: `quotemill findings --ack 12 --reason "…"`."""
        if any("\0" in text for text in (*call.names, call.reason)):
            raise UsageError("a text cannot contain NUL characters")
        done = wrong.acknowledge(
            console.open_warehouse(),
            call.names,
            call.reason,
            severity=call.severity,
            as_of=console.at,
        )
        return Acknowledged(acknowledged=done)

    @router.get("/alerts")
    def list_alerts(all: bool = False) -> Alerts:
        """List open alerts, with `all` also resolved ones: `quotemill alerts list`."""
        from orchestration.alerts import check as alerts

        settings: Settings = console.settings()
        entries = alerts.list_entries(settings, console.find_warehouse(), with_resolved=all)
        rows = [
            AlertRow.model_validate(scrub(entry.__dict__ | entry.check.as_json()))
            for entry in entries
        ]
        return Alerts(alerts=rows)

    return router


def report_routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["quality"])

    @router.get("/report", response_class=Response, responses={200: {"content": {"text/html": {}}}})
    def read_report(since: date | None = None) -> Response:
        """Show the current report as one page: `quotemill report --since 2024-01-01`."""
        at = console.at
        if since and since > console.now.date():
            raise UsageError(f"since {since} is in the future", hint="Give a past day.")
        report = gather.gather(console.settings(), console.find_warehouse(), since, at)
        text = page.render(report)
        policy = f"{page.write_policy()}; frame-ancestors 'none'"
        return HTMLResponse(text, headers={"content-security-policy": policy})

    return router
