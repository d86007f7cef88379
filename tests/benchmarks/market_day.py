"""One new day of a market with minutes: at two numbers of codes, at two lengths of history; and of
ticks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.sandbox import next_days
from tests.benchmarks.whole import READ, WRITTEN, Pipeline, grown, pipeline

DAYS = 40  # of day bars before the day
BARS = ("kline_daily", "minute_1m")


def new_days(
    server: str, scratch: Path, codes: int, minute_days: int, count: int
) -> list[dict[str, Any]]:
    """`count` further days one after the other, each loaded and built, onto `minute_days` of
    minutes before the first of them."""
    with pipeline(server, scratch, codes, DAYS) as made:
        # the day before the measured ones is the first incremental one: dbt compiles other SQL
        made.load((*BARS, "corporate_actions"), {"minute_days": minute_days - 1})
        made.build()
        results = []
        for day in next_days(count + 1):
            made.vacuum()
            made.market.move_to(day)
            results.append(_day(made))
        return results[1:]


def _day(made: Pipeline) -> dict[str, Any]:
    """The figures of a load and of a build, with the rows that each read and wrote by table."""
    result: dict[str, Any] = {}
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        # as in every run of it: how far back a gap would be found, however long the history is
        "load": lambda: made.load(BARS, {"minute_days": 2}),
        "build": made.build,
    }
    for name, run in stages.items():
        before = made.counted(READ), made.counted(WRITTEN)
        result[name] = run()
        result[name]["rows_read"] = grown(before[0], made.counted(READ))
        result[name]["rows_written"] = grown(before[1], made.counted(WRITTEN))
    return result


def tick_days(server: str, scratch: Path, codes: int, count: int) -> list[dict[str, Any]]:
    """`count` loads of one day's ticks, each on the day after it: by the route of history, final."""
    with pipeline(server, scratch, codes, DAYS) as made:
        results = []
        for day in next_days(count):
            made.load(("kline_daily",))
            made.vacuum()
            made.market.move_to(day)
            results.append(made.load(("tick_trade",), {"tick_days": 2}))
        return results
