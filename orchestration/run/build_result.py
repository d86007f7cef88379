"""The result of a build, from what dbt says of its models and tests."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from orchestration.run.build_record import FIGURES
from quotemill.errors import DataQualityError, QuotemillError
from quotemill.warehouse.postgres import Warehouse

_GROUP = "warehouse"  # of every model of ours (dbt_project.yml)


@dataclass(frozen=True)
class Finding:
    """A test or model that did not pass: `status` is warn, fail or error.

    by_user: a model that is not one of ours
    """

    name: str
    status: str
    message: str
    by_user: bool = False


@dataclass(frozen=True)
class BuildResult:
    """Result of a build.

    `models_built` counts models, seeds and snapshots. `rows_written` sums the rows that they wrote.
    `unbuilt` names those that failed, and those that were skipped for it; `built` the others.
    """

    build_id: int
    succeeded: bool
    command: str
    models_built: int
    rows_written: int
    tests_passed: int
    tests_warned: int
    tests_failed: int
    findings: tuple[Finding, ...]
    seconds: float
    unbuilt: tuple[str, ...] = ()
    built: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        if self.succeeded:
            return 0
        return rate_failures(self.findings)

    @property
    def failures(self) -> str:
        return "; ".join(f"{f.name}: {f.message}" for f in self.findings if f.status != "warn")

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code}


def rate_failures(findings: Iterable[Finding]) -> int:
    """The exit code of a command of dbt that failed with these."""
    failed = [finding for finding in findings if finding.status != "warn"]
    # a test that could not be made says nothing about the data
    is_quality = failed and all(f.status == "fail" or f.by_user for f in failed)
    return DataQualityError.exit_code if is_quality else QuotemillError.exit_code


def summarize(
    warehouse: Warehouse, build_id: int, command: str, outcome: Any, seconds: float
) -> BuildResult:
    """What dbt says of each node, as the result of a build."""
    counts: Counter[str] = Counter()
    names = {"pass": "tests_passed", "warn": "tests_warned"}
    findings, unbuilt, built = [], [], []
    for node in outcome.result:
        status, kind = str(node.status), str(node.node.resource_type)
        if kind in ("model", "seed", "snapshot"):
            if status == "success":
                built.append(node.node.name)
                counts["models_built"] += 1
                rows = int(node.adapter_response.get("rows_affected") or 0)
                counts["rows_written"] += max(0, rows)
            else:
                unbuilt.append(node.node.name)
        elif kind in ("test", "unit_test") and status in ("pass", "warn", "fail", "error"):
            counts[names.get(status, "tests_failed")] += 1
        if is_finding(node):
            finding = read_finding(node)
            test = getattr(node.node, "test_metadata", None)
            describe = _DESCRIBED.get((status, test.name)) if test else None
            if describe:
                finding = replace(finding, message=describe(warehouse, node.node))
            findings.append(finding)
    return BuildResult(
        build_id=build_id,
        succeeded=bool(outcome.success),
        command=command,
        findings=tuple(findings),
        seconds=round(seconds, 2),
        unbuilt=tuple(unbuilt),
        built=tuple(built),
        **{name: counts[name] for name in FIGURES},
    )


def list_nodes(outcome: Any) -> list[Any]:
    """The results of nodes; an operation has one without a node."""
    return [x for x in getattr(outcome.result, "results", ()) if hasattr(x, "node")]


def is_finding(node: Any) -> bool:
    return str(node.status) in ("warn", "fail", "error")


def read_finding(node: Any) -> Finding:
    message = " ".join(str(node.message).split())
    by_user = str(node.node.resource_type) == "model" and node.node.group != _GROUP
    return Finding(node.node.name, str(node.status), message, by_user)


def _count_findings(warehouse: Warehouse, test: Any) -> str:
    """The findings of a test by their check, and the command that lists them."""
    counted = f"select check_name, count(*) from ({test.compiled_code}) as f group by 1 order by 1"
    rows = warehouse.ask(lambda conn: conn.execute(counted.encode()).fetchall())
    counts = ", ".join(f"{count} x {check}" for check, count in rows)
    return f"{counts} (see `quotemill findings`)"


def _describe_line(warehouse: Warehouse, test: Any) -> str:
    """The first line of a seed that breaks a rule, and the file to correct."""
    query = f"select column_name, rule, line from ({test.compiled_code}) as f order by 3, 1 limit 1"
    [(column, rule, line)] = warehouse.ask(lambda conn: conn.execute(query.encode()).fetchall())
    file = f"seeds/{test.attached_node.rpartition('.')[2]}.csv"
    return f"{column} breaks the rule {rule} in {line}; fix: correct {file}, then quotemill build"


# what a test of ours says, by its status and name
_DESCRIBED: dict[tuple[str, str], Callable[[Warehouse, Any], str]] = {
    ("warn", "no_rows"): _count_findings,
    ("fail", "holds"): _describe_line,
}
