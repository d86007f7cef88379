"""`make bench`: measure, then write docs/benchmarks.md."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from loaders.tdx.tables import KLINE_MINUTE
from tests.benchmarks import (
    bar_peers,
    client_folder,
    databases,
    folder_peer,
    imports,
    increments,
    initial,
    landing,
    landing_parts,
    looking,
    machine,
    market_day,
    node_reads,
    option_slot,
    page,
    reads,
    report,
    report_minutes,
    rollup_rate,
    space,
    tick_store,
    whole,
)
from tests.benchmarks.processes import ROOT
from tests.benchmarks.rows import DAYS

# title, text, and which aims it met
Section: TypeAlias = tuple[str, str, list[report.Aim]]


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    # as Ctrl-C does: servers end with what started them
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    before = options.out.read_text("utf-8") if options.out.is_file() else ""
    aims, sections = page.aims_of(before), page.sections_of(before)
    with databases.scratch() as (folder, server):
        facts = machine.facts(server)
        for name in options.only:
            began, load_before = time.monotonic(), machine.load_average()
            for title, text, met in PARTS[name](server, folder, options):
                conditions = (
                    f"Measured on {machine.conditions(server)}; load average {load_before} before and "
                    f"{machine.load_average()} after; {(time.monotonic() - began) / 60:.1f} minutes."
                )
                sections[title] = f"{text}\n\n{conditions}"
                aims = page.with_new(aims, met)
                # after each section: a run that breaks keeps what it has measured
                made = page.written(
                    HEAD.format(**vars(options)), facts, aims, sections, TITLES, METHOD
                )
                options.out.write_text(made, "utf-8")
    _say(f"written: {options.out}")
    return 0


def _landing(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    results = landing.side_by_side(
        server, folder, options.codes, options.rounds, options.slow_rounds, _say
    )
    aims = report.landing_aims(results)
    yield TITLES[0], f"{report.landing_section(results)}\n\n{landing_parts.section(results)}", aims
    small = landing.small_loads(server, folder, options.tables, options.rounds, options.loads, _say)
    yield TITLES[1], report.small_section(small), report.small_aims(small)


def _whole(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    first: dict[int, list[dict[str, Any]]] = {}
    for number in range(options.market_rounds):
        for codes in (options.market, 4 * options.market):
            run = whole.first_run(server, folder, codes, DAYS)
            first.setdefault(codes, []).append(run)
            _say(f"round {number + 1}: {codes} codes, {run['load']['peak_mb']:.0f} MB")
    yield TITLES[2], *report.whole_section(first, DAYS)


def _day(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    days = {
        count: whole.new_days(server, folder, options.market, count, options.days)
        for count in (DAYS // 4, DAYS)
    }
    yield TITLES[3], report.day_section(days, options.market), []


def _nodes(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    codes = max(options.market // 3, 1)
    found = {
        times: node_reads.of_a_day(server, folder, codes, times * DAYS // 16, 3 * times)
        for times in (1, 4, 16)
    }
    yield node_reads.TITLE, *node_reads.section(found, codes)


def _increments(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    size = options.market, DAYS // 4
    found = {}
    for codes, days in (*increments.by_codes(*size), *increments.by_history(*size)[1:]):
        minutes = 3 * days // size[1]
        found[codes, days] = increments.of_size(
            server, folder, (codes, days), minutes, options.days
        )
        _say(f"{codes} codes × {days} days: built, {options.days} days and events")
    yield increments.TITLE, *increments.section(found, *size)


def _rollups(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    rates = rollup_rate.side_by_side(server, folder, options.rollup_codes, options.rounds)
    yield rollup_rate.TITLE, rollup_rate.section(rates), []


def _minutes(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    results = landing.side_by_side(
        server, folder, max(options.minute_codes // 40, 1), options.rounds, 0, _say,
        quick=MINUTE_PATHS, slow=(), days=10, table=KLINE_MINUTE.name,
    )  # fmt: skip
    yield TITLES[4], report_minutes.minutes_landing_section(results, 10), []
    by_codes = {}
    for codes in (options.minute_codes // 4, options.minute_codes):
        by_codes[codes] = market_day.new_days(server, folder, codes, 2, options.days)
        _say(f"{codes} codes: {by_codes[codes][-1]['load']['seconds']:.0f} s to load a day")
    yield TITLES[5], *report_minutes.minutes_section(by_codes)
    by_history = {
        count: market_day.new_days(server, folder, options.market, count, 1) for count in (10, 40)
    }
    yield TITLES[6], *report_minutes.history_section(by_history, options.market)


def _ticks(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    loads = market_day.tick_days(server, folder, options.tick_codes, options.days)
    yield TITLES[7], report_minutes.ticks_section(loads, options.tick_codes), []


def _store(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    peers = ROOT / "var" / "bench-peers" if options.peers else None
    results = tick_store.side_by_side(folder, 60_000, options.saves, 1_000, 20, peers, _say)
    yield TITLES[8], tick_store.section(results), tick_store.aims(results)


def _options_slot(_: str, __: Path, options: argparse.Namespace) -> Iterator[Section]:
    found = option_slot.slots(options.rounds, _say)
    yield TITLES[9], option_slot.section(found), option_slot.aims(found)


def _peers(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    found = bar_peers.side_by_side(
        server, folder, options.codes, DAYS, options.slow_rounds, ROOT / "var" / "bench-peers", _say
    )
    yield PEERS, bar_peers.section(found), bar_peers.aims(found)


def _space(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    found = space.sizes(server, folder, options.market, DAYS, _say)
    yield SPACE, space.section(found, options.market, DAYS), space.aims(found)


def _reads(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    found = reads.side_by_side(server, folder, options.read_codes, DAYS, _say)
    yield READS, reads.section(found), []


def _initial(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    size = 4 * options.market, DAYS, options.minute_days
    run = initial.first_run(server, folder, *size)
    yield INITIAL, initial.section(run, *size), []


def _imports(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    found, rows = imports.gains(server, folder, options.import_codes, options.rounds, _say)
    more = imports.larger(server, folder, options.import_codes, _say)
    yield IMPORTS, imports.section(found, rows, more), []


def _looking(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    sizes = [(options.look_codes, days) for days in (options.look_days // 10, options.look_days)]
    found = looking.looks(server, folder, sizes, options.rounds, _say)
    yield looking.TITLE, looking.section(found), looking.aims(found)


def _folder(server: str, folder: Path, options: argparse.Namespace) -> Iterator[Section]:
    with client_folder.folder(folder, options.folder_codes, DAYS) as client:
        found = client_folder.loads(server, folder, client, _say)
        text = client_folder.section(found, options.folder_codes, DAYS)
        yield client_folder.TITLE, text, client_folder.aims(found)
        if options.peers:
            beside = folder_peer.side_by_side(server, folder, client, options.slow_rounds, _say)
            yield folder_peer.TITLE, folder_peer.section(beside), folder_peer.aims(beside)


PARTS = {
    "folder": _folder,
    "landing": _landing,
    "whole": _whole,
    "day": _day,
    "nodes": _nodes,
    "increments": _increments,
    "minutes": _minutes,
    "rollups": _rollups,
    "ticks": _ticks,
    "store": _store,
    "options": _options_slot,
    "peers": _peers,
    "space": _space,
    "reads": _reads,
    "initial": _initial,
    "imports": _imports,
    "looking": _looking,
}
# not part of a run of all: it makes environments, and fills them from the package index
ASKED = ("peers",)
PEERS, SPACE = "Day bars beside other projects", "Bytes per bar"
IMPORTS = "Full imports with and without index management"
READS, INITIAL = "What a user reads", "An initial load from end to end"
TITLES = (
    "Write paths, same rows",
    "5,000 rows into a table with history",
    "Load and build of a synthetic market",
    "One new day",
    "Write paths, minutes",
    "One new day with minutes",
    "One new day at four times the minutes",
    "One day of ticks",
    "Ticks into QuestDB",
    "One slot of option chains",
    PEERS,
    SPACE,
    READS,
    INITIAL,
    node_reads.TITLE,
    increments.TITLE,
    rollup_rate.TITLE,
    IMPORTS,
    looking.TITLE,
    client_folder.TITLE,
    folder_peer.TITLE,
)
MINUTE_PATHS = (landing.LANDING, "landing:real", "landing:unfed")

HEAD = """Written by `make bench`, not by hand; `python -m tests.benchmarks --only minutes ticks` measures
these parts alone and keeps the others. The newest part was measured with

    python -m tests.benchmarks --codes {codes} --rounds {rounds} --market {market} --days {days} \\
        --market-rounds {market_rounds} --minute-codes {minute_codes} --tick-codes {tick_codes} \\
        --read-codes {read_codes} --minute-days {minute_days} --import-codes {import_codes} \\
        --rollup-codes {rollup_codes}

