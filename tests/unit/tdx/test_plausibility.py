"""Which bars cannot be true, and when an answer is refused as a whole."""

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from fake_tdx import bar, bars_of, days, read_real_bars

from loaders.landing.rejects import Rejected
from loaders.tdx.bars import plausibility, records
from loaders.tdx.bars.plausibility import Implausible
from loaders.tdx.bars.records import Records
from loaders.tdx.client.answers import Bars
from tests.unit.tdx.fake_context import calendar

AS_OF = date(2024, 11, 8)
DAY = date(2019, 2, 1)


def check(
    bars: Bars, closed: Any = lambda _: False, code: str = "sh600000"
) -> tuple[Records, list[Rejected]]:
    return plausibility.check(code, records.from_answer(bars), "day", calendar(AS_OF, closed))


def checked(
    rows: list[dict[str, Any]], closed: Any = lambda _: False
) -> tuple[list[Any], list[Rejected]]:
    good, rejected = check(bars_of(rows), closed)
    return good.tolist(), rejected


def read_bars(rows: list[dict[str, Any]]) -> list[Any]:
    return list(records.from_answer(bars_of(rows)).tolist())


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"Low": 0}, "low", "price must be above 0"),
        ({"High": 9_000}, "high", "high must not be below low"),
        ({"Open": 20_000}, "open", "open must lie between low and high"),
        ({"Close": 9_800}, "close", "close must lie between low and high"),
        ({"Volume": -1}, "volume", "volume must not be negative"),
        ({"Amount": -1}, "amount", "amount must not be negative"),
        ({"Time": "2024-11-09T15:00:00Z"}, "trade_date", "day must not lie in the future"),
        ({"Time": "1989-11-09T15:00:00Z"}, "trade_date", "no exchange traded before 1990-12-01"),
    ],
)
def test_an_impossible_bar_is_rejected_with_its_rule_and_the_rest_is_kept(
    changes: dict[str, Any], field: str, rule: str
) -> None:
    rows = [bar(d) for d in days(20)]
    rows[7] |= changes
    good, rejected = checked(rows)
    assert good == read_bars(rows[:7] + rows[8:])
    assert [(r.field, r.rule) for r in rejected] == [(field, rule)]
    assert rejected[0].row_key == f"sh600000 {rows[7]['Time'][:10]}"
    payload = orjson.loads(rejected[0].payload)
    assert payload["code"] == "sh600000"
    assert str(payload[field]) == rejected[0].value


def test_a_bar_on_a_closed_day_is_rejected() -> None:
    good, rejected = checked([bar(d) for d in days(5, DAY)], closed=lambda d: d == DAY)
    assert len(good) == 4
    [refused] = rejected
    assert (refused.row_key, refused.field) == (f"sh600000 {DAY}", "trade_date")


@pytest.mark.parametrize(
    ("code", "day", "count"),
    [
        ("sz000004", date(1992, 3, 7), 0),
        ("sz399001", date(1993, 5, 2), 0),
        ("sz000004", date(2020, 6, 6), 1),
        ("sh600601", date(1992, 3, 7), 1),
    ],
)
def test_a_day_of_shenzhen_alone_is_not_rejected(code: str, day: date, count: int) -> None:
    bars = bars_of([bar(d) for d in days(5, day)])
    _, rejected = check(bars, lambda d: d.weekday() >= 5 and d == day, code)
    assert len(rejected) == count


def test_bars_of_one_day_that_contradict_each_other_are_both_rejected() -> None:
    rows = [bar(d) for d in days(30)]
    good, rejected = checked([*rows[:3], rows[2] | {"Volume": 5}, *rows[3:]])
    assert good == read_bars(rows[:2] + rows[3:])
    assert len(rejected) == 2


def test_a_day_without_trades_is_plausible() -> None:
    good, rejected = checked([bar(DAY, Volume=0, Amount=0)])
    assert (len(good), rejected) == (1, [])


def test_no_bars_are_plausible() -> None:
    assert checked([])[1] == []


@pytest.mark.parametrize("size", [10, 800])
def test_garbage_of_a_misaligned_decoder_is_refused_as_a_whole(size: int) -> None:
    dice = random.Random(5)
    rows = [bar(DAY)] + [
        bar(
            DAY + timedelta(days=dice.randrange(-20_000, 20_000)),
            dice.randrange(-(2**31), 2**31),
            Volume=dice.randrange(-(2**31), 2**31),
        )
        for _ in range(size)
    ]
    with pytest.raises(Implausible, match=r"sh600000: [0-9]+ of "):
        checked(sorted(rows, key=lambda r: r["Time"]))


def test_prices_that_jump_all_the_time_are_refused_as_a_whole() -> None:
    rows = [bar(d, 100_000 if i % 2 else 10_000) for i, d in enumerate(days(6))]
    with pytest.raises(Implausible, match="factor of 3 on 5 of 6 days"):
        checked(rows)


def test_two_splits_in_a_history_are_no_reason_to_refuse_it() -> None:
    rows = [bar(d, 100_000 >> 2 * (i // 20)) for i, d in enumerate(days(60))]
    assert checked(rows)[1] == []


@pytest.mark.parametrize("name", ["SH600000", "SZ000002", "SH000001"])
def test_no_real_bar_is_rejected(real_tdx_data: Path, name: str) -> None:
    bars = read_real_bars(real_tdx_data / f"daily_{name}.csv")
    good, rejected = check(bars, lambda d: d.weekday() > 4)
    assert rejected == []
    assert good.tolist() == records.from_answer(bars).tolist()


@pytest.mark.parametrize("name", ["SH600000", "SZ000002", "SH000001"])
def test_no_ten_real_days_are_refused_as_a_whole(real_tdx_data: Path, name: str) -> None:
    bars = read_real_bars(real_tdx_data / f"daily_{name}.csv")
    for start in range(0, len(bars) - 10, 5):
        assert check(bars.take(range(start, start + 10)))[1] == []
