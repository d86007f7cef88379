"""Prices by the console's API as of a day; tests of the console have those of its formats."""

from collections.abc import Callable

import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.integration.console.conftest import Caller, open_console  # noqa: F401
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET

pytestmark = PRICE_MARKET


@pytest.fixture
def caller(
    open_console: Callable[..., Caller],  # noqa: F811
    warehouse: Warehouse,
) -> Caller:
    return open_console({"QUOTEMILL_WAREHOUSE_URL": warehouse.url})


def test_prices_as_of_a_day_know_no_later_event_or_bar(caller: Caller) -> None:
    path = f"/api/klines/{CODE}?adjust=qfq"
    newest = caller.json(path)["rows"]
    before = caller.json(f"{path}&as_of={DAYS[5]}")
    assert before["as_of"] == str(DAYS[5])
    assert [row["trade_date"] for row in before["rows"]] == [str(day) for day in DAYS[:6]]
    # the dividend of 0.15 comes on the next day
    assert [row["close"] for row in before["rows"]][:2] == [10.0, 10.01]
    assert [row["close"] for row in newest][:2] == [9.85, 9.86]
    assert caller.json(f"{path}&as_of={DAYS[-1]}")["rows"] == newest
    weeks = caller.json(f"{path}&freq=1w&as_of={DAYS[5]}")["rows"]
    assert [(week["trade_date"], week["close"], week["is_final"]) for week in weeks] == [
        (str(DAYS[4]), 10.04, True),
        (str(DAYS[5]), 10.05, False),
    ]
    minutes = caller.json(f"{path}&freq=5m&as_of={DAYS[5]}")["rows"]
    assert {row["close"] for row in minutes} == {10.5}
    assert caller.json(f"{path}&freq=5m&as_of={DAYS[2]}")["rows"] == []
    raw = caller.json(f"/api/klines/{CODE}?adjust=none&as_of={DAYS[5]}")["rows"]
    assert len(raw) == 6