Machines differ, and so do minutes on one machine: read the ratios, not the seconds. Every path runs
in a process of its own against an empty database, right after a COPY of the same rows that it is
compared with; the figures are medians."""

METHOD = """- The rows lie in a Parquet file that each path reads 50,000 at a time; timed is from there to the commit.
  Imports, connecting dlt's pipeline and its first row of another table are not in it. `VACUUM ANALYZE` and a checkpoint come between the phases.
- *First load*: an empty table. *Full re-load*: the same rows once more, fetched later. *1 % new rows*: 99 % are there.
- "The same key" is the primary key (code, trade_date; of minutes code, bar_end) alone, for every path but those that say otherwise; dlt's own
  paths write to the table that dlt makes, which has no key. Peak memory is the process's, the server's not counted.
- The service is `loaders sandbox tdx` in a process of its own on the same machine, so fetching also pays for making the
  market up; its memory is not counted.
- Rows written are PostgreSQL's own counts of inserts, updates and deletes by table, rows read those that its scans
  of tables and indexes took.
- A day with minutes is loaded by `--dataset kline_daily --dataset minute_1m` onto 40 days of day bars and two of
  minutes; the day before the measured ones is loaded and built too and not counted, since dbt compiles other SQL for
  it. The newest stored day of each code is asked for again with the new one, so 480 minutes are decoded for 240.
