"""Files of the desktop client, written here by hand from the description of their layout."""

import os
import re
import struct
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import orjson
import pytest

from loaders.engine.window import Window
from loaders.tdx.bars import plausibility, records
from loaders.tdx.files import vipdoc
from loaders.tdx.files.written import State
from loaders.trading_time import published_days
from quotemill.errors import DataQualityError
from tests.conftest import shared_folder

NOW = datetime(2025, 9, 1, tzinfo=UTC)
DAY = date(2024, 11, 8)


def minute(day: date, label: str, *prices: float, yuan: float = 1e6, shares: int = 1000) -> bytes:
    packed = (day.year - 2004) * 2048 + day.month * 100 + day.day
    at = int(label[:2]) * 60 + int(label[3:])
    return struct.pack("<HHfffffII", packed, at, *prices, yuan, shares, 0)


def day_record(day: int, *prices: int) -> bytes:
    return struct.pack("<IIIIIfII", day, *prices, 1e6, 1000, 65536)


def written(folder: Path, name: str, *records: bytes) -> Path:
    file = folder / name
    file.write_bytes(b"".join(records))
    return file


def rows(result: records.Records) -> list[tuple[object, ...]]:
    names = ("day", "label", "open", "high", "low", "close", "volume", "amount")
    return [tuple(int(bar[name]) for name in names) for bar in result]


@pytest.mark.parametrize(
    ("days", "since", "known", "first"),
    [
        ((6, 7, 8), 8, 6, 4),
        ((6, 7, 8), 7, 6, 2),
        ((6, 7, 8), 9, 6, 5),  # at least one
        ((6, 7, 8), 9, 5, 4),  # half a day was added: the whole day
        ((6, 8, 7), 9, 4, 2),  # an older day was added: what follows its first record
        ((8, 6, 7), 8, 6, 0),
        ((), 8, 0, 0),
    ],
)
def test_records_from_a_place_on_have_each_day_that_is_needed_or_was_added(
    tmp_path: Path, days: tuple[int, ...], since: int, known: int, first: int
) -> None:
    bars = [
        minute(date(2024, 11, day), at, 1, 1, 1, 1) for day in days for at in ("09:31", "15:00")
    ]
    file = written(tmp_path, "sh600000.lc1", *bars, b"cut")
    assert vipdoc.find_needed(file, date(2024, 11, since), known) == first


@pytest.mark.parametrize(
    ("code", "kind", "count", "first", "last"),
    [
        (
            "sh600000",
            "stock",
            6119,
            ("1999-11-10", 29500, 29800, 27000, 27750, 174_085_000, 4_859_102_208_000),
            ("2025-08-05", 13150, 13780, 13140, 13750, 133_646_594, 1_812_400_000_000),
        ),
        (
            "sh000001",
            "index",
            8455,
            ("1990-12-19", 96050, 99980, 95790, 99980, 1260, 494_000_000),
            ("2025-08-05", 3588810, 3617600, 3586970, 3617600, 499_797_780, 656_382_492_672_000),
        ),
    ],
)
def test_real_day_files_are_read_in_li_and_shares(
    real_tdx_data: Path,
    code: str,
    kind: str,
    count: int,
    first: tuple[object, ...],
    last: tuple[object, ...],
) -> None:
    file = real_tdx_data / "vipdoc" / code[:2] / "lday" / f"{code}.day"

    result = vipdoc.read_bars(file, code, kind, "day", NOW)

    bars, days = result.bars, records.to_dates(result.bars["day"])
    assert (len(bars), result.rejected, result.warning) == (count, [], None)
    for index, expected in ((0, first), (count - 1, last)):
        assert (str(days[index]), *rows(bars)[index][2:]) == expected
    assert days == sorted(set(days))


