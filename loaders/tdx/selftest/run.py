"""A run of the self-test: each route is requested once, and each check makes one row.

The row is what the JSON file, the record in schema `ops` and the page of failures have. The
calendar comes first, because many checks need the previous trading day. Every task that a check
starts in the service is cancelled, also after an error or Ctrl-C. Unlike loaders.tdx.client.client
it neither retries nor waits: a self-test shows the present state.
"""

import os
import time
from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from loaders.check import Check
from loaders.engine.check_runs import VERDICTS, Record
from loaders.engine.progress import Reporter
from loaders.files import whole_file
from loaders.requests.http import (
    NoAnswerInTime,
    RetryableAnswer,
    RetryPolicy,
    http_client,
    rate_limit,
    retrying,
    send,
)
from loaders.settings import Settings
from loaders.tdx.selftest.checks import CHECKS, WRONG_SHAPE, NotPassed, Route
from loaders.tdx.selftest.conditions import CALENDAR, PULL_KLINE, PULL_TRADE, Facts
from loaders.trading_time import SHANGHAI
from quotemill.errors import UpstreamError

if TYPE_CHECKING:
    import httpx

SCHEMA_VERSION = 1
RESULTS, REPORT = "tdx_api_test_results.json", "tdx_api_failure_report.md"
SHOWN_BYTES = 300  # shown from the body of an answer that failed
ENDED = "任务不存在或已结束"
# fields of a row that have their own column in ops.testing_logs, or repeat one
_OWN_COLUMN = {"no", "status", "elapsed_ms", "reason", *Check("", "").as_json()}


@dataclass(frozen=True)
class Options:
    """Options of a self-test.

    timeout_s: seconds that a check may take.
    bulk_timeout_s: the same for checks with much data.
    verbose: print each check when it is done.
    """

    timeout_s: float = 10.0
    bulk_timeout_s: float = 30.0
    verbose: bool = False


async def run(
    settings: Settings,
    options: Options,
    as_of: datetime,
    clock: Callable[[], datetime],
    reporter: Reporter,
) -> dict[str, Any]:
    """Make all checks; return the JSON file's content, times in exchange time.

    as_of: gives today's date if the service's calendar does not.

    Raises SettingsError if no service is configured. The service's faults are in the results.
    """
    base_url, transport, routes = settings.tdx.require_service(), None, None
    if settings.tdx.servers:
        from loaders.tdx.servers.transport import ROUTES, QuoteTransport

        transport, routes = QuoteTransport(settings.tdx, lambda: as_of), ROUTES.keys()
    started_at = clock()
    async with http_client(base_url, connections=2, transport=transport) as client:
        test = _SelfTest(
            client,
            rate_limit(settings.tdx.requests_per_second),
            RetryPolicy(2, settings.tdx.backoff),
            options,
            Facts(as_of.astimezone(SHANGHAI).date()),
            routes,
        )
        reporter.start("selftest", len(CHECKS))
        try:
            rows = await test.make_all(reporter)
        except BaseException:  # above all Ctrl-C
            for end in await test.cancel_all():
                reporter.line(f"task {end['kind']} {end['id']}: {end['end']}")
            raise
        tasks = await test.cancel_all()
    finished_at, counts = clock(), Counter(row["status"] for row in rows)
    is_away = not counts["passed"] and all(_is_away(row) for row in rows if row["error"])
    status = "passed" if not counts["failed"] else "error" if is_away else "failed"
    return {
        "schema_version": SCHEMA_VERSION,
        "started_at": started_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "finished_at": finished_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "duration_ms": round((finished_at - started_at).total_seconds() * 1000),
        "base_url": settings.tdx.address or base_url,  # without a password
        "options": asdict(options),
        "reference_trading_day": test.facts.day.isoformat() if test.facts.day else None,
        "summary": {
            "total": len(rows),
            **{name: counts[name] for name in ("passed", "failed", "skipped")},
            "pass_rate": round(counts["passed"] / len(rows), 4),
        },
        "status": status,
        "tasks": tasks,
        "results": [row | _judge(row).as_json() for row in rows],
    }


def record(shown: Mapping[str, Any], schedule: str | None) -> Record:
    """The record of a self-test for schema `ops`."""
    started_at = datetime.fromisoformat(shown["started_at"])
    return Record(
        source="tdx",
        kind="selftest",
        status=shown["status"],
        started_at=started_at,
        finished_at=started_at + timedelta(milliseconds=shown["duration_ms"]),
        base_url=shown["base_url"],
        checks=[_judge(row) for row in shown["results"]],
        options=shown["options"],
        detail={name: shown[name] for name in ("reference_trading_day", "tasks")},
        schedule=schedule,
    )


