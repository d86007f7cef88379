"""Volumes of one bar that two sources count in units of their own."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from loaders.landing.volumes import HAND
from loaders.tdx.tables import KLINE_DAILY
from loaders.warehouse.tables import Batch
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench
from tests.integration.landing.test_whole_units import DAYS, NEXT_DAY, NOON

ROWS = "select code, volume, volume_unit, close, is_final from raw_tdx.kline_daily order by code"
ROUTE = "/api/kline-all"


class Bar(NamedTuple):
    """A bar of one source."""

    volume: int
    unit: int | None
    close: int = 10_000
    amount: int = 400_000
    final: bool = True


def land(bench: LandingBench, bars: dict[str, Bar], fetched: datetime) -> tuple[int, int]:
    size = len(bars)
    columns: dict[str, Any] = {
        "code": list(bars),
        "trade_date": pa.array([DAYS[0]] * size, pa.date32()),
        **{name: [b.close for b in bars.values()] for name in ("open", "high", "low", "close")},
        "volume": [b.volume for b in bars.values()],
        "volume_unit": pa.array([b.unit for b in bars.values()], pa.int16()),
        "amount": [b.amount for b in bars.values()],
        "source_route": [ROUTE] * size,
        "fetched_at": pa.array([fetched] * size, pa.timestamp("us", tz="UTC")),
        "is_final": [b.final for b in bars.values()],
    }
    landed = bench.land_batches(KLINE_DAILY, Batch(conform(pa.table(columns), KLINE_DAILY)))
    return landed.new, landed.changed


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    return LandingBench(warehouse_dsn, tmp_path, KLINE_DAILY)


@pytest.mark.parametrize(
    ("shares", "hands"), [(150, 32_768), (937, 264), (1_699, 2_056), (3_301, 48), (6_499, 544)]
)
def test_hands_that_the_service_misread_replace_no_shares(
    bench: LandingBench, shares: int, hands: int
) -> None:
    fine, misread = Bar(shares, 1), Bar(hands, HAND, amount=400_900)
    land(bench, {"file_first": fine, "grew": fine, "service_first": misread}, NOON)
    grown = Bar(hands, HAND, amount=9_000_000)  # the number is right, as its turnover shows
    land(bench, {"file_first": misread, "grew": grown, "service_first": fine}, NEXT_DAY)
    stored = {code: row[:2] for code, *row in bench.rows(ROWS)}
    right = [shares, 1]
    assert stored == {"file_first": right, "grew": [hands, HAND], "service_first": right}


def test_the_finer_volume_of_a_bar_stays_whichever_came_first(bench: LandingBench) -> None:
    shares, hands = Bar(20_377, 1), Bar(203, HAND)
    land(bench, {"file_first": shares, "service_first": hands, "of_before": Bar(203, None)}, NOON)
    land(bench, {"file_first": hands, "service_first": shares, "of_before": shares}, NEXT_DAY)
    fine = [(code, 20_377, 1, 10_000, True) for code in ("file_first", "of_before")]
    assert bench.rows(ROWS) == [*fine, ("service_first", 20_377, 1, 10_000, True)]
    # again, and what was known before: nothing changes
    again = {"file_first": hands, "of_before": hands, "service_first": hands}
    assert land(bench, again, NEXT_DAY + timedelta(days=1)) == (0, 0)
    assert land(bench, dict.fromkeys(again, shares), NOON) == (0, 0)


def test_a_file_from_before_the_services_answer_gives_its_shares(bench: LandingBench) -> None:
    rounded = Bar(50, 1, amount=400_001)  # turnover is a single float at both
    land(bench, {"odd": Bar(0, HAND), "other": Bar(0, HAND, close=9_000)}, NEXT_DAY)
    assert land(bench, {"odd": rounded, "other": rounded}, NOON) == (0, 1)
    assert bench.rows(ROWS) == [("odd", 50, 1, 10_000, True), ("other", 0, 100, 9_000, True)]


def test_a_corrected_price_keeps_the_finer_volume(bench: LandingBench) -> None:
    land(bench, {"a": Bar(151, 1)}, NOON)
    assert land(bench, {"a": Bar(1, HAND, close=10_100)}, NEXT_DAY) == (0, 1)
    assert bench.rows(ROWS) == [("a", 151, 1, 10_100, True)]


def test_a_provisional_bar_becomes_final_with_its_finer_volume(bench: LandingBench) -> None:
    land(bench, {"same": Bar(151, 1, final=False), "grew": Bar(151, 1, final=False)}, NOON)
    land(bench, {"same": Bar(1, HAND), "grew": Bar(7, HAND)}, NEXT_DAY)
    land(bench, {"same": Bar(152, 1, final=False), "grew": Bar(799, 1, final=False)}, NEXT_DAY)
    rows = [("grew", 7, 100, 10_000, True), ("same", 151, 1, 10_000, True)]
    assert bench.rows(ROWS) == rows


def test_rows_landed_before_the_column_count_in_hands(bench: LandingBench) -> None:
    land(bench, {"a": Bar(203, None)}, NOON)
    assert land(bench, {"a": Bar(203, HAND)}, NEXT_DAY) == (0, 0)


def test_hands_beyond_a_single_float_agree_with_their_shares(bench: LandingBench) -> None:
    land(bench, {"a": Bar(4_294_967_295, 1), "b": Bar(4_294_967_295, 1)}, NOON)
    # 42,949,672 hands, and a hundred more
    assert land(bench, {"a": Bar(42_949_672, HAND), "b": Bar(42_949_772, HAND)}, NEXT_DAY)
    assert [row[:3] for row in bench.rows(ROWS)] == [
        ("a", 4_294_967_295, 1),
        ("b", 42_949_772, HAND),
    ]


def test_any_two_volumes_are_compared_in_the_coarser_unit(bench: LandingBench) -> None:
    """Of a thousand pairs in any order, the finer stays if they agree, else the later one."""
    random, first, second = Random(1), dict[str, Bar](), dict[str, Bar]()
    for number in range(1_000):
        shares = random.choice([0, 50, 99, 100, 32_880, random.randrange(10**7)])
        other = shares if random.random() < 0.7 else shares + random.randrange(300)
        units = random.choice([(1, 1), (1, HAND), (HAND, 1), (HAND, HAND), (1, None)])
        before, after = (
            Bar(count // (unit or HAND), unit)
            for count, unit in zip((shares, other), units, strict=True)
        )
        first[f"{number:04}"], second[f"{number:04}"] = before, after
    land(bench, first, NOON)
    land(bench, second, NEXT_DAY)
    for code, volume, unit, *_ in bench.rows(ROWS):
        before, after = first[code], second[code]
        fine, coarse = sorted((before, after), key=lambda bar: bar.unit or HAND)
        coarser = coarse.unit or HAND
        agree = fine.volume * (fine.unit or HAND) // coarser == coarse.volume
        expected = fine if agree and fine.unit != coarse.unit else after
        assert (volume, unit or HAND) == (expected.volume, expected.unit or HAND), code
