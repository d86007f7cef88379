"""An initial load of day bars and minutes, and the first build, split by stage."""

from pathlib import Path
from typing import Any

from tests.benchmarks.report import table
from tests.benchmarks.whole import DAY_BARS, pipeline

SHOWN = 8  # nodes of the build
STEPS = {
    "fetch": "fetch and decode",
    "extract": "extract (dlt writes Parquet)",
    "land": "land (COPY, upsert, dlt's bookkeeping)",
}


def first_run(
    server: str, folder: Path, codes: int, days: int, minute_days: int
) -> dict[str, dict[str, Any]]:
    """The figures of stages.load and stages.build."""
    with pipeline(server, folder, codes, days) as made:
        load = made.load((*DAY_BARS, "minute_1m"), {"minute_days": minute_days})
        return {"load": load, "build": made.build()}


def stages(run: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds by stage; they add up to all of it."""
    load, build = run["load"], run["build"]
    found = {
        f"{STEPS[step]}: `{name}`": clocks[step]
        for name, clocks in load["tables"].items()
        if clocks["read"] > 0.01 * load["read"]
        for step in STEPS
    }
    found["rest of the load"] = load["seconds"] - sum(found.values())
    nodes = sorted(build["nodes"], key=lambda node: -float(node["wall"]))
    for node in nodes[:SHOWN]:
        found[f"build: {node['kind']} `{node['name']}`"] = float(node["wall"])
    models = [float(node["wall"]) for node in nodes[SHOWN:] if node["kind"] == "model"]
    others = [float(node["wall"]) for node in nodes[SHOWN:] if node["kind"] != "model"]
    found["build: other models"], found["build: other tests"] = sum(models), sum(others)
    shown = sum(float(node["wall"]) for node in nodes)
    found["build: dbt's start, its hooks and its end"] = build["seconds"] - shown
    return found


def section(run: dict[str, dict[str, Any]], codes: int, days: int, minute_days: int) -> str:
    parts = stages(run)
    total = sum(parts.values())
    largest = max(parts, key=lambda name: parts[name])
    load, build = run["load"], run["build"]
    lines = [
        [name, f"{seconds:.1f}", f"{seconds / total:.0%}"]
        for name, seconds in parts.items()
        if seconds >= 0.005 * total
    ]
    lines.append(["**all**", f"{total:.1f}", "100%"])
    return "\n".join(
        [
            f"{codes} codes × {days:,} days of day bars and {minute_days} days of minutes, "
            f"{load['read']:,} rows, from the simulated service into an empty warehouse, then built: "
            f"{load['read'] / total:,.0f} rows/s from the first request to tested tables; "
            f"{load['peak_mb']:.0f} MB at most in the loader, {build['peak_mb']:.0f} MB in dbt. "
            f"The largest share: {largest}, {parts[largest] / total:.0%}.",
            "",
            table(("stage", "seconds", "share"), lines),
        ]
    )
