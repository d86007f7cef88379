"""A recorder that is killed: what it wrote is there, and the next one says what passed."""
# ruff: noqa: F811

import signal
from collections.abc import Callable
from pathlib import Path

from loaders.sandbox.tq.world import World
from loaders.tq.client.harvest import Harvest
from tests.faults.test_tq_kills import Kill, die_at
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.conftest import schedule_dsn  # noqa: F401
from tests.integration.tq.test_live import (  # noqa: F401
    POOR,
    STATUS,
    _quick,
    files,
    load_evening,
    record,
    stored,
)
from tests.integration.tq.worlds import NEW, NEXT
from tests.integration.tq.worlds import world as market
from tests.integration.tq_service.conftest import own_harvest, world  # noqa: F401
from tests.integration.tq_service.test_live_ticks import DAY, assert_whole, record_until


def test_a_killed_recorder_loses_only_what_passed_until_the_next(
    schedule_dsn: str, tmp_path: Path
) -> None:
    with bench(market(), schedule_dsn, tmp_path, faults=POOR) as made:
        held = kill_at(made, f"{NEXT}T10:00:00")
        assert len(held) == 20
        [hole] = record(made, f"{NEXT}T14:00:00", f"{NEXT}T15:00:00").warnings
        assert hole.startswith(f"{NEW} {NEXT}: ")
        assert load_evening(made, NEXT).status == "succeeded"
        assert made.rows(STATUS, NEXT) == [("short",)]
        landed = stored(made, NEW, NEXT)["datetime_ns"].to_pylist()
        whole = [row["datetime"] for row in made.sandbox.ticks(NEW, NEXT)]
        begun, after = whole.index(held[0]), whole.index(held[-1]) + 1
        # twenty ticks before the kill, and all from twenty before the next recorder on
        assert landed[:20] == whole[begun:after]
        assert landed[20:] == whole[-len(landed) + 20 :]
        assert after < len(whole) - len(landed) + 20


def test_a_lost_connection_costs_no_tick_that_the_servers_still_have(
    world: World, own_harvest: Callable[..., Harvest], tmp_path: Path
) -> None:
    """The client connects again by itself after half a minute; from 19:00 to 19:30 by the
    exchange's real clock it fails instead, and another one takes its place."""
    from loaders.sandbox.tq.service import TqSandbox

    with TqSandbox(world, clock=f"{DAY}T09:30:00") as sandbox:
        folder = tmp_path / "recorded"
        record_until(sandbox, own_harvest(sandbox), "SHFE.cu", folder, f"{DAY}T10:00:00")
        sandbox.faults.add("disconnect:after=1")
        clocks = (f"{DAY}T11:00:00", f"{DAY}T15:00:00")
        harvest = own_harvest(sandbox, {"retries": 1})
        contract = record_until(sandbox, harvest, "SHFE.cu", folder, *clocks)
        assert any(entry.what == "drop" for entry in sandbox.log)
        assert_whole(sandbox, own_harvest(sandbox), folder, contract)


def kill_at(made: Bench, clock: str) -> list[int]:
    """Kill a recorder once it has written; the stamps of the ticks that it wrote."""
    import pyarrow.parquet as pq

    made.sandbox.set_clock(clock)
    ended = die_at(made, Kill("load", "recorded"), {}, mode="live")
    assert ended.code == -signal.SIGKILL, ended.said
    [file] = files(made)
    stamps: list[int] = pq.read_table(file)["datetime_ns"].to_pylist()
    return stamps
