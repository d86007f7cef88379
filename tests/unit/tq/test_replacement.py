"""Stored ticks and another answer for their day: which of them stay, and what is said of it."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from loaders.engine.request import LoadRequest
from loaders.tq.datasets import ticks
from loaders.tq.tick_days import batch
from loaders.tq.tick_days.ledger import LedgerRow
from loaders.tq.tick_days.replacement import find_loss
from quotemill.ticks.columns import DayKey
from tests.unit.tq.loads import SERIES, Store, context, ledger_row, scheduled

DAY = date(2025, 10, 15)
SCHEDULED = scheduled(DAY)


class CountedLedger(dict[DayKey, LedgerRow]):
    """A ledger that counts how often it is iterated."""

    walks = 0

    def __iter__(self) -> Iterator[DayKey]:
        self.walks += 1
        return super().__iter__()

    def items(self) -> Any:
        self.walks += 1
        return super().items()


def test_a_landing_day_takes_out_other_contracts_without_reading_every_day() -> None:
    days = [DAY + timedelta(n) for n in range(30)]
    rows = [ledger_row(scheduled(day, "SHFE.cu2510")) for day in days[:2]]
    rows.append(ledger_row(scheduled(days[2], "SHFE.cu2509"), status="superseded"))
    rows += [ledger_row(scheduled(day)) for day in days[3:]]
    ledger, store = CountedLedger({row.key: row for row in rows}), Store()
    ctx = context(store=store, ledger=ledger)
    for day in days:
        batch.unlist_other_contracts(ctx, scheduled(day))
    assert store.superseded == [DayKey(SERIES, "SHFE.cu2510", day) for day in days[:2]]
    assert ledger.walks == 1


@pytest.mark.parametrize(
    ("route", "text"),
    [(ticks.HISTORY, "few ticks"), (ticks.NEWEST, "of the newest 8,000 ticks")],
)
def test_a_short_day_that_lands_names_what_was_asked(route: str, text: str) -> None:
    said: list[str] = []
    ctx = context(said=said, days=[DAY])
    ctx.load.warehouse.ask = lambda _: {}  # type: ignore[method-assign]
    few = pa.table({"volume": [300.0], "datetime_ns": [0]})
    ticks.warn_of_oddities(ctx, SCHEDULED, few, "few ticks", route)
    [warning] = said
    assert f" {text}: landed as short" in warning


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
    row = ledger_row(SCHEDULED, rows=2, status=status, day_volume=traded)
    ctx = context(ledger={SCHEDULED.key: row}, by_name=by_name, refetches=refetches)
    table = pa.table({"volume": pa.array(came, pa.float64())})
    assert (find_loss(ctx, SCHEDULED, table, traded) is None) == lands
    ctx.load.request = LoadRequest("tq", datasets=("ticks",), accept_loss=True)
    assert find_loss(ctx, SCHEDULED, table, traded) is None


def test_a_correction_takes_few_ticks_out_of_a_day_and_only_where_it_is_read_again() -> None:
    row = ledger_row(SCHEDULED, rows=20, status="complete", day_volume=900)
    table = pa.table({"volume": pa.array([*range(18), 900], pa.float64())})
    for refetches in (True, False):
        ctx = context(ledger={SCHEDULED.key: row}, by_name=True, refetches=refetches)
        assert (find_loss(ctx, SCHEDULED, table, 900) is None) == refetches


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
    ],
)
def test_another_day_bar_judges_stored_ticks_without_a_download(
    status: Any, volume: int | None, before: int | None, now: int, judged: str
) -> None:
    row = ledger_row(SCHEDULED, status=status, volume=volume, day_volume=before)
    assert (row.judged_by(now).status, row.judged_by(now).day_volume) == (judged, now)
