"""What the ticks of a day leave out, from their volumes alone."""

import re
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loaders.tq.tick_days.rules import MANY, describe_gap, rank

COUNT = 10 * MANY
WHOLE = np.arange(1, COUNT + 1) * 5.0  # lots since the start of the day
TRADED = 5 * COUNT


def ticks(volumes: Any) -> pa.Table:
    return pa.table({"volume": pa.array(volumes, pa.float64())})


def test_a_day_whose_last_tick_has_the_volume_of_its_bar_lacks_nothing() -> None:
    assert describe_gap(ticks(WHOLE), TRADED) is None
    assert describe_gap(ticks(WHOLE), None) is None
    assert describe_gap(ticks(WHOLE[: -COUNT // 200]), TRADED) is None


def test_a_day_that_ends_too_early_is_seen_by_its_bar() -> None:
    gap = describe_gap(ticks(WHOLE[: -COUNT // 50]), TRADED)
    assert gap == "ticks of 98,000 lots, where the day bar has 100,000"
    assert " 0 lots, " in str(describe_gap(ticks([]), TRADED))


def test_a_missing_start_or_middle_shows_though_the_last_tick_adds_up() -> None:
    cut = COUNT * 3 // 10
    hole = "ticks with a hole of 30,005 lots among the day's 100,000"
    assert describe_gap(ticks(WHOLE[cut:]), TRADED) == hole
    assert describe_gap(ticks(WHOLE[cut:]), None) == hole
    middle = np.concatenate([WHOLE[:MANY], WHOLE[MANY + cut :]])
    assert describe_gap(ticks(middle), TRADED) == hole
    small = np.concatenate([WHOLE[:MANY], WHOLE[MANY + COUNT // 20 :]])
    assert describe_gap(ticks(small), TRADED) is None


def test_the_last_ticks_of_a_day_alone_are_short_however_few_they_are() -> None:
    end = WHOLE[-MANY // 2 :]
    gap = describe_gap(ticks(end), TRADED)
    assert re.search("hole .* 95,005 .* 100,000$", gap or "")
    assert describe_gap(ticks(end), None) == gap


@pytest.mark.parametrize("lots", [2_000, 15_000])
def test_the_last_ticks_of_a_thin_day_alone_are_short(lots: int) -> None:
    """Their first step is most of the day, and larger than any trade of a thin one."""
    end = np.linspace(lots * 0.8, lots, 60)
    gap = describe_gap(ticks(end), lots)
    assert re.search(f"hole .* {int(lots * 0.8):,} .* {lots:,}$", gap or "")
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
        ("08:59:00", 1, "ticks with a hole of 40,000 lots"),  # a night may be missing
        ("20:59:00", 600, "ticks with a hole of 50,000 lots"),
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
    assert describe_gap(ticks([3.0 * TRADED, *WHOLE]), TRADED) is None


def test_the_better_answer_is_whole_or_longer_or_has_more_ticks() -> None:
    whole, late_start = ticks(WHOLE), ticks(WHOLE[COUNT // 2 :])
    short, shorter = ticks(WHOLE[: COUNT // 2]), ticks(WHOLE[: COUNT // 3])
    assert rank(whole, TRADED) > rank(late_start, TRADED) > rank(short, TRADED)
    assert rank(short, TRADED) > rank(shorter, TRADED)
    thinned = ticks(WHOLE[1::2])
    assert rank(whole, TRADED) > rank(thinned, TRADED)
