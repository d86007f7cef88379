"""The recorder of the real client: what the servers send while their clock goes on."""

from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loaders.sandbox.tq.world import World
from loaders.tq.client.harvest import Harvest
from loaders.tq.live.recorded import find_holes, merge_ticks, read_recorded
from loaders.tq.trading_day import bounds, to_time

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox

DAY = date(2025, 11, 18)
MOST_ITEMS = 2_000


def record_until(
    sandbox: "TqSandbox", harvest: Harvest, variety: str, folder: Path, *clocks: str
) -> str:
    """Record from the servers' clock to later ones, one after the other; the recorded contract."""
    [contract] = [c for day, c in sandbox.schedule(variety) if day == DAY and c]
    start, _ = bounds(DAY, sandbox.world.calendar)
    awaited: datetime | None = None
    left = list(clocks)
    stamps: dict[str, tuple[str, datetime | None]] = {}
    items = harvest.live([variety], DAY, start, folder=folder, flush=0.05)
    with closing(items):
        for stamps in islice(items, MOST_ITEMS):
            assert [code for code, _ in stamps.values()] == [contract]
            if awaited in (None, stamps[variety][1]):
                if not left:
                    return contract
                sandbox.set_clock(left.pop(0))
                awaited = to_time(sandbox.ticks(contract, DAY)[-1]["datetime"])
    raise AssertionError(f"{awaited} did not come, but {stamps}")


def assert_whole(sandbox: "TqSandbox", harvest: Harvest, folder: Path, contract: str) -> None:
    recorded = read_recorded(folder, contract)
    assert recorded is not None
    merged = merge_ticks(recorded, harvest.recent_ticks(contract, 1))
    assert (merged.shared, merged.differing) == (1, 0)
    assert find_holes(merged.ticks) == []
    own = [row["datetime"] for row in sandbox.ticks(contract, DAY)]
    # and the tick before the day
    assert merged.ticks["datetime_ns"].to_pylist()[1:] == own
    truth = sandbox.tick_table(contract, DAY)
    assert merged.ticks.slice(1).select(truth.column_names).equals(truth)


@pytest.mark.long
@pytest.mark.parametrize("variety", ["SHFE.cu", "DCE.m"])
def test_a_recorder_that_is_started_again_takes_the_newest_ticks(
    world: World, own_harvest: Callable[..., Harvest], tmp_path: Path, variety: str
) -> None:
    from loaders.sandbox.tq.service import TqSandbox

    with TqSandbox(world, clock=f"{DAY}T09:30:00") as sandbox:
        folder = tmp_path / "recorded"
        contract = record_until(sandbox, own_harvest(sandbox), variety, folder, f"{DAY}T10:00:00")
        # nothing records until 14:00, and the servers' newest ticks reach back
        sandbox.set_clock(f"{DAY}T14:00:00")
        record_until(sandbox, own_harvest(sandbox), variety, folder, f"{DAY}T15:00:00")
        assert_whole(sandbox, own_harvest(sandbox), folder, contract)
