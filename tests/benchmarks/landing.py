"""Write paths side by side, each right after a COPY of the same rows; and small loads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from loaders.tdx.tables import KLINE_DAILY
from tests.benchmarks import databases
from tests.benchmarks.page import Aim, at_least, at_most, paragraph, table
from tests.benchmarks.processes import measured
from tests.benchmarks.rows import DAYS, phase_rows, write_files

TITLE = "Write paths, same rows"
PHASES = ("first", "again", "new")
COPY, LANDING, INSERT = "copy", "landing", "insert"
INDEXED = "landing indexed"  # the table has its further index too
NAMES = {
    COPY: "COPY text into the empty table (the measure)",
    LANDING: "**our landing path**",
    INDEXED: "the same, the table with its further index",
    "dlt-arrow": "dlt's own Arrow upsert (csv)",
    INSERT: "multi-row `INSERT … ON CONFLICT` of 5,000",
    "dlt-merge": "dlt's default with a key: dicts, merge",
}
PATHS = tuple(path for path in NAMES if path != COPY)
SLOW = (INSERT, "dlt-merge")  # in the first round only
SMALL = (LANDING, INSERT, "dlt-arrow")
SMALL_CODES = 500
Say = Callable[[str], None]
Small = dict[str, dict[int, float]]  # seconds by path and rows in the table


@dataclass
class Results:
    """Seconds by path and phase, and ratios to the COPY just before."""

    rows: int
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    ratios: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    dead: dict[tuple[str, str], int] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    def add(self, path: str, result: dict[str, Any], copy_seconds: float) -> None:
        self.peak_mb[path] = max(self.peak_mb.get(path, 0), result["peak_mb"])
        for phase, figures in result["phases"].items():
            at = path, phase
            self.seconds.setdefault(at, []).append(figures["seconds"])
            self.ratios.setdefault(at, []).append(copy_seconds / figures["seconds"])
            self.dead[at] = max(self.dead.get(at, 0), figures["dead"])

    def ratio(self, path: str, phase: str) -> float:
        return median(self.ratios[path, phase])


def compare_paths(
    server: str,
    folder: Path,
    codes: int,
    *,
    rounds: int,
    say: Say,
    paths: Sequence[str] = PATHS,
    days: int = DAYS,
) -> Results:
    """Run each path once a round, right after a COPY of the same rows."""
    write_files(folder, KLINE_DAILY.name, codes, days)
    results = Results(phase_rows(KLINE_DAILY.name, "first", 1, days).num_rows * codes)

    def measure(path: str) -> Any:
        name, _, indexed = path.partition(" ")
        phases = ["first"] if name == COPY else PHASES
        keywords = {"folder": folder, "indexed": bool(indexed), "phases": phases}
        with databases.database(server) as url:
            return measured("paths", "write_phases", name=name, url=url, **keywords)

    measure(COPY)  # warms the machine's caches
    for number in range(rounds):
        for path in paths if number == 0 else [p for p in paths if p not in SLOW]:
            copy = measure(COPY)
            seconds = copy["phases"]["first"]["seconds"]
            results.add(COPY, copy, seconds)
            results.add(path, measure(path), seconds)
            say(f"round {number + 1}: {path} {results.ratios[path, 'first'][-1]:.2f}")
    return results


def section(results: Results, small: Small) -> tuple[str, list[Aim]]:
    few, many = sorted(small[LANDING])
    ours = small[LANDING][many]
    lines = []
    for path, name in NAMES.items():
        if path not in results.peak_mb:
            continue
        cells = [
            f"{results.ratio(path, phase):.2f}" if (path, phase) in results.ratios else ""
            for phase in PHASES
        ]
        dead = "" if path == COPY else f"{results.dead[path, 'again']:,}"
        cells += [f"{small[path][n] / ours:.2f}" if path in small else "" for n in (few, many)]
        lines.append([name, *cells, dead, f"{results.peak_mb[path]:.0f}"])
    rate = results.rows / median(results.seconds[COPY, "first"])
    into = (f"into {few:,}", f"into {many:,}")
    head = ("path", "first load", "full re-load", "1 % new rows", *into, "dead rows", "peak MB")
    first, again = (results.ratio(LANDING, phase) for phase in ("first", "again"))
    wanted = [
        at_least("first load", first, 0.6, "of COPY"),
        at_least("full re-load", again, 0.7, "of COPY"),
        at_most("dead rows after it", results.dead[LANDING, "again"], 0, "rows"),
        at_most("a small load grows by", ours / small[LANDING][few], 1.25),
    ]
    if INSERT in results.peak_mb:
        wanted += [
            at_least("first load", first / results.ratio(INSERT, "first"), 5, "× INSERT"),
            at_least("full re-load", again / results.ratio(INSERT, "again"), 10, "× INSERT"),
        ]
    text = (
        f"{results.rows:,} day bars from a Parquet file to the commit, relative to a COPY "
        f"({rate:,.0f} rows/s); every table has its primary key, dlt's own have none. `into` a "
        "table with so much history: 5,000 rows, half of them known, relative to our "
        f"{ours:.2f} s."
    )
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted


def compare_small_loads(
    server: str, folder: Path, sizes: Sequence[int], *, rounds: int, loads: int, say: Say
) -> Small:
    """Median seconds of a load of 5,000 rows."""
    seconds: dict[str, dict[int, list[float]]] = {path: {n: [] for n in sizes} for path in SMALL}
    for number in range(rounds):
        for path in SMALL:
            for size in sizes:
                table = {"codes": SMALL_CODES, "days": size // SMALL_CODES, "loads": loads}
                with databases.database(server) as url:
                    seconds[path][size] += measured(
                        "paths", "write_small_loads", name=path, url=url, folder=folder, **table
                    )
            say(f"round {number + 1}: 5,000 rows by {path}")
    return {
        path: {size: median(times) for size, times in by_size.items()}
        for path, by_size in seconds.items()
    }
