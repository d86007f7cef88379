"""A home loaded by the machine's time, as a sandbox's without `--as-of`, and then at its own."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from loaders.sandbox.tq.world import World
from loaders.tq.next_steps import list_next_steps
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import bench, build_schedule
from tests.integration.tq.worlds import DAYS, END, FIRST, NEW, OLD, TRADED

LATER = datetime(2025, 11, 20, 18, 30)  # the simulated market has ended by then
STATUS = "select status, count(*) from raw_tq.symbol_day group by 1 order by 1"
MINUTES = "select count(*), sum(volume) from raw_tq.tick_minute"


def test_a_home_loaded_by_machine_time_is_completed_at_the_markets(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    served = World(("SHFE.cu",), first=FIRST, end=END, ticks_per_day=150, default_ticks=150)
    with bench(served, new_database(), tmp_path) as made:
        made.load(clock=LATER)  # partial: the source stands still
        assert made.load().status == "succeeded"
        build_schedule(made)
        made.sandbox.faults.add(f"short:contract={OLD}:day={TRADED[1]}:keep=60")
        made.sandbox.faults.add(f"empty:contract={NEW}:day={END}")
        for _ in range(2):
            made.load("ticks", clock=LATER)
        assert made.rows(STATUS) == [("complete", DAYS - 2), ("short", 1)]
        short = made.rows(MINUTES)

        made.sandbox.faults.clear()
        result = made.load("ticks")
        assert (result.status, made.rows(STATUS)) == ("succeeded", [("complete", DAYS)])
        assert made.rows(MINUTES) > short
        days = "select m.row_hash = d.row_hash from raw_tq.tick_minute_day as m "
        days += "inner join raw_tq.symbol_day as d using (contract, trading_day)"
        assert made.rows(days) == [(True,)] * DAYS
        lots = "select sum(d.volume) from raw_tq.contract_daily as d inner join raw_tq.symbol_day "
        lots += "as s on (d.contract, d.trade_date) = (s.contract, s.trading_day)"
        assert [made.rows(MINUTES)[0][1:]] == made.rows(lots)

        made.asked()
        assert made.load("ticks").tasks == ()
        assert made.asked() == []
        steps = list_next_steps(made.settings, open_warehouse(made.settings))
        assert [step for step in steps if "days of ticks" in step] == []
