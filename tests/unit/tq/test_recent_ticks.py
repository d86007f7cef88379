"""Accounts without the history of ticks: days whose newest ticks did not come."""

import re
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from loaders.tq.context import Context
from loaders.tq.datasets import ticks
from loaders.tq.errors import (
    TqAnswerError,
    TqClientError,
    TqPermissionError,
    TqTimeout,
    UnknownSymbol,
)
from loaders.tq.live.recorded import RecentDay
from loaders.tq.tick_days.recent_ticks import (
    LACKING,
    NO_PERMISSION,
    REACH,
    select_obtainable,
)
from quotemill.errors import UpstreamError
from tests.unit.tq.loads import context, index_row, scheduled

DAYS = [date(2025, 10, day) for day in range(1, 1 + REACH + 2)]
OLD, NEW = "SHFE.cu2510", "SHFE.cu2511"


class Servers:
    """Servers that give no newest ticks of any contract."""

    def __init__(self, error: Exception) -> None:
        self.error, self.asked = error, list[str]()

    def recent_ticks(self, contract: str, _: int) -> Any:
        self.asked.append(contract)
        raise self.error


def without_permission(servers: Servers, said: list[str]) -> Context:
    schedule = [*(scheduled(day, OLD) for day in DAYS[:2]), *(scheduled(d, NEW) for d in DAYS[2:])]
    return context(
        said=said,
        harvest=servers,
        schedule={day.key: day for day in schedule},
        settled_days={"SHFE.cu": DAYS[-1]},
    )


@pytest.mark.parametrize(
    "error",
    [TqTimeout("no sign of life"), TqClientError("a column is missing"), TqAnswerError("odd")],
)
def test_newest_ticks_that_did_not_come_are_a_failure_of_the_newest_day(
    error: UpstreamError,
) -> None:
    servers, said = Servers(error), list[str]()
    ctx = without_permission(servers, said)
    # revised days stand before the missing ones
    wanted = [scheduled(day, NEW) for day in (DAYS[-1], *DAYS[3:-1])]
    wanted.append(scheduled(DAYS[0], OLD))
    [newest] = select_obtainable(ctx, wanted)
    assert newest == scheduled(DAYS[-1], NEW)
    assert re.search(f"{len(wanted) - 1} .* {DAYS[-2]}", said[0])
    # of this load only: nothing is put on record
    outcome = ticks.check_day(ctx, newest, TqPermissionError(LACKING))
    assert str(outcome.failure).endswith(f": {error}")
    assert servers.asked == [NEW]


def test_a_permission_that_ends_during_a_load_ends_it_not() -> None:
    ctx = context(days=DAYS, recent={NEW: {}})
    refused = TqPermissionError("no tq_dl")
    assert ticks.check_day(ctx, scheduled(DAYS[-1], NEW), refused).skipped == NO_PERMISSION


def test_a_short_day_without_more_leaves_the_memory() -> None:
    ctx = without_permission(Servers(TqTimeout("no sign of life")), [])
    held = {day: RecentDay(pa.table({"id": list(range(9))}), "a hole") for day in DAYS[-3:]}
    ctx.recent[NEW] = held
    short = [scheduled(day, NEW) for day in DAYS[-2:]]
    rows = {DAYS[-2]: 9, DAYS[-1]: 8}
    ctx.index.put(index_row(day, status="short", rows=rows[day.trading_day]) for day in short)
    assert select_obtainable(ctx, short) == short[1:]
    assert list(held) == [DAYS[-3], DAYS[-1]]


def test_an_expired_contract_without_newest_ticks_is_no_failure() -> None:
    said: list[str] = []
    ctx = without_permission(Servers(UnknownSymbol([NEW])), said)
    assert select_obtainable(ctx, [scheduled(DAYS[-1], NEW)]) == []
    assert len(said) == 2
    assert (
        ticks.check_day(ctx, scheduled(DAYS[-1], NEW), TqPermissionError(LACKING)).failure is None
    )
