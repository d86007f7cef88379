"""Intraday bars in numpy: the repair of noon, whole days, what can be true, what fits a day bar."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders.tdx.bars import minute_days, plausibility, records
from loaders.tdx.bars.minute_days import DayBar
from loaders.tdx.bars.plausibility import Implausible
from loaders.tdx.client.answers_intraday import TimedBars, labels
from tests.unit.tdx.fake_context import calendar

DAY = date(2024, 11, 8)
EVENING = datetime(2024, 11, 8, 8, 0, tzinfo=UTC)  # 16:00 in Shanghai
OPEN = calendar(DAY)
PRICE = 10_000


def bars(stamps: list[str], fetched_at: datetime = EVENING, **columns: list[int]) -> TimedBars:
    size = len(stamps)
    plain = dict.fromkeys(("open", "high", "low", "close"), [PRICE] * size)
    plain |= {"volume": [100] * size, "amount": [100 * 100 * PRICE] * size}
    plain |= {"up": [0] * size, "down": [0] * size}
    return TimedBars(stamps, **(plain | columns), source_route="kline-all", fetched_at=fetched_at)


def stamps_of(day: date, period: str = "minute1") -> list[str]:
    return [f"{day}T{label}:00" for label in labels(period)]


def renamed(stamps: list[str], changes: dict[str, str | None]) -> list[str]:
    new = [changes.get(stamp[11:16], stamp[11:16]) for stamp in stamps]
    return [f"{s[:11]}{label}:00" for s, label in zip(stamps, new, strict=True) if label]


@pytest.mark.parametrize(
    ("changes", "label_of_noon", "count", "whole"),
    [
        ({}, "11:30", 240, True),
        ({"11:30": "13:00"}, "13:00", 240, True),
        ({"11:30": "13:00", "13:01": None}, "13:00", 239, True),
        ({"13:01": None}, "11:30", 239, False),
        ({"11:30": None}, None, 239, False),
        ({"15:00": None}, "11:30", 239, False),
        ({"11:30": "13:00", "15:00": None}, "13:00", 239, False),
    ],
)
def test_noon_gets_its_own_label_and_only_its_merger_may_cost_a_minute(
    changes: dict[str, str | None], label_of_noon: str | None, count: int, whole: bool
) -> None:
    result = records.from_answer(bars(renamed(stamps_of(DAY), changes)))

    assert len(result) == count
    noon = result[result["label"] == 690]
    assert [records._CLOCK[int(bar["source_label"])] for bar in noon] == (
        [label_of_noon] if label_of_noon else []
    )
    assert not (result["label"] == 780).any()
    assert (DAY in records.whole_days(result, "minute1")) is whole


def test_a_bar_1300_beside_a_bar_1130_keeps_its_label() -> None:
    stamps = [f"{DAY}T11:30:00", f"{DAY}T13:00:00", f"{DAY}T13:01:00"]
    assert records.from_answer(bars(stamps))["label"].tolist() == [690, 780, 781]


def test_every_day_of_a_real_capture_is_repaired_and_full_days_are_whole(
    real_tdx_data: Path,
) -> None:
    with (real_tdx_data / "minute1_bars_SH000001_2017.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    columns = {
        n: [round(float(r[n]) * 1000) for r in rows] for n in ("open", "high", "low", "close")
    }
    stamps = [r["bar_end"].replace(" ", "T") + ":00" for r in rows]
    volume = [int(r["raw_vol_field"]) for r in rows]
    captured = datetime(2017, 8, 1, tzinfo=UTC)

    answer = bars(stamps, captured, volume=volume, **columns)
    result, rejected = plausibility.check(
        "sh000001", records.from_answer(answer), "minute1", calendar(date(2017, 8, 1), OPEN.closed)
    )

    assert (len(result), rejected) == (24_000, [])
    days = records.days_in(result)
    repaired = result[(result["label"] == 690) & (result["source_label"] == 780)]
    assert len(days) == 101
    assert records.days_in(repaired) == days[1:]  # the first day begins in the afternoon
    without_1301 = set(days) - set(records.days_in(result[result["label"] == 781]))
    assert len(without_1301) == 100
    assert [(result["day"] == records.to_number(day)).sum() for day in days].count(239) == 99
    assert records.whole_days(result, "minute1") == set(days[1:])


def test_a_day_is_finished_five_minutes_after_the_close() -> None:
    for moment, finished in (((7, 4, 59), False), ((7, 5, 0), True)):
        fetched = datetime(2024, 11, 8, *moment, tzinfo=UTC)
        result = records.from_answer(bars([f"{DAY}T09:31:00"], fetched))
        assert records.fetched_after_close(result).tolist() == [finished]


def broken(**changes: Any) -> list[tuple[str, str]]:
    at = changes.pop("stamp", None)
    answer = bars(stamps_of(DAY))
    columns = {name: [v, *getattr(answer, name)[1:]] for name, v in changes.items()}
    answer = replace(answer, **columns)
    if at:
        answer.stamps[0] = at
    good, rejected = plausibility.check("sh600000", records.from_answer(answer), "minute1", OPEN)
    assert len(good) < 240
    return [(r.field, r.rule) for r in rejected]


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"low": 0}, "low", "price must be above 0"),
        ({"high": PRICE - 10}, "high", "high must not be below low"),
        ({"close": PRICE + 10}, "close", "close must lie between low and high"),
        ({"volume": -1}, "volume", "volume must not be negative"),
        ({"stamp": f"{DAY}T12:30:00"}, "bar_end", "no bar of minute1 ends at this time"),
        (
            {"stamp": f"{DAY}T09:32:00"},
            "bar_end",
            "bars of one label must not contradict each other",
        ),
        ({"stamp": "2024-11-09T09:31:00"}, "trade_date", "day must not lie in the future"),
    ],
)
def test_a_bar_that_cannot_be_true_is_refused_and_the_rest_is_kept(
    changes: dict[str, Any], field: str, rule: str
) -> None:
    assert (field, rule) in broken(**changes)


def test_bars_of_a_closed_day_and_mostly_impossible_answers_are_refused() -> None:
    closed = calendar(DAY, lambda day: day == DAY)
    with pytest.raises(Implausible, match=r"240 of 240 .*trade_date: .*closed"):
        plausibility.check("sh600000", records.from_answer(bars(stamps_of(DAY))), "minute1", closed)


def test_prices_that_jump_all_the_time_are_no_market() -> None:
    prices = [PRICE if i % 2 else 4 * PRICE for i in range(240)]
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    result = records.from_answer(bars(stamps_of(DAY), **columns))
    with pytest.raises(Implausible, match=r"sh000001: .* 239 .* 240 "):
        plausibility.check("sh000001", result, "minute1", OPEN)


@pytest.mark.parametrize(("asked", "given"), [("minute1", "minute5"), ("minute5", "minute15")])
def test_bars_of_another_length_than_was_asked_for_are_refused(asked: str, given: str) -> None:
    result = records.from_answer(bars(stamps_of(DAY, given)))
    with pytest.raises(Implausible, match=f"sh600000: {asked} bars"):
        plausibility.check("sh600000", result, asked, OPEN)


def test_the_service_clock_may_be_ahead_and_the_running_bar_ends_later() -> None:
    now = datetime(2024, 11, 8, 2, 0, 30, tzinfo=UTC)  # 10:00:30
    for label, count in (("10:01", 1), ("10:06", 1), ("10:08", 0)):
        result = records.from_answer(bars([f"{DAY}T{label}:00"], now))
        assert len(plausibility.check("sh600000", result, "minute1", OPEN)[0]) == count


def test_of_two_answers_the_better_one_of_each_day_counts() -> None:
    before = records.from_answer(bars(stamps_of(DAY), close=[PRICE] * 240))
    later = records.from_answer(
        bars([f"{DAY}T09:31:00", "2024-11-07T09:31:00"][::-1], volume=[1, 2])
    )
    result = records.update_bars(before, later, "minute1")
    assert len(result) == 241
    assert result["volume"].tolist()[:2] == [1, 100]


def test_of_a_day_that_is_not_whole_the_later_bar_of_a_minute_counts() -> None:
    stamps = stamps_of(DAY)[:3]
    before = records.from_answer(bars(stamps, volume=[1, 2, 3]))
    later = records.from_answer(bars(stamps[1:], volume=[20, 30]))
    assert records.update_bars(before, later, "minute1")["volume"].tolist() == [1, 20, 30]


def hands(*volumes: int, amounts: list[int] | None = None) -> records.Records:
    stamps = stamps_of(DAY)[: len(volumes)]
    paid = amounts or [v * 100 * PRICE for v in volumes]
    return records.from_answer(bars(stamps, volume=list(volumes), amount=paid))


@pytest.mark.parametrize(
    ("minutes", "day_volume", "fits"),
    [
        ((500_000, 499_900), 1_000_000, True),  # odd shares were cut off
        ((500_000, 499_899), 1_000_000, True),  # 101 of 102 that rounding and cutting explain
        ((500_000, 499_897), 1_000_000, False),
        ((500_000, 500_050), 1_000_000, True),
        ((500_000, 500_200), 1_000_000, False),
        ((20, 20), 160, True),  # 40 hands, which the service reports as 160
        ((1,), 32768, True),
        ((1,), 5000, False),
        ((5000,), 32768, False),  # more than the one hand that is reported so
        ((20,), 2056, False),  # 16 hands are reported so, and not 20
        ((0,), 0, True),
    ],
)
def test_minutes_fit_a_day_bar_within_what_rounding_and_cutting_explain(
    minutes: tuple[int, ...], day_volume: int, fits: bool
) -> None:
    bar = {DAY: DayBar(PRICE, PRICE, day_volume)}
    assert minute_days.find_misfits(hands(*minutes), bar) == (set() if fits else {DAY})


def test_a_volume_beyond_its_turnover_counts_by_its_turnover() -> None:
    # one share, which the service reports as 32,768 of them
    result = hands(100, 327, amounts=[100 * 100 * PRICE, PRICE])
    assert minute_days.cap_shares(result) == 10_100


def day_of_minutes(volume: int, unit: int) -> records.Records:
    """240 minutes, each of so many units."""
    minutes = records.from_answer(bars(stamps_of(DAY), volume=[volume] * 240))
    minutes["amount"], minutes["unit"] = volume * unit * PRICE, unit
    return minutes


@pytest.mark.parametrize(
    ("minutes", "bar", "fits"),
    [
        (day_of_minutes(137, 1), DayBar(PRICE, PRICE, 32_880, 1), True),
        (day_of_minutes(137, 1), DayBar(PRICE, PRICE, 328), True),
        (day_of_minutes(1, 100), DayBar(PRICE, PRICE, 32_880, 1), True),  # 37 shares cut off each
        (day_of_minutes(100, 1), DayBar(PRICE, PRICE, 32_880, 1), False),  # 27 % are missing
        (day_of_minutes(100, 1), DayBar(PRICE, PRICE, 328), False),
        (day_of_minutes(137, 1)[:-1], DayBar(PRICE, PRICE, 32_880, 1), False),
        (day_of_minutes(2, 100), DayBar(PRICE, PRICE, 32_880, 1), False),
        (day_of_minutes(8, 1), DayBar(PRICE, PRICE, 2_056, 1), False),  # 16 hands of the service
    ],
)
def test_the_tolerance_of_a_day_follows_from_the_units(
    minutes: records.Records, bar: DayBar, fits: bool
) -> None:
    assert minute_days.find_misfits(minutes, {DAY: bar}) == (set() if fits else {DAY})


def test_minutes_equal_the_stored_ones_in_the_coarser_unit() -> None:
    """But shares are not the same as stored hands, so that they land."""
    shares, hands = day_of_minutes(137, 1), day_of_minutes(1, 100)
    hands["amount"] = shares["amount"]
    sums = tuple(int(shares[name].sum()) for name in minute_days.SUMMED)
    fine = minute_days.Stored(DAY, 240, 1, 32_880, 240, sums)
    coarse = minute_days.Stored(DAY, 240, 100, 24_000, 240, sums)
    assert minute_days.same_as_stored(shares, fine)
    assert minute_days.same_as_stored(hands, fine)
    assert minute_days.same_as_stored(hands, coarse)
    assert not minute_days.same_as_stored(shares, coarse)
    shares["volume"][0] += 1
    assert not minute_days.same_as_stored(shares, fine)


def test_a_later_answer_in_hands_keeps_the_shares_of_a_file() -> None:
    file, answer = day_of_minutes(137, 1)[:3], day_of_minutes(1, 100)[1:4]
    answer["volume"][1] = 7  # it differs
    merged = records.update_bars(file, answer, "minute1")
    assert merged["volume"].tolist() == [137, 137, 7, 1]
    assert merged["unit"].tolist() == [1, 1, 100, 100]
