"""Pages of what is wrong: findings, sources with their self-tests."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from loaders import sources
from loaders.engine import check_runs, job_list
from orchestration.checks import findings as wrong
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.run import findings
from orchestration.run.findings import Finding, Judgement
from quotemill.codes import read_code
from quotemill.errors import UsageError

SHOWN = 30
MOST = 500  # findings on a page
_SHARE = re.compile(r"\b(?:sh|sz|bj)[0-9]{6}\b")
_VARIETY = re.compile(r"\b(?:CFFEX|CZCE|DCE|GFEX|INE|SHFE)\.[A-Za-z]+")


def gather_findings(
    console: Console,
    severity: str = "",
    state: str = "",
    text: str = "",
    code: str = "",
    dataset: str = "",
) -> Mapping[str, Any]:
    """Findings and failed keys that match a filter; unknown words filter nothing.

    A finding is of a code and of a dataset that its subject or evidence names.
    """
    known = severity if severity in findings.SEVERITIES else None
    states = (state,) if state in findings.STATES else findings.STATES
    shown = wrong.read_wrong(
        console.find_warehouse(), severity=known, states=states, as_of=console.at
    )
    sought, about = text.strip().lower(), _write_code(code)
    matching = [
        f
        for f in shown.findings
        if sought in f"{f.check_name} {f.subject}".lower()
        and about in f"{f.subject} {f.evidence}".lower()
        and (not dataset or dataset in re.findall(r"\w+", f"{f.subject} {f.evidence}"))
    ]
    failed = [
        f
        for f in shown.failed_keys
        if sought in f"{f.dataset} {f.key}".lower()
        and about in f"{f.key} {f.reason}".lower()
        and dataset in ("", f.dataset)
    ]
    is_of_failed = known is None and state not in ("new", "standing")
    return {
        "counts": str(replace(shown, findings=matching).counts),
        "findings": [(f, find_chart(f)) for f in matching[:MOST]],
        "more": max(0, len(matching) - MOST),
        "failed_keys": failed[:MOST] if is_of_failed else [],
        "severity": known,
        "state": state,
        "text": text,
        "code": code,
        "dataset": dataset,
        "datasets": console.read_any(job_list.list_datasets) or [],
        "is_checked": shown.is_checked,
        "severities": findings.SEVERITIES,
        "states": findings.STATES,
    }


def gather_new(console: Console) -> Mapping[str, Any]:
    """The counts of findings that are new and need attention; empty where there are none.

    The first page comes without them: they take long to read over a large warehouse.
    """
    shown = wrong.read_wrong(console.find_warehouse(), states=("new",), as_of=console.at)
    needing = [f for f in shown.findings if f.severity != "info"]
    counts = str(Judgement(findings.tally(needing).counts)) if needing else ""
    return {"counts": counts, "is_checked": shown.is_checked}


def _write_code(text: str) -> str:
    """A code in the form of subjects and keys; any other text is sought as it is."""
    try:
        return read_code(text)
    except UsageError:
        return text.strip().lower()


def find_chart(finding: Finding) -> str | None:
    """The address of the prices about a finding, up to its day if it has one; None without a code.

    A finding of many codes names one in its evidence.
    """
    text = f"{finding.subject} {finding.evidence}"
    end = {"end": finding.trade_date} if finding.trade_date else {}
    if share := _SHARE.search(text):
        return f"/prices?{urlencode({'code': share[0], **end})}"
    if variety := _VARIETY.search(text):
        return f"/prices/futures?{urlencode({'variety': variety[0], **end})}"
    return None


def gather_sources(console: Console) -> Mapping[str, Any]:
    """Each source, and the recorded self-tests."""
    settings = console.settings()
    runs = console.read_any(lambda conn: check_runs.list_runs(conn, SHOWN)) or []
    newest = (
        console.read(lambda conn: check_runs.read_run(conn, runs[0]["run_id"])) if runs else None
    )
    checks = [scrub(check) for check in newest[1]] if newest else []
    shown = []
    for name in sources.MODULES:
        known = sources.find_operations(name)
        is_tested = any(" selftest " in f"{job.command} " for job in known.jobs.values())
        shown.append(
            {
                "name": name,
                "missing": known.missing(settings),
                "has_selftest": is_tested,
                "is_verified": known.has_verify,
            }
        )
    return {"sources": shown, "runs": runs, "checks": checks}
