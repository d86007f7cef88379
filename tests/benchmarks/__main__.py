"""`make bench`: measure, then write docs/benchmarks.md."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import databases, landing, machine, report, whole
from tests.benchmarks.processes import ROOT
from tests.benchmarks.rows import DAYS


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    began, load_before = time.monotonic(), machine.load_average()
    aims: list[report.Aim] = []
    parts: list[str] = []
    with databases.scratch() as (folder, server):
        facts = machine.facts(server)

        def write() -> None:
            """After each part: a run that breaks keeps what it has measured."""
            conditions = (
                f"Load average {load_before} at the start and {machine.load_average()} at the end; "
                f"{options.rounds} rounds ({options.slow_rounds} of the slow paths, "
                f"{options.market_rounds} of the market), "
                f"{(time.monotonic() - began) / 60:.0f} minutes."
            )
            head = ["# Benchmarks", HEAD.format(**vars(options)), report.table(("", ""), facts)]
            text = [*head, conditions, "## Aims", report.aims_table(aims), *parts, NOTES]
            options.out.write_text("\n\n".join(text) + "\n", "utf-8")

        if "landing" in options.only:
            results = landing.side_by_side(
                server, folder, options.codes, options.rounds, options.slow_rounds, _say
            )
            small = landing.small_loads(
                server, folder, options.tables, options.rounds, options.loads, _say
            )
            aims += [*report.landing_aims(results), *report.small_aims(small)]
            parts += ["## Write paths, same rows", report.landing_section(results)]
            parts += ["## 5,000 rows into a table with history", report.small_section(small)]
            write()
        if "whole" in options.only:
            first: dict[int, list[dict[str, Any]]] = {}
            for number in range(options.market_rounds):
                for codes in (options.market, 4 * options.market):
                    run = whole.first_run(server, folder, codes, DAYS)
                    first.setdefault(codes, []).append(run)
                    _say(f"round {number + 1}: {codes} codes, {run['load']['peak_mb']:.0f} MB")
            text, memory = report.whole_section(first, DAYS)
            aims += memory
            parts += ["## Load and build of a synthetic market", text]
            write()
        if "day" in options.only:
            days = {
                count: whole.new_days(server, folder, options.market, count, options.days)
                for count in (DAYS // 4, DAYS)
            }
            parts += ["## One new day", report.day_section(days, options.market)]
            write()
    _say(f"written: {options.out}")
    return 0


HEAD = """Written by `make bench`, not by hand. To repeat it:

    python -m tests.benchmarks --codes {codes} --rounds {rounds} --market {market} --days {days}

Machines differ, and so do minutes on one machine: read the ratios, not the seconds. Every path runs
in a process of its own against an empty database, right after a COPY of the same rows that it is
compared with; the figures are medians."""

NOTES = """## How it is measured

- The rows lie in a Parquet file that each path reads 50,000 at a time; timed is from there to the commit.
  Imports, connecting dlt's pipeline and its first row of another table are not in it. `VACUUM ANALYZE` and a checkpoint come between the phases.
- *First load*: an empty table. *Full re-load*: the same rows once more, fetched later. *1 % new rows*: 99 % are there.
- "The same key" is the primary key (code, trade_date) alone, for every path but those that say otherwise; dlt's own
  paths write to the table that dlt makes, which has no key. Peak memory is the process's, the server's not counted.
- The service is `loaders sandbox tdx` in a process of its own on the same machine, so fetching also pays for making the
  market up; its memory is not counted.
- Rows written are PostgreSQL's own counts of inserts, updates and deletes by table."""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    whole_number = {"type": int, "metavar": "N"}
    parts = ("landing", "whole", "day")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--codes", default=120, help=f"rows: N × {DAYS:,}", **whole_number)
    parser.add_argument("--rounds", default=3, **whole_number)
    parser.add_argument("--slow-rounds", default=1, help="of the slow paths", **whole_number)
    parser.add_argument(
        "--tables", nargs=2, default=[100_000, 1_000_000], help="rows there", **whole_number
    )
    parser.add_argument("--loads", default=5, help="small loads a round", **whole_number)
    parser.add_argument("--market", default=125, help="codes at 1×", **whole_number)
    parser.add_argument("--market-rounds", default=2, **whole_number)
    parser.add_argument("--days", default=3, help="new days", **whole_number)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
