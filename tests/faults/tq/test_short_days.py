"""Days with fewer lots than their day bar: never complete, asked again, never made worse."""

import re
from contextlib import closing
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from loaders.cli import verify as commands
from loaders.ticks.open_store import open_store
from loaders.tq.next_steps import list_next_steps
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import DataQualityError
from tests.faults.tq.test_ticks import failures
from tests.faults.tq.test_verify import change_a_price
from tests.integration.tq.bench import Bench, count_changed_days
from tests.integration.tq.test_ticks import asked_days, stored
from tests.integration.tq.worlds import INDEX, NEW, OLD, TRADED

DAY = TRADED[1]
SHORT = f"short:contract={OLD}:day={DAY}:keep=60"


def status_of(made: Bench) -> list[tuple[str, int]]:
    where = f"where contract = '{OLD}' and trading_day = '{DAY}'"
    return made.rows(f"select status, rows from raw_tq.symbol_day {where}")


def records(made: Bench) -> list[tuple[Any, ...]]:
    """The store's own records of days without ticks, or with too few."""
    with closing(open_store(made.settings, open_warehouse(made.settings))) as store:
        return [(row.status, row.attempts) for row in store.no_data()]


def test_a_short_day_is_asked_again_until_it_is_whole(mapped: Bench) -> None:
    mapped.sandbox.faults.add(SHORT)
    assert mapped.load("ticks").status == "succeeded"
    assert status_of(mapped) == [("short", 60)]
    [line] = list_next_steps(mapped.settings, open_warehouse(mapped.settings))
    assert re.match("1 day .* SHFE.cu short ", line)
    mapped.asked()
    again = mapped.load("ticks")
    assert (again.status, again.total("skipped"), asked_days(mapped)) == ("succeeded", 1, 1)
    assert status_of(mapped) == [("short", 60)]
    mapped.sandbox.faults.clear()
    assert count_changed_days(mapped.load("ticks")) == 1
    assert status_of(mapped) == [("complete", 150)]
    assert records(mapped) == [("superseded", 2)]
    assert stored(mapped, OLD, DAY).num_rows == 150
    assert mapped.load("ticks").tasks == ()
    mapped.sandbox.faults.add(SHORT)
    refused = mapped.load("ticks", options={"date": str(DAY)})
    assert (refused.status, stored(mapped, OLD, DAY).num_rows) == ("failed", 150)
    accepted = mapped.load(
        "ticks", datasets=("ticks",), options={"date": str(DAY)}, accept_loss=True
    )
    assert (accepted.status, status_of(mapped)) == ("succeeded", [("short", 60)])
    assert stored(mapped, OLD, DAY).num_rows == 60


def test_the_newest_day_lands_as_short_and_is_asked_again(mapped: Bench) -> None:
    """Its ticks may only be late; a thin variety never has those of its last lots."""
    newest = TRADED[-1]
    query = f"select status, rows from raw_tq.symbol_day where trading_day = '{newest}'"
    mapped.sandbox.faults.add(f"lost-ticks:contract={NEW}:day={newest}:keep=140")
    for nights in (0, 1, 2, 3):
        late = datetime.combine(newest, time(19, 45)) + timedelta(nights)
        result = mapped.load("ticks", clock=late)
        assert (result.status, failures(result)) == ("succeeded", {})
        assert mapped.rows(query) == [("short", 140)]
    mapped.sandbox.faults.clear()
    assert mapped.load("ticks", clock=late).status == "succeeded"
    assert mapped.rows(query) == [("complete", 150)]
    assert mapped.load("ticks", clock=late).tasks == ()


