"""Stored ticks and another answer for their day: which of them stay, and what is said of it."""

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from loaders.tq.datasets import ticks
from loaders.tq.tick_days import batch
from loaders.tq.tick_days.rules import find_loss, judge
from quotemill.ticks.columns import DayKey
from tests.unit.tq.loads import SERIES, Store, context, index_row, scheduled

DAY = date(2025, 10, 15)
SCHEDULED = scheduled(DAY)


def test_a_landing_day_takes_out_other_contracts_of_its_day() -> None:
    days = [DAY + timedelta(n) for n in range(4)]
    rows = [index_row(scheduled(day, "SHFE.cu2510")) for day in days[:2]]
    rows.append(index_row(scheduled(days[2], "SHFE.cu2509"), status="superseded"))
    store = Store(*rows, index_row(scheduled(days[3])))
    ctx = context(store=store)
    for day in days:
        batch.unlist_other_contracts(ctx, scheduled(day))
    assert store.superseded == [DayKey(SERIES, "SHFE.cu2510", day) for day in days[:2]]
    assert not any(ctx.stored_day(key) for key in store.superseded)


@pytest.mark.parametrize(
    ("route", "text"),
    [(ticks.HISTORY, "few"), (ticks.NEWEST, "8,000 ticks")],
)
def test_a_short_day_that_lands_names_what_was_asked(route: str, text: str) -> None:
    said: list[str] = []
    ctx = context(said=said, days=[DAY])
    ctx.load.warehouse.ask = lambda _: {}  # type: ignore[method-assign]
    few = pa.table({"volume": [300.0], "datetime_ns": [0]})
    ticks.warn_of_oddities(ctx, SCHEDULED, few, "few", route)
    [warning] = said
    assert f" {text}: " in warning


@pytest.mark.parametrize(
    ("came", "status", "traded", "by_name", "refetches", "lands"),
    [
        ((300, 899), "short", 1000, False, False, False),
        ((300, 900), "short", 1000, False, False, False),  # the same once more
        ((1, 300, 900), "short", 1000, False, False, True),
        ((300, 1000), "short", 1000, False, False, True),
        # a repair writes the same again, and nothing less
        ((300, 900), "complete", 900, True, False, True),
        ((300, 900), "short", 1000, True, False, True),
        ((900,), "complete", 900, True, False, False),
        ((300, 600), "complete", 900, True, False, False),
        ((300, 600), "complete", 900, True, True, False),
        # the last ticks of a day alone have all its lots
        ((900,), "complete", 900, True, True, False),
        ((910,), "complete", 900, True, False, False),
        ((1000,), "short", 1000, False, False, False),
    ],
)
def test_no_answer_that_is_less_replaces_stored_ticks(
    came: tuple[int, ...], status: Any, traded: int, by_name: bool, refetches: bool, lands: bool
) -> None:
    row = index_row(SCHEDULED, rows=2, status=status, day_volume=traded)
    table = pa.table({"volume": pa.array(came, pa.float64())})
    loss = find_loss(table, row, traded, by_name=by_name, refetches=refetches)
    assert (loss is None) == lands


def test_ticks_of_both_sides_replace_none_that_nearly_add_up() -> None:
    row = index_row(SCHEDULED, rows=2, volume=8_700, status="short", day_volume=8_865)
    for came, lands in ((17_730, False), (8_800, True)):
        table = pa.table({"volume": pa.array([1, 2, came], pa.float64())})
        assert (find_loss(table, row, 8_865, by_name=False, refetches=False) is None) == lands


def test_a_correction_takes_few_ticks_out_of_a_day_and_only_where_it_is_read_again() -> None:
    row = index_row(SCHEDULED, rows=20, status="complete", day_volume=900)
    table = pa.table({"volume": pa.array([*range(18), 900], pa.float64())})
    for refetches in (True, False):
        loss = find_loss(table, row, 900, by_name=True, refetches=refetches)
        assert (loss is None) == refetches


@pytest.mark.parametrize(
    ("status", "volume", "before", "now", "judged"),
    [
        ("complete", 900, 900, 1000, "short"),
        ("complete", 900, 900, 905, "complete"),
        ("short", 900, 1000, 905, "complete"),
        ("short", 900, 1000, 1100, "short"),
        ("short", 900, 905, 906, "short"),  # a hole
        ("short", 900, None, 906, "short"),
        ("complete", None, None, 906, "short"),
        ("complete", 900, 900, 450, "short"),  # too many
        ("short", 900, 450, 905, "complete"),
    ],
)
def test_another_day_bar_judges_stored_ticks_without_a_download(
    status: Any, volume: int | None, before: int | None, now: int, judged: str
) -> None:
    row = judge(index_row(SCHEDULED, status=status, volume=volume, day_volume=before), now)
    assert (row.status, row.day_volume) == (judged, now)
