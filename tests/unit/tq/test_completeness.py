"""What the ticks of a day leave out, from their volumes alone."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.tq.tick_days.rules import MANY, describe_gap, rank, traded_lots

COUNT = 10 * MANY
WHOLE = np.arange(1, COUNT + 1) * 5.0  # lots since the start of the day
TRADED = 5 * COUNT


def ticks(volumes: Any) -> pa.Table:
    return pa.table({"volume": pa.array(volumes, pa.float64())})


def figures(gap: str | None) -> list[str]:
    return re.findall(r"\d[\d,]*(?= lots, |$)", gap or "")


def test_a_day_whose_last_tick_has_the_volume_of_its_bar_lacks_nothing() -> None:
    assert describe_gap(ticks(WHOLE), TRADED) is None
    assert describe_gap(ticks(WHOLE), None) is None
    assert describe_gap(ticks(WHOLE[: -COUNT // 200]), TRADED) is None


def test_a_day_that_ends_too_early_is_seen_by_its_bar() -> None:
    gap = describe_gap(ticks(WHOLE[: -COUNT // 50]), TRADED)
    assert figures(gap) == ["98,000", "100,000"]
    assert " 0 lots, " in str(describe_gap(ticks([]), TRADED))


def on(day: str, volumes: Any) -> pa.Table:
    """Ticks of a day from 9:00 on, one a second."""
    start = int(datetime.fromisoformat(f"{day}T09:00:00+08:00").timestamp())
    stamps = (start + np.arange(len(volumes))) * 10**9
    return ticks(volumes).append_column("datetime_ns", pa.array(stamps, pa.int64()))


def test_a_day_with_more_lots_than_its_bar_disagrees_with_it() -> None:
    day = "2019-09-26"
    doubled = describe_gap(on(day, 2 * WHOLE), TRADED)
    assert figures(doubled) == ["200,000", "100,000"]
    halved = describe_gap(on(day, WHOLE), 2 * TRADED)
    assert figures(halved) == ["100,000", "200,000"]
    # a hundredth is the source's own difference, and a leftover of the day before no lot of this
    assert describe_gap(on(day, 1.005 * WHOLE), TRADED) is None
    assert describe_gap(on(day, np.concatenate([[3.0 * TRADED], WHOLE])), TRADED) is None


def test_ticks_of_both_sides_do_not_fit_recorded_minutes(real_tq_data: Path) -> None:
    """Ticks made of the recorded minutes of SHFE.cu2001 on 26 September 2019, once and doubled."""
    bars = pq.read_table(real_tq_data / "klines_60s_SHFE.cu2001.parquet")
    night = datetime.fromisoformat("2019-09-25T18:00:00+08:00").timestamp() * 1e9
    inside = [row for row in bars.to_pylist() if night <= row["datetime"] < night + 86_400 * 10**9]
    volumes = np.cumsum([row["volume"] for row in inside])
    traded = int(volumes[-1])
    assert (len(inside), traded) == (465, 8_865)
    stamps = pa.array([row["datetime"] for row in inside], pa.int64())

    def made(factor: int) -> pa.Table:
        return ticks(factor * volumes).append_column("datetime_ns", stamps)

    assert describe_gap(made(1), traded) is None
    assert figures(describe_gap(made(2), traded)) == ["17,730", "8,865"]


def test_a_missing_start_or_middle_shows_though_the_last_tick_adds_up() -> None:
    cut = COUNT * 3 // 10
    hole = "a gap of 30,005 lots in the day's ticks (100,000 lots)"
    assert describe_gap(ticks(WHOLE[cut:]), TRADED) == hole
    assert describe_gap(ticks(WHOLE[cut:]), None) == hole
    middle = np.concatenate([WHOLE[:MANY], WHOLE[MANY + cut :]])
    assert describe_gap(ticks(middle), TRADED) == hole
    small = np.concatenate([WHOLE[:MANY], WHOLE[MANY + COUNT // 20 :]])
    assert describe_gap(ticks(small), TRADED) is None


def test_the_last_ticks_of_a_day_alone_are_short_however_few_they_are() -> None:
    end = WHOLE[-MANY // 2 :]
    gap = describe_gap(ticks(end), TRADED)
    assert re.search("gap .* 95,005 .*100,000 ", gap or "")
    assert describe_gap(ticks(end), None) == gap


@pytest.mark.parametrize("lots", [2_000, 15_000])
def test_the_last_ticks_of_a_thin_day_alone_are_short(lots: int) -> None:
    """Their first step is most of the day, and larger than any trade of a thin one."""
    end = np.linspace(lots * 0.8, lots, 60)
    gap = describe_gap(ticks(end), lots)
    assert re.search(f"gap .* {int(lots * 0.8):,} .*{lots:,} ", gap or "")
    assert describe_gap(ticks(end), None) == gap
    assert describe_gap(ticks([lots * 0.4, *end]), lots) is None


def test_large_steps_of_a_thin_day_are_trades() -> None:
    assert describe_gap(ticks([400, 1000]), 1000) is None
    assert describe_gap(ticks(np.linspace(500, 1000, MANY - 1)), 1000) is None
    assert describe_gap(ticks([0, 0]), 0) is None


@pytest.mark.parametrize(
    ("opening", "pause", "gap"),
    [
        ("20:59:00", 1, None),  # the auction, and a trade of half the day
        ("21:00:00", 1, None),
        ("08:59:00", 1, "a gap of 40,000 lots"),  # a night may be missing
        ("20:59:00", 600, "a gap of 50,000 lots"),
    ],
)
def test_large_steps_are_holes_only_where_ticks_may_be_missing(
    opening: str, pause: int, gap: str | None
) -> None:
    """As on a day at its price limit."""
    first, half = 40_000, np.arange(MANY)
    volumes = np.concatenate([first + half, [first + 50_000 + MANY - 1]])
    start = datetime.fromisoformat(f"2025-10-14T{opening}+08:00").timestamp()
    seconds = np.concatenate([half * 5, [MANY * 5 + pause]]) + int(start)
    table = ticks(volumes).append_column("datetime_ns", pa.array(seconds * 10**9, pa.int64()))
    text = describe_gap(table, int(volumes[-1]))
    assert (text or "").startswith(gap or "")
    assert (text is None) == (gap is None)
    back = table.take(np.arange(len(volumes))[::-1])  # in another order
    assert describe_gap(back, int(volumes[-1])) == text


def test_late_ticks_missing_volumes_and_leftovers_are_no_holes() -> None:
    late = np.concatenate([WHOLE[MANY:], WHOLE[:MANY]])
    assert describe_gap(ticks([None, float("nan"), *late]), TRADED) is None
    leftover = on("2025-10-14", [3.0 * TRADED, *WHOLE])
    assert describe_gap(leftover, TRADED) is None
    assert traded_lots(leftover) == TRADED
    assert traded_lots(on("2025-10-14", [*WHOLE, 5.0])) == TRADED  # an early tick again


def test_the_better_answer_is_whole_or_longer_or_has_more_ticks() -> None:
    whole, late_start = ticks(WHOLE), ticks(WHOLE[COUNT // 2 :])
    short, shorter = ticks(WHOLE[: COUNT // 2]), ticks(WHOLE[: COUNT // 3])
    assert rank(whole, TRADED) > rank(late_start, TRADED) > rank(short, TRADED)
    assert rank(short, TRADED) > rank(shorter, TRADED)
    thinned = ticks(WHOLE[1::2])
    assert rank(whole, TRADED) > rank(thinned, TRADED)
