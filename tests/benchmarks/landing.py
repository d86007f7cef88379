"""Write paths side by side: rounds of one process per path, and what the rounds say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loaders.tdx.tables import KLINE_DAILY
from tests.benchmarks import databases
from tests.benchmarks.paths import CLOCKS, DLT_STEPS
from tests.benchmarks.processes import measured
from tests.benchmarks.rows import DAYS, phase_rows, write_files

PHASES = ("first", "again", "new")
COPY = "copy:key"
LANDING = "landing:key"
BINARY = "binary:key"
UPSERT = "upsert:key"
INSERT = "insert:key"
# path and what the table carries: measured in every round, or (slow, dicts or bound values) in few
QUICK = (
    *(LANDING, BINARY, UPSERT, "copy:real", "landing:real", "landing:unfed"),
    "dlt-arrow-upsert:key",
)
SLOW = (INSERT, "dlt-append:key", "dlt-merge:key")
ONCE = ("copy", "binary", "upsert", "dlt-append")  # a first load alone
SMALL = ("landing", "insert", "dlt-arrow-upsert")
SMALL_CODES = 500


@dataclass(frozen=True)
class Results:
    """Every measurement, by path and phase. `ratio` is to COPY's first load just before it."""

    rows: int
    seconds: dict[str, dict[str, list[float]]]
    ratio: dict[str, dict[str, list[float]]]
    steps: dict[str, dict[str, dict[str, float]]]
    dead: dict[str, dict[str, int]]
    peak_mb: dict[str, float]

    def rate(self, path: str, phase: str = "first") -> float:
        return self.rows / median(self.seconds[path][phase])

    def to_copy(self, path: str, phase: str = "first") -> float:
        return median(self.ratio[path][phase])

    def to_insert(self, phase: str) -> float:
        return self.to_copy(LANDING, phase) / self.to_copy(INSERT, phase)


def side_by_side(
    server: str,
    folder: Path,
    codes: int,
    rounds: int,
    slow_rounds: int,
    say: Callable[[str], None],
    quick: Sequence[str] = QUICK,
    slow: Sequence[str] = SLOW,
    days: int = DAYS,
    table: str = KLINE_DAILY.name,
) -> Results:
    """Each path once a round, right after a COPY of the same rows of `table`."""
    write_files(folder, table, codes, days)
    rows = phase_rows(table, "first", 1, days).num_rows * codes
    found: dict[str, list[tuple[float, Any]]] = {}

    def measure(path: str) -> Any:
        name, kind = path.split(":")
        phases = "first" if name in ONCE else ",".join(PHASES)
        with databases.database(server) as url:
            return measured("paths", name, kind, table, url, folder, phases)

    measure(COPY)  # warms the machine's caches
    for number in range(max(rounds, slow_rounds)):
        chosen = [*(quick if number < rounds else ()), *(slow if number < slow_rounds else ())]
        for path in chosen:
            copy = measure(COPY)
            base = copy["phases"]["first"]["seconds"]
            result = measure(path)
            found.setdefault(COPY, []).append((base, copy))
            found.setdefault(path, []).append((base, result))
            say(f"round {number + 1}: {path} {base / result['phases']['first']['seconds']:.2f}")
    return _results(rows, found)


def _results(rows: int, found: dict[str, list[tuple[float, Any]]]) -> Results:
    made = Results(rows, {}, {}, {}, {}, {})
    for path, results in found.items():
        made.peak_mb[path] = median(r["peak_mb"] for _, r in results)
        for phase in results[0][1]["phases"]:
            runs = [(base, r["phases"][phase]) for base, r in results]
            made.seconds.setdefault(path, {})[phase] = [r["seconds"] for _, r in runs]
            made.ratio.setdefault(path, {})[phase] = [base / r["seconds"] for base, r in runs]
            made.dead.setdefault(path, {})[phase] = max(r["dead"] for _, r in runs)
            made.steps.setdefault(path, {})[phase] = {
                step: median(r[step] for _, r in runs)
                for step in (*DLT_STEPS, *CLOCKS)
                if step in runs[0][1]
            }
    return made


def small_loads(
    server: str,
    folder: Path,
    sizes: Sequence[int],
    rounds: int,
    loads: int,
    say: Callable[[str], None],
) -> dict[str, dict[int, dict[str, float]]]:
    """Median seconds of a load of 5,000 rows, and of its write step, by path and rows there."""
    runs: dict[str, dict[int, list[dict[str, float]]]] = {}
    for number in range(rounds):
        for path in SMALL:
            for size in sizes:
                with databases.database(server) as url:
                    result = measured(
                        "small", path, url, folder, SMALL_CODES, size // SMALL_CODES, loads
                    )
                runs.setdefault(path, {}).setdefault(size, []).extend(result["runs"])
            say(f"round {number + 1}: 5,000 rows by {path}")
    return {
        path: {
            size: {
                "seconds": median(r["seconds"] for r in of_size),
                "load": median(r.get("load", r["seconds"]) for r in of_size),
            }
            for size, of_size in by_size.items()
        }
        for path, by_size in runs.items()
    }
