"""Results of a self-test: a JSON file, and a page about the failures."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from loaders import atomic_file
from loaders.engine.check import Check
from loaders.engine.test_runs import Record
from loaders.tdx.selftest.runner import Result, Run
from loaders.trading_time import SHANGHAI

SCHEMA_VERSION = 1
RESULTS, REPORT = "tdx_api_test_results.json", "tdx_api_failure_report.md"


def document(run: Run) -> dict[str, Any]:
    """Content of the JSON file; times in exchange time, durations in milliseconds."""
    total, passed = len(run.results), run.count("passed")
    return {
        "schema_version": SCHEMA_VERSION,
        "started_at": run.started_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "finished_at": run.finished_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "duration_ms": round((run.finished_at - run.started_at).total_seconds() * 1000),
        "base_url": run.base_url,
        "options": {
            "timeout_s": run.options.timeout,
            "bulk_timeout_s": run.options.bulk_timeout,
            "verbose": run.options.verbose,
        },
        "reference_trading_day": run.day.isoformat() if run.day else None,
        "summary": {
            "total": total,
            "passed": passed,
            "failed": run.count("failed"),
            "skipped": run.count("skipped"),
            "pass_rate": round(passed / total, 4),
        },
        "status": run.status,
        "fingerprint": run.fingerprint,
        "tasks": list(run.tasks),
        "results": [_row(result) for result in run.results],
    }


def as_text(shown: Mapping[str, Any]) -> str:
    """Text of the JSON file."""
    return json.dumps(shown, ensure_ascii=False, indent=2) + "\n"


def record(shown: Mapping[str, Any], run: Run, schedule: str | None) -> Record:
    """The record of a self-test for schema `ops`."""
    checks = [
        Check(
            row["name"],
            result.state,
            row["reason"] or "",
            elapsed_ms=row["elapsed_ms"] if row["attempts"] else None,
            figures={
                k: v for k, v in row.items() if k not in _OWN_COLUMN and v not in (None, [], {})
            },
        )
        for row, result in zip(shown["results"], run.results, strict=True)
    ]
    return Record(
        source="tdx",
        kind="selftest",
        status=run.status,
        started_at=run.started_at,
        finished_at=run.finished_at,
        base_url=run.base_url,
        checks=checks,
        fingerprint=run.fingerprint,
        options=shown["options"],
        detail={name: shown[name] for name in ("reference_trading_day", "tasks")},
        schedule=schedule,
    )


# fields of a result that have their own column in ops.testing_logs
_OWN_COLUMN = ("no", "name", "status", "elapsed_ms", "reason")


def _row(result: Result) -> dict[str, Any]:
    check, answer, observation, failure = (
        result.check,
        result.answer,
        result.observation,
        result.failure,
    )
    return {
        "no": check.no,
        "name": check.name,
        "method": check.method,
        "path": result.path,
        "params": result.params,
        "bulk": check.bulk,
        "status": result.status,
        "http_status": answer.http_status,
        "service_code": answer.service_code,
        "service_message": answer.service_message,
        "rows": observation.rows,
        "elapsed_ms": answer.elapsed_ms,
        "attempts": 0 if result.skipped else 1,
        "warnings": list(observation.warnings),
        "error": {"kind": failure.kind, "detail": failure.detail} if failure else None,
        "reason": result.reason,
        "evidence": dict(result.evidence),
        "shape": result.shape,
    }


def failure_page(shown: Mapping[str, Any]) -> str:
    """The failures in a JSON file as Markdown, with a section for each failed check."""
    summary = shown["summary"]
    lines = [
        "# TDX self-test: what failed",
        "",
        f"{shown['base_url']}, {shown['started_at']}, {shown['duration_ms'] / 1000:.1f} s. "
        f"{summary['total']} checks: {summary['passed']} passed, {summary['failed']} failed, "
        f"{summary['skipped']} skipped. Fingerprint `{shown['fingerprint']}`, previous trading day "
        f"{shown['reference_trading_day'] or 'unknown'}.",
        "",
    ]
    failed = [row for row in shown["results"] if row["status"] == "failed"]
    if not failed:
        lines += ["Nothing failed.", ""]
    for row in failed:
        lines += _section(row)
    for status, title in (("skipped", "Skipped"), ("warned", "Warnings")):
        notes = _notes(shown["results"], status)
        if notes:
            lines += [f"## {title}", "", *notes, ""]
    left = [task for task in shown["tasks"] if may_run(task)]
    if left:
        lines += ["## Tasks that may still run", ""]
        lines += [f"- {task['kind']} {task['id']}: {task['end']}" for task in left] + [""]
    return "\n".join(lines)


def may_run(task: Mapping[str, str]) -> bool:
    """Whether a task of the self-test may still run."""
    return task["end"].startswith("may")


def _section(row: Mapping[str, Any]) -> list[str]:
    body = row["evidence"].get("body_start")
    status, code = ("none" if row[n] is None else row[n] for n in ("http_status", "service_code"))
    return [
        f"## {row['no']} {row['name']}",
        "",
        f"- request: `{_request(row)}`",
        f"- failed as: {row['error']['kind']}, after {row['elapsed_ms']:,} ms",
        f"- message: {row['error']['detail']}",
        f"- HTTP status {status}, code {code}",
        "",
        *(["First 300 bytes of the body:", "", *_fenced(body)] if body else ["No body came."]),
        "",
    ]


def _notes(rows: list[Mapping[str, Any]], status: str) -> list[str]:
    if status == "skipped":
        notes = [(row, row["reason"]) for row in rows if row["status"] == "skipped"]
    else:
        notes = [(row, text) for row in rows for text in row["warnings"]]
    return [f"- {row['no']} {row['name']}: {text}" for row, text in notes]


def _request(row: Mapping[str, Any]) -> str:
    if row["method"] == "GET":
        query = urlencode(row["params"], safe=",")
        return f"GET {row['path']}" + (f"?{query}" if query else "")
    return f"{row['method']} {row['path']} {json.dumps(row['params'])}"


def _fenced(text: str) -> list[str]:
    # a fence longer than any run of back-ticks inside
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence, text.rstrip("\n"), fence]


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing, and create its folder. Raises SettingsError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with atomic_file.explain_unwritable(path, hint="--output and --report choose other places"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
