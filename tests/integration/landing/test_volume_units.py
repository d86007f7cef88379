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


# shares of a bar, and the hands that the service makes of them
MISREAD = {150: 32_768, 937: 264, 1_699: 2_056, 3_301: 48, 6_499: 544}


def test_hands_that_the_service_misread_replace_no_shares(bench: LandingBench) -> None:
    file = {number: Bar(shares, 1) for number, shares in enumerate(MISREAD)}
    service = {
        number: Bar(hands, HAND, amount=400_900) for number, hands in enumerate(MISREAD.values())
    }
    # a bar that grew has the right number, as its turnover shows
    grown = {number: bar._replace(amount=9_000_000) for number, bar in service.items()}

    def named(name: str, bars: dict[int, Bar]) -> dict[str, Bar]:
        return {f"{name} {number}": bar for number, bar in bars.items()}

    before = named("file_first", file) | named("grew", file) | named("service_first", service)
    after = named("file_first", service) | named("grew", grown) | named("service_first", file)
    land(bench, before, NOON)
    land(bench, after, NEXT_DAY)
    right = named("file_first", file) | named("grew", grown) | named("service_first", file)
    stored = {code: (volume, unit) for code, volume, unit, *_ in bench.rows(ROWS)}
    assert stored == {code: (bar.volume, bar.unit) for code, bar in right.items()}


# by code: a bar, what comes a day later, and what is stored then
STORIES: dict[str, tuple[Bar, Bar, Bar]] = {
    # the finer volume stays, whichever came first
    "file_first": (Bar(20_377, 1), Bar(203, HAND), Bar(20_377, 1)),
    "service_first": (Bar(203, HAND), Bar(20_377, 1), Bar(20_377, 1)),
    "of_before": (Bar(203, None), Bar(20_377, 1), Bar(20_377, 1)),
    # what landed before there was the column counts in hands
    "unchanged": (Bar(203, None), Bar(203, HAND), Bar(203, None)),
    "corrected_price": (Bar(151, 1), Bar(1, HAND, close=10_100), Bar(151, 1, close=10_100)),
    # 42,949,672 hands, of which a single float does not tell one more, and a hundred more
    "large": (Bar(2**32 - 1, 1), Bar(42_949_673, HAND), Bar(2**32 - 1, 1)),
    "larger": (Bar(2**32 - 1, 1), Bar(42_949_772, HAND), Bar(42_949_772, HAND)),
}


def test_of_two_volumes_that_agree_the_finer_one_stays(bench: LandingBench) -> None:
    land(bench, {code: first for code, (first, *_) in STORIES.items()}, NOON)
    later = {code: second for code, (_, second, _) in STORIES.items()}
    changed = {code for code, (first, _, stored) in STORIES.items() if stored != first}
    assert land(bench, later, NEXT_DAY) == (0, len(changed))
    for code, *row in bench.rows(ROWS):
        bar = STORIES[code][2]
        assert row == [bar.volume, bar.unit, bar.close, True], code
    # again, and what was known before: nothing changes
    hands, shares = Bar(203, HAND), Bar(20_377, 1)
    again = ("file_first", "of_before", "service_first")
    assert land(bench, dict.fromkeys(again, hands), NEXT_DAY + timedelta(days=1)) == (0, 0)
    assert land(bench, dict.fromkeys(again, shares), NOON) == (0, 0)


def test_a_file_from_before_the_services_answer_gives_its_shares(bench: LandingBench) -> None:
    rounded = Bar(50, 1, amount=400_001)  # turnover is a single float at both
    land(bench, {"odd": Bar(0, HAND), "other": Bar(0, HAND, close=9_000)}, NEXT_DAY)
    assert land(bench, {"odd": rounded, "other": rounded}, NOON) == (0, 1)
    assert bench.rows(ROWS) == [("odd", 50, 1, 10_000, True), ("other", 0, 100, 9_000, True)]


def test_a_provisional_bar_becomes_final_with_its_finer_volume(bench: LandingBench) -> None:
    land(bench, {"same": Bar(151, 1, final=False), "grew": Bar(151, 1, final=False)}, NOON)
    land(bench, {"same": Bar(1, HAND), "grew": Bar(7, HAND)}, NEXT_DAY)
    land(bench, {"same": Bar(152, 1, final=False), "grew": Bar(799, 1, final=False)}, NEXT_DAY)
    rows = [("grew", 7, 100, 10_000, True), ("same", 151, 1, 10_000, True)]
    assert bench.rows(ROWS) == rows


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