def test_the_last_field_of_an_index_has_its_members_that_rose_and_fell(real_tdx_data: Path) -> None:
    file = real_tdx_data / "vipdoc/sh/lday/sh000001.day"
    bars = vipdoc.read_bars(file, "sh000001", "index", "day", NOW).bars
    rose, fell = bars["up"], bars["down"]
    assert (len(bars), ((rose > 0) | (fell > 0)).sum(), (fell > 0).sum()) == (8455, 8429, 8230)
    assert (rose[-1], fell[-1]) == (1648, 580)
    assert max(rose.max(), fell.max()) < 2400


def test_a_day_file_of_a_fund_has_three_decimals(tmp_path: Path) -> None:
    file = written(tmp_path, "sh510300.day", day_record(20241108, 4125, 4130, 4120, 4126))

    (row,) = vipdoc.read_bars(file, "sh510300", "fund", "day", NOW).bars

    assert [row[name] for name in ("open", "high", "low", "close")] == [4125, 4130, 4120, 4126]


def test_a_mark_has_the_odd_shares_of_a_day_with_too_many_for_its_field(real_client: Path) -> None:
    large = dict[str, list[int]]()
    for code in ("sh510050", "sh510300", "sh600104"):
        kind = "fund" if code.startswith("sh5") else "stock"
        file = real_client / "vipdoc/sh/lday" / f"{code}.day"
        result = vipdoc.read_bars(file, code, kind, "day", NOW)
        # turnover per share lies between the day's prices, on every day
        bars = result.bars
        shares = bars["volume"].astype(np.float64)
        assert set(bars["unit"]) == {1}
        assert (shares * bars["low"] <= bars["amount"] * 1.000001).all()
        assert (shares * bars["high"] * 1.000001 >= bars["amount"]).all()
        large[code] = bars["volume"][bars["volume"] >= 2**32].tolist()
    assert (len(large["sh510050"]), large["sh510050"][0]) == (8, 7_737_937_085)
    assert (large["sh510300"], large["sh600104"]) == ([4_918_303_700], [])


def days_of(tmp_path: Path, *days: int) -> vipdoc.File:
    file = written(tmp_path, "sh600000.day", *(day_record(d, 10, 12, 9, 11) for d in days))
    return vipdoc.read_bars(file, "sh600000", "stock", "day", NOW)


def test_records_without_a_day_are_refused_and_repeated_ones_read_once(tmp_path: Path) -> None:
    result = days_of(tmp_path, 20241107, 20241108, 20241107, 20241108, 20241131, 0, 20241111)
    assert [day.day for day in records.days_in(result.bars)] == [7, 8, 11]
    assert [(r.value, r.rule) for r in result.rejected] == [
        ("20241131", "must be a day of the calendar"),
        ("0", "must be a day of the calendar"),
    ]
    assert result.disorder == "sh600000.day: 2 records repeat others byte for byte: read once"


def test_a_misplaced_record_is_read_in_its_place(tmp_path: Path) -> None:
    result = days_of(tmp_path, 20241107, 20250808, 20241108, 20991231, 20241111, 20241112)
    days = [str(day) for day in records.to_dates(result.bars["day"])]
    # a day in the future is left to the caller
    newest = ["2025-08-08", "2099-12-31"]
    assert days == ["2024-11-07", "2024-11-08", "2024-11-11", "2024-11-12", *newest]
    assert (result.rejected, result.nonsense) == ([], None)
    assert result.disorder is not None
    assert result.disorder.startswith("sh600000.day: record 3 is the first")


def test_of_two_records_of_a_day_the_first_stays_and_the_other_is_refused(tmp_path: Path) -> None:
    days = [
        day_record(20241100 + day, close, 12, 9, 11) for day, close in ((7, 10), (7, 9), (8, 9))
    ]
    result = vipdoc.read_bars(
        written(tmp_path, "sh600000.day", *days), "sh600000", "stock", "day", NOW
    )
    assert result.bars["open"].tolist() == [100, 90]
    [refused] = result.rejected
    assert (refused.rule, refused.field) == ("records of one day must not differ", "trade_date")
    assert orjson.loads(refused.payload)["record"] == 2


