"""docs/benchmarks.md from the figures of a run."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tests.benchmarks.landing import BINARY, COPY, INSERT, LANDING, PHASES, UPSERT, Results
from tests.benchmarks.paths import DLT_STEPS

NAMES = {
    COPY: "COPY text into the empty table, no upsert (the measure)",
    BINARY: "binary COPY into the empty table, no upsert",
    LANDING: "**our landing path**",
    UPSERT: "the same, all by the upsert",
    "copy:real": "COPY text, the table with its further index",
    "landing:real": "our landing path, the table with its further index",
    "landing:unfed": "the same, without the change feed",
    "dlt-arrow-upsert:key": "dlt's own Arrow upsert (csv: ADBC is not installed)",
    INSERT: "multi-row `INSERT … ON CONFLICT` of 5,000",
    "dlt-append:key": "dlt's default: dicts, insert_values, append",
    "dlt-merge:key": "dlt's default with a key: dicts, insert_values, merge",
    "landing": "our landing path",
    "insert": "multi-row `INSERT … ON CONFLICT`",
    "dlt-arrow-upsert": "dlt's own Arrow upsert",
}
Aim = tuple[str, str, str, bool]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def aims_table(aims: Iterable[Aim]) -> str:
    return table(
        ("aim", "asked for", "measured", "met"),
        ((name, wanted, found, "yes" if met else "**no**") for name, wanted, found, met in aims),
    )


def landing_aims(results: Results) -> list[Aim]:
    def at_least(name: str, wanted: float, found: float, unit: str) -> Aim:
        return name, f"≥ {wanted:g} {unit}", f"{found:.2f}", found >= wanted

    dead = results.dead[LANDING]["again"]
    return [
        at_least("first load", 0.6, results.to_copy(LANDING, "first"), "of COPY"),
        at_least("full re-load", 0.7, results.to_copy(LANDING, "again"), "of COPY"),
        ("dead rows after it", "0", str(dead), dead == 0),
        at_least("new rows", 5, results.to_insert("first"), "× multi-row INSERT"),
        at_least("full re-load", 10, results.to_insert("again"), "× multi-row INSERT"),
    ]


def small_aims(small: dict[str, dict[int, dict[str, float]]]) -> list[Aim]:
    few, many = sorted(small["landing"])
    ratio = small["landing"][many]["seconds"] / small["landing"][few]["seconds"]
    name = f"5,000 rows into {many:,}, against into {few:,}"
    return [(name, "≤ 1.25 × (does not grow)", f"{ratio:.2f} ×", ratio <= 1.25)]


def landing_section(results: Results) -> str:
    rows = []
    for path in NAMES:
        if path not in results.ratio:
            continue
        cells = [
            f"{results.to_copy(path, phase):.2f} ({results.rate(path, phase):,.0f})"
            if phase in results.ratio[path]
            else ""
            for phase in PHASES
        ]
        dead = results.dead[path].get("again", "")
        dead = f"{dead:,}" if dead != "" else ""
        rows.append([NAMES[path], *cells, dead, f"{results.peak_mb[path]:.0f}"])
    steps = results.steps[LANDING]
    shares = "; ".join(
        f"{phase}: "
        + ", ".join(
            f"{step} {steps[phase][step] / sum(steps[phase][s] for s in DLT_STEPS):.0%}"
            for step in DLT_STEPS
        )
        for phase in PHASES
    )
    spread = ", ".join(f"{r:.2f}" for r in results.ratio[LANDING]["first"])
    return "\n".join(
        [
            f"{results.rows:,} daily bars. In brackets rows/s; the figure before it is the ratio to",
            f"a COPY just before ({results.rate(COPY):,.0f} rows/s, the median of all).",
            "",
            table(
                (
                    "path",
                    "first load",
                    "full re-load",
                    "1 % new rows",
                    "dead after re-load",
                    "peak MB",
                ),
                rows,
            ),
            "",
            f"Where the landing path's time goes ({shares}). Its first load in each round: {spread}.",
        ]
    )


def small_section(small: dict[str, dict[int, dict[str, float]]]) -> str:
    sizes = sorted(small["landing"])
    few, many = sizes
    ours = small["landing"][many]["seconds"]
    rows = [
        [
            NAMES[path],
            *(f"{found[size]['seconds'] / ours:.2f}" for size in sizes),
            f"{found[many]['seconds'] / found[few]['seconds']:.2f}",
            f"{found[many]['load'] / found[few]['load']:.2f}",
        ]
        for path, found in small.items()
    ]
    head = [*(f"into {size:,}" for size in sizes), "grows by", "its write step alone"]
    return "\n".join(
        [
            "Half of the rows are there already. Times relative to our path into the larger table,",
            f"which took {ours:.2f} s.",
            "",
            table(("path", *head), rows),
        ]
    )


def whole_section(runs: dict[int, list[dict[str, Any]]], days: int) -> tuple[str, list[Aim]]:
    """`runs`: the first runs by number of codes."""
    stages, peaks = [], {}
    for codes, results in sorted(runs.items()):
        loads, builds = [r["load"] for r in results], [r["build"] for r in results]
        rows = loads[0]["read"]
        seconds = {s: median(run[s] for run in loads) for s in ("fetch", "extract", "land")}
        total_load = median(run["seconds"] for run in loads)
        seconds["rest of the load"] = total_load - sum(seconds.values())
        seconds["build"] = median(run["seconds"] for run in builds)
        total = sum(seconds.values())
        for name, value in seconds.items():
            stages.append(
                [f"{codes} × {days:,}", f"{rows:,}", STAGES.get(name, name), f"{rows / value:,.0f}",
                 f"{value / total:.0%}"]
            )  # fmt: skip
        peaks[codes] = [median(run["peak_mb"] for run in part) for part in (loads, builds)]
        busy = median(run["fetch_cpu"] for run in loads) / seconds["fetch"]
        stages.append(
            [f"{codes} × {days:,}", f"{rows:,}", "**all**", f"{rows / total:,.0f}", "100%"]
        )
        stages.append(["", "", f"of fetch, the loader's own processor time: {busy:.0%}", "", ""])
    one, four = sorted(peaks)
    stages_table = table(("codes × days", "rows", "stage", "rows/s", "share"), stages)
    text = f"{stages_table}\n\n{peaks_table(peaks)}"
    return text, growth_aims(peaks, f"at {four // one} × the rows")


Peaks = Mapping[int, Sequence[float]]


def peaks_table(peaks: Peaks) -> str:
    """`peaks`: MB of the loader and of dbt, by number of codes."""
    one, four = sorted(peaks)
    names = ("loader process", "build process (dbt)")
    return table(
        ("peak memory, MB", f"{one:,} codes", f"{four:,} codes", "ratio"),
        [
            [name, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}"]
            for name, few, many in zip(names, peaks[one], peaks[four], strict=True)
        ],
    )


def growth_aims(peaks: Peaks, times: str) -> list[Aim]:
    one, four = sorted(peaks)
    growth = [b / a for a, b in zip(peaks[one], peaks[four], strict=True)]
    return [
        (f"peak memory of the {name} {times}", "≤ 1.15 ×", f"{g:.2f} ×", g <= 1.15)
        for name, g in zip(("load", "build"), growth, strict=True)
    ]


STAGES = {
    "fetch": "fetch and decode (ask, check, make Arrow tables)",
    "extract": "extract (dlt writes Parquet)",
    "land": "land (COPY, upsert, dlt's bookkeeping)",
    "build": "build (dbt, tests included)",
}


def day_section(runs: dict[int, dict[str, Any]], codes: int) -> str:
    """`runs`: the new days and the run with nothing new, by days of history."""
    short, long = sorted(runs)
    figures = []
    for name, of_day in DAY_FIGURES.items():
        values = [median(of_day(day) for day in runs[days]["days"]) for days in (short, long)]
        figures.append([name, *(f"{v:,.4g}" for v in values), f"{values[1] / values[0]:.2f}"])
    written = [runs[days]["days"][-1]["written"] for days in (short, long)]
    names = [t for t in {**written[0], **written[1]} if "_dlt" not in t]
    idle = runs[long]["nothing"]
    return "\n".join(
        [
            f"{codes} codes; one further day, loaded and built. Medians of {len(runs[long]['days'])} days.",
            "",
            table(("", f"{short:,} days", f"{long:,} days", "ratio"), figures),
            "",
            table(
                ("rows written for the day", f"{short:,} days", f"{long:,} days"),
                [[f"`{t}`", *(w.get(t, 0) for w in written)] for t in sorted(names)],
            ),
            "",
            f"Run again with nothing new: {idle['load']['requests']} requests to the service, "
            f"{_tables(idle['written'])}.",
        ]
    )


def _tables(written: dict[str, int]) -> str:
    ours = {table: n for table, n in written.items() if "_dlt" not in table}
    lines = sum(written.values()) - sum(ours.values())
    text = ", ".join(f"{n:,} rows of `{table}`" for table, n in ours.items()) or "no row of data"
    return f"{text} written ({lines} lines of dlt's own record)"


def _models(day: dict[str, Any]) -> float:
    nodes = day["build"]["nodes"]
    return sum(float(n["seconds"]) for n in nodes if n["kind"] == "model" and (n["rows"] or 0) > 0)


DAY_FIGURES = {
    "load, s": lambda day: day["load"]["seconds"],
    "rows read from the service": lambda day: day["load"]["read"],
    "requests to the service": lambda day: day["load"]["requests"],
    "build, s (dbt's start and tests included)": lambda day: day["build"]["seconds"],
    "models that wrote, s": _models,
}
