"""A full build, one new day and one new event of one code: at once, twice and four times the codes, and
the history."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from loaders.sandbox.world.actions import Action, actions_csv
from tests.benchmarks.market_day import BARS
from tests.benchmarks.node_reads import READ, named
from tests.benchmarks.report import Aim, table
from tests.benchmarks.sandbox import next_days
from tests.benchmarks.whole import WRITTEN, Pipeline, grown, pipeline

TITLE = "A full build, one new day, one new event"
DATASETS = (*BARS, "corporate_actions")
CODE = "sh600000"  # trades on every day of every market
CASH = Decimal(5)  # yuan for 10 shares: no adjusted price before it stays
TIMES = (1, 2, 4)
FULL, DAY, EVENT = "full build", "one new day", "one new event"
Size: TypeAlias = tuple[int, int]  # codes, days
# seconds of its load and of its build, rows written by table, rows read by the build by node
Change: TypeAlias = dict[str, Any]
Found: TypeAlias = Mapping[Size, Mapping[str, Change]]


def by_codes(codes: int, days: int) -> list[Size]:
    return [(codes * times, days) for times in TIMES]


def by_history(codes: int, days: int) -> list[Size]:
    return [(codes, days * times) for times in TIMES]


def of_size(server: str, scratch: Path, size: Size, minutes: int, count: int) -> dict[str, Change]:
    """The figures of a market with so many days of `minutes`; seconds of a day and of an event are
    medians of `count`."""
    with pipeline(server, scratch, *size) as made:
        before = made.counted(WRITTEN)
        load = made.load(DATASETS, {"minute_days": minutes})
        made.vacuum()
        read = made.counted(_READ_BY_ALL)
        build = made.build()
        full = {
            "load": load["seconds"],
            "build": build["seconds"],
            "nodes": _nodes(build),
            "written": grown(before, made.counted(WRITTEN)),
            "read": grown(read, made.counted(_READ_BY_ALL)),
        }

        def one_day(day: date) -> Change:
            made.market.move_to(day)
            return made.load(DATASETS, {"minute_days": 2})

        def one_event(day: date) -> Change:
            row = actions_csv([Action(CODE, day, cash=CASH)]).splitlines()[1]
            with made.market.actions.open("a", encoding="utf-8") as file:
                file.write(f"{row}\n")
            return made.load(("corporate_actions",))

        return {
            FULL: full,
            **{n: _changes(made, c, count) for n, c in ((DAY, one_day), (EVENT, one_event))},
        }


_READ_BY_ALL = f"select 'all', n from ({READ}) as r (n)"


def _changes(made: Pipeline, arrive: Callable[[date], Change], count: int) -> Change:
    """Of the changes that arrive on the first days after the market's end. The first is not measured:
    dbt compiles other SQL for it; the last is built one node at a time, for its counts."""
    days = next_days(count + 2)
    seconds: list[dict[str, float]] = []
    for day in days[:-1]:
        made.vacuum()
        load, build = arrive(day), made.build()
        seconds.append({"load": load["seconds"], "build": build["seconds"], "nodes": _nodes(build)})
    made.vacuum()
    before = made.counted(WRITTEN)
    arrive(days[-1])
    read = made.counted_build()
    written = grown(before, made.counted(WRITTEN))
    medians = {name: median(run[name] for run in seconds[1:]) for name in seconds[0]}
    return {**medians, "written": written, "read": {n: c for n, c in read.items() if c}}


def _nodes(build: dict[str, Any]) -> float:
    return sum(float(node["wall"]) for node in build["nodes"])


FIGURES: dict[str, Callable[[Change], float]] = {
    "load, s": lambda change: change["load"],
    "build, s": lambda change: change["build"],
    "of it models and tests, s": lambda change: change["nodes"],
    "rows written": lambda change: sum(n for t, n in change["written"].items() if "_dlt" not in t),
    "rows read by the build": lambda change: sum(change["read"].values()),
}


def section(found: Found, codes: int, days: int) -> tuple[str, list[Aim]]:
    """`found` has the markets of `by_codes` and `by_history`."""
    more, longer = by_codes(codes, days), by_history(codes, days)
    ends = [found[size][EVENT] for size in (more[0], more[-1], longer[-1])]
    aims = [
        _flat(f"one new event at {TIMES[-1]} × the codes", found, more, EVENT),
        _flat(f"one new day at {TIMES[-1]} × the history", found, longer, DAY),
    ]
    names = (
        f"{codes:,} × {days:,}",
        f"{more[-1][0]:,} × {days:,}",
        f"{codes:,} × {longer[-1][1]:,}",
    )
    text = "\n".join(
        [
            "Day bars of every code and some days of minutes. The event is a dividend of one code on its newest "
            "day: all its adjusted bars of days, weeks and months change (adjusted minutes are a view), which is "
            "its own history, however many codes are there. Seconds of days and events are medians. Rows "
            "written are those of load and build; rows read those of the build's scans without the "
            "calendars, of days and events with one node at a time. On the fifth new day, which is counted where "
            "there are three, one code has an ex-date of the market's own: its history is in the day's rows, read "
            "and written, and nothing else of the day grows with history.",
            "",
            _by_size(found, more, [f"{size[0]:,} codes × {days:,} days" for size in more]),
            "",
            _by_size(found, longer, [f"{codes:,} codes × {size[1]:,} days" for size in longer]),
            "",
            table(
                ("one new event: rows written", *(f"{name} days" for name in names)),
                _rows([change["written"] for change in ends]),
            ),
            "",
            table(
                ("one new event: rows read", *(f"{name} days" for name in names)),
                _rows([change["read"] for change in ends]),
            ),
            "",
            f"The event reads more at {TIMES[-1]} × the codes in {_growing(*ends[:2])}; at {TIMES[-1]} × the history "
            f"in {_growing(ends[0], ends[2])}, which is that of its own code.",
        ]
    )
    return text, aims


def _by_size(found: Found, of: Sequence[Size], heads: Sequence[str]) -> str:
    lines = []
    for change in (FULL, DAY, EVENT):
        for name, figure in FIGURES.items():
            values = [figure(found[size][change]) for size in of]
            shown = (f"{v:,.1f}" if isinstance(v, float) else f"{v:,}" for v in values)
            lines.append([f"{change}: {name}", *shown, f"{values[-1] / values[0]:.2f}"])
    return table(("", *heads, "last to first"), lines)


def _rows(counts: Sequence[Mapping[str, int]]) -> list[list[str]]:
    names = sorted({name for of_size in counts for name in of_size if "_dlt" not in name})
    return [[_shown(name), *(f"{of_size.get(name, 0):,}" for of_size in counts)] for name in names]


def _growing(few: Change, many: Change) -> str:
    read = few["read"]
    names = [n for n, count in many["read"].items() if count > 1.1 * read.get(n, 0) + 10]
    return ", ".join(map(_shown, sorted(names))) or "nothing"


def _shown(name: str) -> str:
    return named(name) if name.count(".") > 1 else f"`{name}`"


def _flat(name: str, found: Found, of: Sequence[Size], change: str) -> Aim:
    """Rows written and read, of the first size and of the last."""
    few, many = (
        sum(
            FIGURES[rows](found[size][change])
            for rows in ("rows written", "rows read by the build")
        )
        for size in (of[0], of[-1])
    )
    ratio = many / few
    return f"rows touched by {name}", "≤ 1.1 ×", f"{ratio:.2f} ×", ratio <= 1.1
