"""Contracts whose code has the earlier name of their product: CZCE.TC1604 is of CZCE.ZC."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loaders.tq import landed
from loaders.tq.client.answers import Instruments, MainEvents
from loaders.tq.datasets.main_events import check_answer
from quotemill.errors import UpstreamError

DAY = date(2016, 3, 16)
OLD, NEW = "CZCE.TC1604", "CZCE.ZC1605"


def answer(*contracts: str) -> MainEvents:
    events = [(datetime(2016, 3, 16 + n, tzinfo=UTC), c) for n, c in enumerate(contracts)]
    return MainEvents("history", DAY, date(2016, 3, 17), cast("Any", events))


def test_a_main_contract_is_of_the_variety_that_lists_it() -> None:
    listed = Instruments({}, [{"contract": OLD}, {"contract": NEW}], {})
    ctx = cast(
        "Any",
        SimpleNamespace(days=[DAY, date(2016, 3, 17)], fetch_instruments=lambda _: listed),
    )
    _, _, events = check_answer(ctx, answer(OLD, NEW), "CZCE.ZC", None)
    assert [contract for *_, contract in events] == [OLD, NEW]
    with pytest.raises(UpstreamError, match=r"CZCE\.MA1605: .* CZCE\.ZC"):
        check_answer(ctx, answer(OLD, "CZCE.MA1605"), "CZCE.ZC", None)


def test_a_contract_has_the_variety_of_its_landed_row() -> None:
    conn = SimpleNamespace(
        execute=lambda *_: SimpleNamespace(fetchall=lambda: [(OLD, "CZCE.ZC"), (NEW, "CZCE.ZC")])
    )
    known = landed.varieties(cast("Any", conn), [OLD, NEW, "SHFE.cu1605"])
    assert known == {OLD: "CZCE.ZC", NEW: "CZCE.ZC", "SHFE.cu1605": "SHFE.cu"}