@pytest.mark.parametrize(("first", "again"), [(240, 240), (90, 240), (240, 1)])
def test_a_repeated_day_of_minutes_costs_at_most_that_day(
    tmp_path: Path, first: int, again: int
) -> None:
    def day_of(day: date, count: int, price: float) -> list[bytes]:
        labels = [f"{at // 60:02}:{at % 60:02}" for at in records.grid("minute1").tolist()]
        return [minute(day, label, *[price] * 4) for label in labels[:count]]

    other = day_of(date(2024, 11, 7), 240, 9.5)
    twice = [*day_of(DAY, first, 9.8), *day_of(DAY, again, 9.9)]
    file = written(tmp_path, "sz000002.lc1", *other, *twice)

    result = vipdoc.read_bars(file, "sz000002", "stock", "minute1", NOW)

    assert result.nonsense is None
    assert len(result.bars) == 480
    # one of the two, unmixed: the longer one
    assert set(result.bars["close"][240:].tolist()) == {9800 if first == 240 else 9900}
    assert len(result.rejected) == min(first, again)
    assert {refused.rule for refused in result.rejected} == {
        "records of one minute must not differ"
    }
    same = written(tmp_path, "sz000003.lc1", *other, *other)
    merged = vipdoc.read_bars(same, "sz000003", "stock", "minute1", NOW)
    assert (len(merged.bars), merged.rejected) == (240, [])
    assert merged.disorder.startswith("sz000003.lc1: 240 ")


def test_the_newest_day_of_a_file_is_one_that_a_load_takes(tmp_path: Path) -> None:
    known = published_days(date(2024, 9, 2), date(2024, 11, 8))
    days = [*(int(f"{day:%Y%m%d}") for day in known), 20241112, 20241111]
    for name, more in (
        ("sh600001.day", [20991231]),
        ("sh600002.day", [20250831]),  # a Sunday
        ("sh600003.day", [0, 20241341]),
        ("sh600004.day", [20990101, 20990102, 20990103]),
    ):
        file = written(tmp_path, name, *(day_record(d, 10, 12, 9, 11) for d in [*days, *more]))
        assert vipdoc.last_day(file, NOW) == date(2024, 11, 12)
    assert vipdoc.last_day(written(tmp_path, "sh600005.day"), NOW) is None
    assert vipdoc.last_day(tmp_path / "absent.lc1", NOW) is None


def test_days_in_the_future_cost_only_themselves(tmp_path: Path) -> None:
    window = Window([NOW.date()], NOW.date(), 0, lambda _: False, NOW.date())
    days = [day_record(day, 10, 12, 9, 11) for day in (20241107, 20241108, 20990101, 20990102)]
    labels = [f"{at // 60:02}:{at % 60:02}" for at in records.grid("minute1").tolist()]
    minutes = [minute(day, x, *[9.5] * 4) for day in (DAY, date(2030, 1, 1)) for x in labels]
    for period, name, content in (("day", "a.day", days * 2), ("minute1", "b.lc1", minutes)):
        file = written(tmp_path, name, *content)
        read = vipdoc.read_bars(file, "sz000002", "stock", period, NOW)
        good, refused = plausibility.check("sz000002", read.bars, period, window)
        assert len(good) == len(refused) == len(read.bars) / 2
        assert {row.rule for row in refused} == {plausibility.LATE}
        nothing = read.bars[len(good) :]
        if len(nothing) >= plausibility.MIN_BROKEN:
            with pytest.raises(plausibility.Implausible):
                plausibility.check("sz000002", nothing, period, window)


def test_real_disorder_costs_no_day() -> None:
    folder = shared_folder("cases/tdx/11-duplicates-order-future-cut") / "vipdoc/sz/lday"
    now = datetime(2026, 11, 26, tzinfo=UTC)
    for code, count in (
        ("sz002002", 56),
        ("sz002003", 56),
        ("sz002004", 56),
        ("sz002005", 57),
        ("sz002006", 56),
    ):
        file = folder / f"{code}.day"
        result = vipdoc.read_bars(file, code, "stock", "day", now)
        closes = dict(zip(records.to_dates(result.bars["day"]), result.bars["close"], strict=True))
        assert len(closes) == len(result.bars) == count
        assert closes[date(2026, 10, 9)] == 18_390
        assert closes[date(2026, 9, 29)] == 17_980
        assert vipdoc.last_day(file, now) == date(2026, 11, 25)


