"""The page about the failures of a self-test or a verification, from its document or its record."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

TITLES = {"selftest": "self-test", "verify": "verification"}
# what a check of the record may lack
_ABSENT: Mapping[str, Any] = {
    "params": {},
    "error": None,
    "evidence": {},
    "http_status": None,
    "service_code": None,
    "elapsed_ms": None,
    "method": None,
}


def describe_record(run: Mapping[str, Any], checks: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The document of a recorded run: rows of ops.testing_runs and ops.testing_logs."""
    seconds = (run["finished_at"] - run["started_at"]).total_seconds() if run["finished_at"] else 0
    return {
        **run,
        "duration_ms": round(seconds * 1000),
        "reference_trading_day": run["detail"].get("reference_trading_day"),
        "tasks": run["detail"].get("tasks", []),
        "summary": {name: run[name] for name in ("total", "passed", "failed", "skipped")},
        "results": [_describe_check(check) for check in checks],
    }


def _describe_check(check: Mapping[str, Any]) -> dict[str, Any]:
    evidence = dict(check["evidence"])
    own = {name: check[name] for name in ("no", "name", "status", "elapsed_ms", "reason")}
    # a self-test has the fields of its document there, a verification its figures
    fields = evidence if "path" in evidence else {"evidence": evidence}
    return {**_ABSENT, **fields, **own}


def failure_page(shown: Mapping[str, Any], source: str, kind: str = "selftest") -> str:
    """The failures of a run as Markdown, with a section for each failed check."""
    summary = shown["summary"]
    lines = [
        f"# {source.upper()} {TITLES[kind]}: what failed",
        "",
        f"{shown['base_url']}, {shown['started_at']}, {shown['duration_ms'] / 1000:.1f} s. "
        f"{summary['total']} checks: {summary['passed']} passed, {summary['failed']} failed, "
        f"{summary['skipped']} skipped. Previous trading day "
        f"{shown['reference_trading_day'] or 'unknown'}.",
        "",
    ]
    failed = [row for row in shown["results"] if row["status"] == "failed"]
    if not failed:
        lines += ["No check failed.", ""]
    for row in failed:
        lines += _section(row)
    skipped = [row for row in shown["results"] if row["status"] == "skipped"]
    if skipped:
        notes = [f"- {row['no']} {row['name']}: {row['reason']}" for row in skipped]
        lines += ["## Skipped", "", *notes, ""]
    left = [task for task in shown["tasks"] if may_run(task)]
    if left:
        lines += ["## Tasks that may still be running", ""]
        lines += [f"- {task['kind']} {task['id']}: {task['end']}" for task in left] + [""]
    return "\n".join(lines)


def may_run(task: Mapping[str, str]) -> bool:
    """Whether a task of the self-test may still run."""
    return task["end"].startswith("may")


def _section(row: Mapping[str, Any]) -> list[str]:
    if row["error"] is None:
        figures = json.dumps(row["evidence"], ensure_ascii=False, default=str)
        shown = ["", *_fenced(figures)] if row["evidence"] else []
        return [f"## {row['no']} {row['name']}", "", f"- message: {row['reason']}", *shown, ""]
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
        *(["First 300 bytes of the body:", "", *_fenced(body)] if body else ["Empty body."]),
        "",
    ]


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
