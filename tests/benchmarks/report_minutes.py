"""The sections of docs/benchmarks.md about minutes and ticks."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tests.benchmarks.landing import COPY, LANDING, Results
from tests.benchmarks.report import NAMES, STAGES, Aim, growth_aims, peaks_table, table

ROLLUPS = ("kline_5m", "kline_15m", "kline_30m")
READ_BY_ROLLUPS = ("kline_minute", "kline_5m")
Days = Sequence[Mapping[str, Any]]


def day_stages(days: Days) -> dict[str, float]:
    """Seconds of each stage, medians; with those of the tables that are fetched besides."""
    stages = {
        "fetch and decode minutes": [d["load"]["tables"]["kline_minute"]["fetch"] for d in days],
        "fetch and decode day bars": [d["load"]["tables"]["kline_daily"]["fetch"] for d in days],
        "fetch and decode the code list and the calendar": [
            d["load"]["tables"]["security"]["fetch"] + d["load"]["tables"]["trading_day"]["fetch"]
            for d in days
        ],
        STAGES["extract"]: [d["load"]["extract"] for d in days],
        STAGES["land"]: [d["load"]["land"] for d in days],
        "rest of the load": [
            d["load"]["seconds"] - sum(d["load"][s] for s in ("fetch", "extract", "land"))
            for d in days
        ],
        "build: 5, 15 and 30 minutes": [_wall(d, _is_rollup) for d in days],
        "build: other models": [_wall(d, _is_other_model) for d in days],
        "build: tests": [_wall(d, lambda n: "test" in n["kind"]) for d in days],
        "build: dbt's start, and between": [
            d["build"]["seconds"] - _wall(d, lambda n: True) for d in days
        ],
    }
    return {name: median(seconds) for name, seconds in stages.items()}


def _is_rollup(node: Mapping[str, Any]) -> bool:
    return node["kind"] == "model" and node["name"] in ROLLUPS


def _is_other_model(node: Mapping[str, Any]) -> bool:
    return "test" not in node["kind"] and not _is_rollup(node)


def _wall(day: Mapping[str, Any], chosen: Any) -> float:
    return sum(float(node["wall"]) for node in day["build"]["nodes"] if chosen(node))


def minutes_section(runs: Mapping[int, Days]) -> tuple[str, list[Aim]]:
    """`runs`: new days by number of codes."""
    sizes = sorted(runs)
    stages = {codes: day_stages(runs[codes]) for codes in sizes}
    totals = {codes: sum(stages[codes].values()) for codes in sizes}
    new = {codes: int(median(day["load"]["new"] for day in runs[codes])) for codes in sizes}
    rows = [
        [name, *(_rate(new[codes], stages[codes][name], totals[codes]) for codes in sizes)]
        for name in stages[sizes[0]]
    ]
    rows.append(["**all**", *(_rate(new[codes], totals[codes], totals[codes]) for codes in sizes)])
    peaks = {
        codes: [median(day[part]["peak_mb"] for day in runs[codes]) for part in ("load", "build")]
        for codes in sizes
    }
    facts: list[list[str]] = []
    for name, of_day in FACTS.items():
        found = [median(of_day(day) for day in runs[codes]) for codes in sizes]
        facts.append([name, *(f"{v:,.4g}" for v in found), f"{found[-1] / found[0]:.2f}"])
    head = [f"{codes:,} codes" for codes in sizes]
    text = "\n".join(
        [
            f"One further day of day bars and minutes, loaded and built. Medians of "
            f"{len(runs[sizes[-1]])} days. Rows/s are new rows ({new[sizes[-1]]:,} of "
            f"{sizes[-1]:,} codes) by the time of the stage; what is read again and found the "
            "same is not counted.",
            "",
            table(("stage: rows/s (share)", *head), rows),
            "",
            table(("", *head, "ratio"), facts),
            "",
            peaks_table(peaks),
        ]
    )
    times = f"for a day with minutes at {sizes[-1] // sizes[0]} × the codes"
    return text, growth_aims(peaks, times)


def _rate(rows: int, seconds: float, total: float) -> str:
    return f"{rows / seconds:,.0f} ({seconds / total:.0%})" if seconds > 0 else "(0%)"


FACTS = {
    "load, s": lambda day: day["load"]["seconds"],
    "build, s": lambda day: day["build"]["seconds"],
    "requests to the service": lambda day: day["load"]["requests"],
    "rows read from the service's answers and landed or found the same": lambda day: day["load"][
        "read"
    ],
    "of fetching minutes, the loader's own processor time": lambda day: (
        day["load"]["tables"]["kline_minute"]["fetch_cpu"]
        / day["load"]["tables"]["kline_minute"]["fetch"]
    ),
}


def history_section(runs: Mapping[int, Days], codes: int) -> tuple[str, list[Aim]]:
    """`runs`: new days by days of minutes that are stored before; rows by table, the last day's."""
    short, long = sorted(runs)
    last = [runs[days][-1] for days in (short, long)]
    head = (f"{short} days", f"{long} days")

    def counts(part: str, what: str) -> list[list[object]]:
        found = [day[part][what] for day in last]
        names = sorted(t for t in found[1] | found[0] if _is_of(t, ("kline_minute", *ROLLUPS)))
        return [[f"`{name}`", *(f.get(name, 0) for f in found)] for name in names]

    sections = {
        "rows written by the load": counts("load", "rows_written"),
        "rows read by the load": counts("load", "rows_read"),
        "rows written by the build": counts("build", "rows_written"),
        "rows read by the build, its tests included": counts("build", "rows_read"),
    }
    rolled = {
        what: [sum(n for t, n in day["build"][what].items() if _is_of(t, names)) for day in last]
        for what, names in (("rows_written", ROLLUPS), ("rows_read", READ_BY_ROLLUPS))
    }
    text = "\n\n".join(
        [
            f"{codes} codes with {short} and with {long} days of minutes; one further day. "
            "`kline_5m` is made of minutes, the others of `kline_5m`. `kline_30m` is read by a check "
            "of the newest ten days, `qa_incomplete_minutes`.",
            *(table((title, *head), rows) for title, rows in sections.items()),
        ]
    )
    return text, [
        (
            f"{what.replace('_', ' ')} for rollups of one day at {long // short} × the minutes",
            "the same",
            f"{few:,} and {many:,}",
            few == many,
        )
        for what, (few, many) in rolled.items()
    ]