def test_a_file_of_which_more_than_a_tenth_is_refused_is_none(tmp_path: Path) -> None:
    result = days_of(tmp_path, *range(20241101, 20241128), 0, 1, 2)
    assert result.nonsense is None
    result = days_of(tmp_path, *range(20241101, 20241127), 0, 1, 2)
    assert re.findall(r"\d+", str(result.nonsense)) == ["3", "29"]


def test_a_tail_of_equal_records_without_a_day_counts_once(tmp_path: Path) -> None:
    file = written(tmp_path, "sh600000.day", day_record(20241108, 10, 12, 9, 11), bytes(32 * 40))
    result = vipdoc.read_bars(file, "sh600000", "stock", "day", NOW)
    assert (len(result.bars), len(result.rejected), result.nonsense) == (1, 1, None)
    assert str(result.disorder).startswith("sh600000.day: 39 ")


def test_the_tail_of_a_file_that_is_being_written_is_ignored_with_a_word(tmp_path: Path) -> None:
    record = day_record(20241108, 10, 12, 9, 11)
    file = written(tmp_path, "sh600000.day", record, record[:7])

    result = vipdoc.read_bars(file, "sh600000", "stock", "day", NOW)

    assert len(result.bars) == 1
    assert result.warning.split(":")[0] == "sh600000.day"
    assert re.findall(r"\d+", result.warning.split(":")[1]) == ["2", "7"]


def test_minutes_are_rounded_to_the_decimals_of_the_instrument(tmp_path: Path) -> None:
    # 9.85 and 4.126 are no single floats
    stock = written(tmp_path, "a.lc1", minute(DAY, "09:31", 9.85, 9.87, 9.84, 9.86, shares=12345))
    fund = written(tmp_path, "b.lc1", minute(DAY, "09:31", 4.125, 4.127, 4.124, 4.126))
    number = records.to_number(DAY)

    stock_bars = vipdoc.read_bars(stock, "sh600000", "stock", "minute1", NOW).bars
    fund_bars = vipdoc.read_bars(fund, "sh510300", "fund", "minute1", NOW).bars
    b_share_bars = vipdoc.read_bars(fund, "sh900901", "stock", "minute1", NOW).bars

    assert rows(stock_bars) == [(number, 571, 9850, 9870, 9840, 9860, 12345, 1_000_000_000)]
    assert stock_bars["unit"].tolist() == [1]
    assert rows(fund_bars)[0][2:6] == rows(b_share_bars)[0][2:6] == (4125, 4127, 4124, 4126)


def test_the_volume_of_an_index_minute_is_kept_as_it_is(tmp_path: Path) -> None:
    file = written(
        tmp_path, "i.lc1", minute(DAY, "09:31", 3214.66, 3215.41, 3214.06, 3215.12, shares=5390247)
    )

    result = vipdoc.read_bars(file, "sh000001", "index", "minute1", NOW).bars

    assert rows(result)[0][2:7] == (3214660, 3215410, 3214060, 3215120, 5390247)


def test_old_five_minute_files_have_whole_numbers_for_prices(tmp_path: Path) -> None:
    packed = (DAY.year - 2004) * 2048 + DAY.month * 100 + DAY.day
    record = struct.pack("<HHIIIIfII", packed, 575, 985, 987, 984, 986, 1e6, 1000, 0)
    file = written(tmp_path, "sh600000.5", record)

    result = vipdoc.read_bars(file, "sh600000", "stock", "minute5", NOW).bars

    assert rows(result)[0][1:6] == (575, 9850, 9870, 9840, 9860)


