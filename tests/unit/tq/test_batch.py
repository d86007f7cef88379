"""Days that are written together: one that the store refuses costs no other."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from loaders.engine.outcome import Outcome, SourceGone
from loaders.ticks.day_hash import measured
from loaders.ticks.store import Measured
from loaders.tq.tick_days import batch
from loaders.tq.tick_days.batch import Batch, CheckedDay
from loaders.tq.tick_days.schedule import key_text
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError
from tests.ticks import day_of_ticks
from tests.unit.tq.loads import Store, context, scheduled

DAY = date(2025, 10, 15)
CONTRACTS = ("SHFE.cu2511", "SHFE.zn2511", "DCE.m2601")


class Writing(Store):
    """Refuses days of some contracts."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused, self.writes = refused, list[int]()

    def write_days(self, days: Sequence[pa.Table]) -> list[Measured | StoreError]:
        self.writes.append(len(days))
        return [
            StoreError("not taken")
            if day["underlying_contract"][0].as_py() in self.refused
            else measured(day)
            for day in days
        ]


def checked(contract: str, rows: int = 20) -> CheckedDay:
    day = scheduled(DAY, contract)._replace(symbol=f"KQ.m@{contract[:-4]}")
    frame = day_of_ticks(rows, DayKey(day.symbol, contract, DAY))
    return CheckedDay(day, frame, (), rows, traded=rows, gap=None, route="ticks")


def test_days_of_a_trading_day_are_one_write_and_a_refused_one_costs_no_other() -> None:
    store = Writing(CONTRACTS[1])
    ctx: Any = context(store=store)
    ctx.load.job_id = 7
    days, held = [checked(contract) for contract in CONTRACTS], Batch(ctx)
    empty = scheduled(DAY, "SHFE.al2511")
    gone = scheduled(DAY, "SHFE.pb2511")
    held.add(days[0])
    held.add(Outcome(key_text(empty.key), skipped="no tick"))
    held.add(days[1])
    held.add(days[2])
    held.add(Outcome(key_text(gone.key), failure="away", gone=SourceGone("away")))
    first, skipped, refused, last, end = held.write()
    assert store.writes == [3]
    assert [len(outcome.rows or ()) for outcome in (first, skipped, refused, last)] == [1, 0, 0, 1]
    assert (skipped.skipped, refused.failure) == ("no tick", "not taken")
    assert end.gone is not None
    assert {key.contract for key in store.indexed} == {CONTRACTS[0], CONTRACTS[2]}
    assert held.write() == []
    assert store.writes == [3]


def test_a_batch_is_full_by_its_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MOST_TICKS", 30)
    held = Batch(context())
    for contract, is_full in zip(CONTRACTS, (False, True, True), strict=True):
        held.add(checked(contract))
        assert held.is_full is is_full