- dbt runs four nodes at a time; what several take together counts for each by an equal part of the wall clock."""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    whole_number = {"type": int, "metavar": "N"}
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=tuple(n for n in PARTS if n not in ASKED)
    )
    parser.add_argument("--codes", default=120, help=f"rows: N × {DAYS:,}", **whole_number)
    parser.add_argument("--rounds", default=3, **whole_number)
    parser.add_argument("--slow-rounds", default=1, help="of the slow paths", **whole_number)
    parser.add_argument(
        "--tables", nargs=2, default=[100_000, 1_000_000], help="rows there", **whole_number
    )
    parser.add_argument("--import-codes", default=400, help="of 2,400 rows", **whole_number)
    parser.add_argument("--loads", default=5, help="small loads a round", **whole_number)
    parser.add_argument("--market", default=125, help="codes at 1×", **whole_number)
    parser.add_argument("--market-rounds", default=2, **whole_number)
    parser.add_argument("--days", default=3, help="new days", **whole_number)
    parser.add_argument("--minute-codes", default=5_000, help="at 4×", **whole_number)
    parser.add_argument("--read-codes", default=5_000, help="that are read from", **whole_number)
    parser.add_argument("--look-codes", default=5_400, help="of a large warehouse", **whole_number)
    parser.add_argument("--look-days", default=2_500, **whole_number)
    parser.add_argument("--folder-codes", default=5_400, help="that have files", **whole_number)
    parser.add_argument("--minute-days", default=100, help="of an initial load", **whole_number)
    parser.add_argument(
        "--rollup-codes", default=330, help="of 100 days of minutes", **whole_number
    )
    parser.add_argument("--tick-codes", default=500, **whole_number)
    parser.add_argument("--saves", default=7, help="of a day of ticks by each path", **whole_number)
    parser.add_argument("--peers", action="store_true", help="also others' ways of ticks and files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
