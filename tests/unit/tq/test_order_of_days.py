"""Two bad days in a row may end a load of ticks: which days stand before them."""

from types import SimpleNamespace
from typing import Any

import pytest

from loaders.ticks.store import NoDataRow
from loaders.tq.tick_days import plan
from loaders.tq.tick_days.backlog import Backlog, key_text
from tests.unit.tq.test_backlog import NOW, SERIES, on

REVISED, MISSING = [on(day) for day in (13, 14, 15)], [on(day) for day in (16, 17, 20)]
BAD = {on(day).key for day in (13, 14, 17)}


def running(monkeypatch: pytest.MonkeyPatch, retried: Any = None) -> Any:
    """A load to which some days gave nothing in the load before."""
    monkeypatch.setattr(plan, "_backlog", lambda *_: Backlog(REVISED, MISSING, {}, []))
    monkeypatch.setattr(plan, "has_history", lambda _: True)
    monkeypatch.setattr(plan, "_keep_in_line", lambda run, _: run.did.append("in line"))
    monkeypatch.setattr(plan, "_copied", lambda _: iter(()))
    row = NoDataRow(*on(13).key, "no tick", 1, NOW)
    return SimpleNamespace(
        ask=lambda _: frozenset(),
        settings=SimpleNamespace(varieties=["SHFE.cu"]),
        ledgers=SimpleNamespace(without=lambda key: row if key in BAD else None),
        load=SimpleNamespace(
            request=SimpleNamespace(keys=None, since=None, until=None), retried=retried
        ),
        did=[],
    )


def asked(run: Any) -> list[str | int]:
    """The days of each task, and when the schedule is looked at again."""
    for units in plan._fetched(run, [*REVISED, *MISSING]):
        run.did.append([int(key[-2:]) for unit in units for key in unit.keys])
    return list(run.did)


def test_days_that_gave_nothing_before_come_last_also_where_the_schedule_was_revised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = running(monkeypatch)
    assert asked(run) == [[15], "in line", [16, 20], [13, 14, 17], "in line"]


def test_a_retry_gets_to_the_days_after_two_bad_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tuple(key_text(day.key) for day in (*REVISED, *MISSING))
    task = SimpleNamespace(dataset="ticks", keys=keys)
    assert asked(running(monkeypatch, [task])) == [[15, 16, 20], [13, 14, 17]]
    assert SERIES in keys[0]