def _judge(row: Mapping[str, Any]) -> Check:
    """The verdict of a row; its other fields are the figures."""
    return Check(
        row["name"],
        VERDICTS[row["status"]],
        row["reason"] or "",
        elapsed_ms=row["elapsed_ms"] if row["attempts"] else None,
        figures={k: v for k, v in row.items() if k not in _OWN_COLUMN and v not in (None, {})},
    )


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing, and create its folder. Raises SettingsError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with whole_file.explain_unwritable(path, hint="Choose other files with --output and --report."):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@dataclass
class _SelfTest:
    """State of one run.

    routes: those that there are; None for all
    ends: how each task ended, by its check
    """

    client: "httpx.AsyncClient"
    rate: AbstractAsyncContextManager[None]
    policy: RetryPolicy
    options: Options
    facts: Facts
    routes: Collection[str] | None
    ends: dict[str, str] = field(default_factory=dict)

    async def make_all(self, reporter: Reporter) -> list[dict[str, Any]]:
        """Rows of all checks, in the order of their numbers."""
        rows: list[dict[str, Any]] = []
        for check in sorted(CHECKS, key=lambda check: check.name != CALENDAR):
            # two attempts are enough to call the service unreachable
            away = len(rows) > 1 and all(map(_is_away, rows[:2]))
            why = (
                "cannot connect to a service at this address"
                if away
                else self.facts.missing(check.needs)
            )
            if self.routes is not None and check.route not in self.routes:
                why = "not available from quote servers"
            rows.append(await self._make(check, why))
            reporter.advance("selftest", 1)
            if self.options.verbose:
                reporter.line(str(_judge(rows[-1])))
        return sorted(rows, key=lambda row: row["no"])

    async def _make(self, check: Route, skipped: str | None) -> dict[str, Any]:
        """Make one check, from its request to its verdict."""
        row = {
            "no": check.no,
            "name": check.name,
            "method": check.method,
            "path": check.path(self.facts),
            "params": check.params(self.facts),
            "bulk": check.bulk,
            "status": "skipped" if skipped else "passed",
            "http_status": None,
            "service_code": None,
            "service_message": None,
            "contract": None,
            "rows": None,
            "elapsed_ms": 0,
            "attempts": 0 if skipped else 1,
            "error": None,
            "reason": skipped,
            "evidence": {},
        }
        if skipped:
            return row
        limit = self.options.bulk_timeout_s if check.bulk else self.options.timeout_s
        try:
            data = await self._request(check, row, limit)
            row["contract"], check_of_build = check.spoken(data)
            row["rows"] = check_of_build.judge(data, self.facts)
            row["evidence"] = {}
            if check is CHECKS[-1]:
                row["evidence"] = {"end": await self._cancel(PULL_TRADE)}
        except NotPassed as failure:
            error = {"kind": failure.kind, "detail": str(failure)}
            row |= {"status": "failed", "error": error, "reason": str(failure)}
        return row

    async def _request(self, check: Route, row: dict[str, Any], limit: float) -> Any:
        """Send a check's request and learn from its answer. Raises NotPassed."""
        starts = check.name in (PULL_KLINE, PULL_TRADE)
        try:
            data = await ask(self.client, self.rate, row, limit)
        except (NotPassed, CancelledError) as failure:
            if starts and getattr(failure, "kind", "") != "envelope":
                self.facts.tasks[check.name] = ""
            raise
        with suppress(*WRONG_SHAPE):
            self.facts.learn(check.name, data)
        return data

    async def _cancel(self, name: str) -> str:
        """Cancel the task of a check, return its end. Raises NotPassed if it may still run."""
        task_id = self.facts.tasks[name]
        row = {"method": "POST", "path": f"/api/tasks/{task_id}/cancel", "params": {}}
        try:
            data = await ask(self.client, self.rate, row, self.options.timeout_s)
        except NotPassed:
            if row.get("service_message") != ENDED:
                raise
            self.ends[name] = "ended by itself"
        else:
            wanted = {"status": "cancelled", "task_id": task_id}
            if not isinstance(data, dict) or not wanted.items() <= data.items():
                raise NotPassed(
                    "assertion", f"expected {wanted} from the cancel, got {data!r:.100}"
                )
            self.ends[name] = "cancelled"
        return self.ends[name]

    async def cancel_all(self) -> list[dict[str, str]]:
        """Cancel all running tasks, with retries; return kind, id and end of each."""
        for name, task_id in self.facts.tasks.items():
            if name in self.ends:
                continue
            if not task_id:
                self.ends[name] = "may still be running: no response to its start"
                continue
            try:
                await retrying(self.policy, partial(self._cancel, name))
            except RetryableAnswer as failure:
                self.ends[name] = f"may still be running: {failure}"
        return [
            {"kind": name.removeprefix("task_"), "id": task_id, "end": self.ends[name]}
            for name, task_id in self.facts.tasks.items()
        ]


async def ask(
    client: "httpx.AsyncClient",
    rate: AbstractAsyncContextManager[None],
    row: dict[str, Any],
    limit: float,
) -> Any:
    """Send the request of a row and return the answer's data. Raises NotPassed.

    row: method, path, params; gets what is known of the answer, also after a failure.
    """
    async with rate:
        began = time.monotonic()
    try:
        subject = None if row["method"] == "GET" else ""
        response = await send(
            client, row["method"], row["path"], row["params"], limit=limit, subject=subject
        )
    except NoAnswerInTime:
        raise NotPassed("timeout", f"no complete response within {limit:g} s") from None
    except UpstreamError as error:
        raise NotPassed("connection", error.with_hint) from None
    finally:
        row["elapsed_ms"] = round((time.monotonic() - began) * 1000)
    row["http_status"] = response.status_code
    row["evidence"] = {"body_start": response.content[:SHOWN_BYTES].decode("utf-8", "replace")}
    if response.status_code != 200:
        raise NotPassed("http", f"HTTP {response.status_code}")
    if not response.content:
        raise NotPassed("json", "HTTP 200 with an empty body")
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise NotPassed("json", f"not JSON: {error}") from None
    return document if row["path"] == "/api/health" else _open_envelope(document, row)


def _open_envelope(document: Any, row: dict[str, Any]) -> Any:
    if type(document) is not dict or type(document.get("code")) is not int:
        raise NotPassed("envelope", "no object with a `code`")
    message = document.get("message")
    row["service_code"] = document["code"]
    row["service_message"] = message if type(message) is str else None
    if document["code"] != 0:
        raise NotPassed("envelope", f"code {document['code']}: {row['service_message'] or ''}")
    if "data" not in document:
        raise NotPassed("envelope", "`data` is missing")
    return document["data"]


def _is_away(row: Mapping[str, Any]) -> bool:
    """Whether the service could not be reached."""
    return row["error"] is not None and row["error"]["kind"] == "connection"
