"""What the landing path does beside COPY, and what each part of that costs of a first load."""

from tests.benchmarks.landing import BINARY, LANDING, UPSERT, Results
from tests.benchmarks.report import table

FILE = "dlt's Parquet file and its package, which outlive a kill"
JOBS = "dlt's jobs and its own tables"
LOOK = "the look whether the table has rows of these codes"
FEED = "the change feed"
REST = "the rest of its transaction; by the upsert this itself, with its feed"
COPY = "COPY into the table, or into a temp table"


def of_copy(results: Results, path: str) -> dict[str, float]:
    """The parts of a path's first load, the time of a text COPY of the same rows being 1."""
    steps = results.steps[path]["first"]
    seconds = {
        FILE: steps["extract"] + steps["normalize"],
        JOBS: steps["load"] - steps["job"],
        LOOK: steps["look"],
        FEED: steps["feed"],
        REST: steps["job"] - steps["look"] - steps["feed"] - steps["copy"],
        COPY: steps["copy"],
    }
    total = sum(seconds.values())
    return {part: s / total / results.to_copy(path) for part, s in seconds.items()}


def section(results: Results) -> str:
    bare = 1 / results.to_copy(BINARY)
    straight, upsert = (of_copy(results, path) for path in (LANDING, UPSERT))
    all_of = sum(straight.values()), sum(upsert.values())
    lines = [[part, f"{straight[part]:.2f}", f"{upsert[part]:.2f}"] for part in straight]
    lines.append(["**all**", *(f"{whole:.2f}" for whole in all_of)])
    left, reached = all_of[0], []
    for part in (LOOK, FEED, JOBS, FILE):
        left -= straight[part]
        reached.append(f"{part} ({1 / left:.2f})")
    return "\n".join(
        [
            "What a first load spends, the time of a text COPY being 1. Files of codes of which the table has "
            "nothing go straight into it, others by a temp table and the upsert: here the same rows both ways.",
            "",
            table(("part", "straight", "by the upsert"), lines),
            "",
            f"A binary COPY alone takes {bare:.2f}: it is {1 / bare:.2f} times as fast as text. Straight we reach "
            f"{bare / all_of[0]:.2f} of that, by the upsert {bare / all_of[1]:.2f}. To be nearer a load would have "
            "to give up, one after the other, with the ratio to text COPY that it would then reach: "
            f"{', '.join(reached)}.",
        ]
    )