def test_noon_is_repaired_in_files_too_and_what_is_no_number_is_no_price(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "n.lc1",
        minute(DAY, "11:29", 9.85, 9.85, 9.85, float("nan")),
        minute(DAY, "13:00", 9.85, 9.85, 9.85, 9.85),
        minute(date(2024, 11, 7), "15:00", 9.85, 9.85, 9.85, 9.85),
    )

    result = vipdoc.read_bars(file, "sh600000", "stock", "minute1", NOW)

    assert [(int(b["label"]), int(b["source_label"])) for b in result.bars] == [
        (900, 900),
        (689, 689),
        (690, 780),
    ]
    assert int(result.bars[1]["close"]) == 0
    assert not result.rejected


def test_rows_are_as_old_as_their_file_and_never_newer_than_the_load(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, "t.lc1", minute(DAY, "09:31", 1, 1, 1, 1))
    moment = datetime(2024, 11, 8, 10, 0, tzinfo=UTC)
    for touched, expected in ((moment, moment), (datetime(2030, 1, 1, tzinfo=UTC), NOW)):
        os.utime(file, (touched.timestamp(), touched.timestamp()))
        result = vipdoc.read_bars(file, "sh600000", "stock", "minute1", NOW).bars
        assert int(result["fetched"][0]) == records.microseconds(expected)


def test_an_empty_file_has_no_bar_and_a_lost_one_is_a_fault(tmp_path: Path) -> None:
    empty = written(tmp_path, "sz000001.lc5")
    assert len(vipdoc.read_bars(empty, "sz000001", "stock", "minute5", NOW).bars) == 0
    with pytest.raises(DataQualityError, match=r"sz000001\.lc1") as lost:
        vipdoc.read_bars(tmp_path / "sz000001.lc1", "sz000001", "stock", "minute1", NOW)
    assert isinstance(lost.value.__cause__, FileNotFoundError)


def test_a_read_tail_has_the_newest_records_and_the_state_of_the_whole(
    tmp_path: Path,
) -> None:
    days = [day_record(20241100 + day, 100, 100, 100, 100) for day in (4, 5, 6, 7)]
    days.insert(2, day_record(20241105, 100, 100, 100, 99))
    file = written(tmp_path, "sh600000.day", *days)
    tail = vipdoc.read_bars(file, "sh600000", "stock", "day", NOW, newest=4)
    read_days = [str(day) for day in records.to_dates(tail.bars["day"])]
    assert read_days == ["2024-11-05", "2024-11-06", "2024-11-07"]
    assert tail.state == State.try_read(file)
    assert tail.state.size == 5 * 32
    [refused] = tail.rejected
    assert orjson.loads(refused.payload)["record"] == 3
    whole = vipdoc.read_bars(file, "sh600000", "stock", "day", NOW, newest=99)
    assert len(whole.bars) == 4


@pytest.mark.parametrize(("code", "li"), [("sh900901", 825), ("sz200002", 8250)])
def test_b_shares_are_in_thousandths_in_shanghai_and_cents_in_shenzhen(
    tmp_path: Path, code: str, li: int
) -> None:
    file = written(tmp_path, f"{code}.day", day_record(20241108, 825, 825, 825, 825))
    assert vipdoc.read_bars(file, code, "stock", "day", NOW).bars["close"].tolist() == [li]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_file_of_random_bytes_is_refused_record_by_record(tmp_path: Path) -> None:
    # a minute whose prices are signalling NaNs
    minute = struct.pack("<HH", 20 * 2048 + 1108, 571) + b"\x01\x00\xa0\x7f" * 4 + bytes(12)
    noise = bytes(range(256)) * 4 + b"\xff" * 64 + minute
    different = len({noise[at : at + 32] for at in range(0, len(noise), 32)})
    for name, read in (
        ("sh600000.day", lambda f: vipdoc.read_bars(f, "sh600000", "stock", "day", NOW)),
        ("sh600000.lc1", lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute1", NOW)),
    ):
        result = read(written(tmp_path, name, noise))
        assert len(result.bars) + len(result.rejected) >= different
        if name.endswith(".day"):
            assert not len(result.bars)
