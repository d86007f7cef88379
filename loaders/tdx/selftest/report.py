"""Results of a self-test as a JSON file, and its record."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loaders.engine.check import Check
from loaders.engine.test_runs import Record
from loaders.files import whole_file
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


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing, and create its folder. Raises SettingsError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with whole_file.explain_unwritable(path, hint="--output and --report choose other places"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