def test_a_day_without_a_day_bar_is_short_until_ticks_come_from_its_close(
    mapped: Bench,
) -> None:
    """A later bar judges it at once, and the missing session is asked for again."""
    bar = f"contract = '{OLD}' and trade_date = '{DAY}'"
    mapped.execute(
        f"create table bar as select * from raw_tq.contract_daily where {bar}; "
        f"delete from raw_tq.contract_daily where {bar}"
    )
    cut = mapped.sandbox.faults.add(f"lost-ticks:contract={OLD}:day={DAY}:keep=90")
    said = ""
    for _ in range(2):
        result = mapped.load("ticks")
        assert (result.status, failures(result)) == ("succeeded", {})
        assert status_of(mapped) == [("short", 90)]
        said += str(result.warnings)
    assert "no day bar confirms that trading ended then" in said
    mapped.sandbox.faults.remove(cut)
    assert mapped.load("ticks").status == "succeeded"
    assert status_of(mapped) == [("complete", 150)]

    mapped.sandbox.faults.add(f"lost-ticks:contract={OLD}:day={DAY}:keep=90")
    named = {"datasets": ("ticks",), "options": {"date": str(DAY)}, "accept_loss": True}
    assert mapped.load("ticks", **named).status == "succeeded"
    assert status_of(mapped) == [("short", 90)]
    mapped.execute("insert into raw_tq.contract_daily select * from bar")
    assert mapped.load("ticks").status == "succeeded"
    assert status_of(mapped) == [("short", 90)]
    mapped.sandbox.faults.clear()
    assert mapped.load("ticks").status == "succeeded"
    assert status_of(mapped) == [("complete", 150)]


def test_a_day_without_ticks_and_bar_is_no_failure_and_asked_again(mapped: Bench) -> None:
    """Such are days of hardly traded contracts."""
    mapped.execute(
        f"delete from raw_tq.contract_daily where contract = '{OLD}' and trade_date = '{DAY}'"
    )
    mapped.sandbox.faults.add(f"empty:contract={OLD}:day={DAY}")
    for night in range(4):
        late = datetime.combine(TRADED[-1], time(19, 45)) + timedelta(night)
        result = mapped.load("ticks", clock=late)
        assert (result.status, failures(result), result.total("skipped")) == ("succeeded", {}, 1)
    assert records(mapped) == [("missing", 4)]
    mapped.sandbox.faults.clear()
    assert mapped.load("ticks", clock=late).status == "succeeded"
    assert status_of(mapped) == [("complete", 150)]


def test_a_repair_lands_no_smaller_answer(
    made: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = made.rows(INDEX)
    change_a_price(made, DAY)
    made.sandbox.faults.add(SHORT)
    monkeypatch.setattr(commands, "load_settings", lambda: made.settings)
    at = made.sandbox.clock.isoformat()
    with pytest.raises(DataQualityError, match="differences"):
        commands.verify_command("tq", repair=True, as_of=at)
    assert (made.rows(INDEX), stored(made, OLD, DAY).num_rows) == (before, 150)
    accepted = made.load("ticks", datasets=("ticks",), options={"date": str(DAY)}, accept_loss=True)
    assert (accepted.status, status_of(made)) == ("succeeded", [("short", 60)])
    capsys.readouterr()
    commands.verify_command("tq", as_of=at)
    assert f"KQ.m@SHFE.cu {OLD} {DAY}: short of its day bar" in capsys.readouterr().out


def test_a_refetch_takes_what_the_vendor_corrected(made: Bench) -> None:
    prices = stored(made, OLD, DAY)["last_price"].to_pylist()
    made.sandbox.faults.add(f"revise-ticks:contract={OLD}:day={DAY}:by=1")
    assert made.load("ticks", since=DAY, until=DAY).tasks == ()
    made.asked()
    again = made.load("ticks", since=DAY, until=DAY, options={"refetch": "yes"})
    assert (again.status, count_changed_days(again), asked_days(made)) == ("succeeded", 1, 1)
    assert stored(made, OLD, DAY)["last_price"].to_pylist() == [p + 10 for p in prices]
    assert len(made.rows("select * from raw_tq.tick_revision")) == 1
    made.sandbox.faults.clear()
    made.sandbox.faults.add(SHORT)
    refused = made.load("ticks", options={"date": str(DAY)})
    assert (refused.status, stored(made, OLD, DAY).num_rows) == ("failed", 150)
    assert "--accept-loss" in str(failures(refused))