def _is_of(name: str, tables: Iterable[str]) -> bool:
    return name.partition(".")[2] in tables


def minutes_landing_section(results: Results, days: int) -> str:
    """`results` of the write paths with minutes, `days` of each code."""
    return "\n".join(
        [
            f"{results.rows:,} minutes, {days} days of each code. The measure is COPY as text into",
            f"the empty table with its key ({results.rate(COPY):,.0f} rows/s, the median of all);",
            "in brackets rows/s.",
            "",
            table(
                ("path", "first load", "full re-load", "a further day", "dead after re-load"),
                [
                    [
                        NAMES[path],
                        *(
                            f"{results.to_copy(path, phase):.2f} ({results.rate(path, phase):,.0f})"
                            for phase in ("first", "again", "new")
                        ),
                        f"{results.dead[path]['again']:,}",
                    ]
                    for path in results.ratio
                    if path != COPY
                ],
            ),
            "",
            f"First loads in each round: {_listed(results.ratio[LANDING]['first'])}.",
        ]
    )


def _listed(ratios: Iterable[float]) -> str:
    return ", ".join(f"{ratio:.2f}" for ratio in ratios)


def ticks_section(loads: Sequence[Mapping[str, Any]], codes: int) -> str:
    """`loads`: one day of ticks each."""
    seconds = {
        STAGES[stage]: median(run["tables"]["tick_trade"][stage] for run in loads)
        for stage in ("fetch", "extract", "land")
    }
    rows = int(median(run["tables"]["tick_trade"]["read"] for run in loads))
    total = sum(seconds.values())
    return "\n".join(
        [
            f"One day of ticks of {codes} codes, {rows:,} rows, from the first request to the commit."
            f" Medians of {len(loads)} loads; their peak memory is "
            f"{median(run['peak_mb'] for run in loads):.0f} MB.",
            "",
            table(
                ("stage", "rows/s", "share"),
                [
                    *([n, f"{rows / s:,.0f}", f"{s / total:.0%}"] for n, s in seconds.items()),
                    ["**all**", f"{rows / total:,.0f}", "100%"],
                ],
            ),
        ]
    )
