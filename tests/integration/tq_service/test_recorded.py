"""The recorded ticks of a real contract come through the real client as they were recorded."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.sandbox.tq.replay import Replay
from loaders.ticks.frame import day_frame
from loaders.tq.client.harvest import Harvest
from loaders.tq.tick_days.conversion import sift_ticks
from quotemill.ticks.columns import DayKey
from tests.integration.tq_service.conftest import day_range

CONTRACT, DAY = "SHFE.cu1909", date(2019, 9, 16)


def test_recorded_ticks_come_back_equal(
    real_tq_data: Path, own_harvest: Callable[..., Harvest]
) -> None:
    from loaders.sandbox.tq.service import TqSandbox

    world = Replay(real_tq_data, [CONTRACT])
    with TqSandbox(world) as sandbox:
        harvest = own_harvest(sandbox)
        events = harvest.main_events("SHFE.cu", DAY, DAY, "backtest")
        assert [contract for _, contract in events.events] == [CONTRACT]
        asked = day_range(world, DAY)
        ticks = pq.read_table(harvest.ticks(CONTRACT, *asked))
    recorded = pq.read_table(real_tq_data / f"ticks_{CONTRACT}.parquet")
    assert ticks["id"].equals(recorded["id"])
    assert ticks["datetime_ns"].equals(recorded["datetime"])
    names = [name for name in ticks.column_names if name not in ("id", "datetime_ns")]
    assert set(names) == set(recorded.column_names) - {"id", "symbol", "datetime", "datetime_cst"}
    for name in names:
        assert ticks[name].equals(recorded[name].cast(pa.float64())), name
    # levels that were empty, and ticks that share a stamp of the exchange
    assert ticks["ask_price5"].null_count == recorded["ask_price5"].null_count
    # and are stored so: none is refused, and the tick store gets the rows of the file (that these
    # read back identically is proved by the tests of the stores)
    key = DayKey("KQ.m@SHFE.cu", CONTRACT, DAY)
    sifted = sift_ticks(ticks, key, *asked)
    assert (sifted.refused, sifted.rejected) == (0, [])
    renamed = recorded.rename_columns(
        ["datetime_ns" if name == "datetime" else name for name in recorded.column_names]
    )
    frames = [
        day_frame(rows, key, segment_id=3, schedule_hash="0" * 16)
        for rows in (sifted.ticks, renamed)
    ]
    assert frames[0].num_rows == recorded.num_rows == 200
    assert frames[0].equals(frames[1])
    assert pc.any(pc.equal(pc.bit_wise_and(pc.divide(ticks["datetime_ns"], 1000), 1), 1)).as_py()


def test_every_contract_of_a_replay_s_list_is_described(
    real_tq_data: Path, own_harvest: Callable[..., Harvest]
) -> None:
    """The client itself lists those of before October 2020, some for a later day than the clock."""
    from loaders.sandbox.tq.service import TqSandbox

    with TqSandbox(Replay(real_tq_data), clock="2019-09-16") as sandbox:
        harvest = own_harvest(sandbox, {"timeout": 10, "retries": 0})
        answer = harvest.instruments(["SHFE.cu"])
        since = [
            row["contract"]
            for row in answer.contracts
            if row["expire_date"] and row["expire_date"] >= date(2019, 1, 1)
        ]
        assert {"SHFE.cu1910", "SHFE.cu2002", "SHFE.cu2009"} <= set(since)
        bars = harvest.daily(since, date(2019, 1, 1), DAY)
        assert {"SHFE.cu1908", CONTRACT} <= set(bars["contract"].to_pylist())
        assert answer.undescribed == ()


def test_a_day_bar_is_built_from_the_finest_recorded_data(real_tq_data: Path) -> None:
    """Minutes across the holiday of October 2019.

    Friday's night belongs to Monday, the eve has none, and the days are those that traded.
    """
    world = Replay(real_tq_data, ["SHFE.cu2001"])
    assert world.first_id("SHFE.cu2001") == 0
    after = world.days.index(date(2019, 10, 8))
    assert world.days[after - 1] == date(2019, 9, 30)
    minutes = world.day_bars("SHFE.cu2001", date(2019, 10, 8), 60 * 10**9)
    assert minutes is not None
    assert minutes[0]["datetime"] == 1570496400 * 10**9  # 09:00 of the 8th
    (whole,) = world.day_bars("SHFE.cu2001", date(2019, 9, 30), 86_400 * 10**9) or ()
    monday = world.day_bars("SHFE.cu2001", date(2019, 9, 30), 60 * 10**9) or []
    assert monday[0]["datetime"] == 1569589200 * 10**9  # 21:00 of Friday
    assert (whole["open"], whole["close"]) == (monday[0]["open"], monday[-1]["close"])
    assert whole["volume"] == sum(bar["volume"] for bar in monday)
    assert whole["high"] == max(bar["high"] for bar in monday)
