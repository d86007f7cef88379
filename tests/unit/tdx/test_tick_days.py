"""Ticks of a day: their scale, whether they are whole, and the rows of them."""

import csv
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from loaders.tdx.bars.tick_days import (
    BrokenRule,
    DayBar,
    build_table,
    find_divisor,
    is_tenfold,
    is_whole,
    mark_final,
    misfit,
    scale_to_bar,
    to_tick_day,
)
from loaders.tdx.client.answers_trades import Ticks
from tests.unit.tdx.fake_ticks import BAR, FRIDAY, LATER, MONDAY, ticks


def real_ticks(folder: Path, code: str) -> dict[date, Ticks]:
    rows: dict[date, list[dict[str, str]]] = defaultdict(list)
    with (folder / f"ticks_{code.upper()}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[date.fromisoformat(row["date"])].append(row)
    return {
        day: Ticks(
            [f"{day}T{r['minute']}:00" for r in result],
            [round(float(r["price_yuan"]) * 1000) for r in result],
            [int(r["volume_hands"]) for r in result],
            [int(r["side"]) for r in result],
            [0] * len(result),
            "minute-trade-all",
            LATER,
        )
        for day, result in rows.items()
    }


@pytest.mark.parametrize(
    ("day", "bar"),
    [
        # of the day file, in li and hands
        (FRIDAY, DayBar(10_620, 10_820, 191_193)),
        (MONDAY, DayBar(10_620, 10_730, 202_165)),
    ],
)
def test_real_ticks_are_the_whole_of_their_real_day(
    real_tdx_data: Path, day: date, bar: DayBar
) -> None:
    result = to_tick_day(day, real_ticks(real_tdx_data, "sh600000")[day])

    at_scale = scale_to_bar(result, bar, tenfold=False)

    assert at_scale.hands == bar.volume
    assert is_whole("sh600000", at_scale.hands, len(at_scale), bar)
    assert mark_final(at_scale).is_final


def test_real_ticks_that_lost_their_newest_page_are_not_whole(real_tdx_data: Path) -> None:
    all_of_it = real_ticks(real_tdx_data, "sz000002")[FRIDAY]
    assert sum(all_of_it.volume) == 518_543  # as the real minutes of the day
    bar = DayBar(27_000, 28_200, 518_543)
    cut = Ticks(
        *(
            getattr(all_of_it, n)[:-2000]
            for n in ("stamps", "price", "volume", "side", "order_count")
        ),
        source_route="trade-history",
        fetched_at=LATER,
    )

    assert is_whole("sz000002", to_tick_day(FRIDAY, all_of_it).hands, len(all_of_it), bar)
    assert not is_whole("sz000002", to_tick_day(FRIDAY, cut).hands, len(cut), bar)


def test_rows_of_real_ticks_keep_order_price_and_minute(real_tdx_data: Path) -> None:
    days = real_ticks(real_tdx_data, "sh600000")
    result = [("sh600000", mark_final(to_tick_day(day, answer))) for day, answer in days.items()]

    rows = build_table(result)

    assert rows.num_rows == 6223
    first = rows.slice(0, 2).to_pylist()
    assert [r["ordinal"] for r in first] == [1, 2]
    assert first[0]["traded_at"] == datetime(2019, 2, 1, 1, 25, tzinfo=UTC)
    assert (first[0]["price"], first[0]["volume"], first[0]["side"]) == (10_820, 5368, 2)
    assert first[0]["source_route"] == "/api/minute-trade-all"
    monday = rows.slice(3083, 1).to_pylist()[0]
    assert (monday["trade_date"], monday["ordinal"]) == (MONDAY, 1)
    assert rows["is_final"].to_pylist() == [True] * 6223


@pytest.mark.parametrize(
    ("code", "instrument_type", "expected"),
    [
        ("sh600000", "stock", False),
        ("sh510300", "fund", True),
        ("sz160105", "fund", True),  # a LOF
        ("sh900901", "stock", True),  # B shares
        ("sz200002", "stock", True),
        ("bj920001", "stock", False),
    ],
)
def test_funds_and_b_shares_have_tenfold_tick_prices(
    code: str, instrument_type: str, expected: bool
) -> None:
    assert is_tenfold(code, instrument_type) is expected


def test_the_price_of_a_fund_is_divided_where_its_day_bar_says_so() -> None:
    result = to_tick_day(FRIDAY, ticks(price=[41_250, 41_260, 41_240]))

    at_scale = scale_to_bar(result, DayBar(4_120, 4_130, 300), tenfold=True)

    assert at_scale.price.tolist() == [4_125, 4_126, 4_124]


def test_a_fund_whose_prices_already_fit_is_left_alone() -> None:
    result = to_tick_day(FRIDAY, ticks(price=4_125))
    assert scale_to_bar(result, DayBar(4_120, 4_130, 300), tenfold=True).price[0] == 4_125


def test_a_stock_is_never_divided() -> None:
    result = to_tick_day(FRIDAY, ticks(price=105_000))
    with pytest.raises(BrokenRule, match="105000") as broken:
        scale_to_bar(result, BAR, tenfold=False)
    assert broken.value.field == "price"


def test_one_tick_outside_the_day_bar_refuses_the_divided_day_too() -> None:
    result = to_tick_day(FRIDAY, ticks(price=[41_250, 41_260, 51_240]))
    with pytest.raises(BrokenRule, match="ticks 41250 to 51240, bar 4120 to 4130"):
        scale_to_bar(result, DayBar(4_120, 4_130, 300), tenfold=True)


def test_a_tenfold_price_that_ten_does_not_divide_is_refused() -> None:
    result = to_tick_day(FRIDAY, ticks(price=41_255))
    with pytest.raises(BrokenRule, match=r"multiple.*41255"):
        scale_to_bar(result, DayBar(4_120, 4_130, 300), tenfold=True)


def test_without_a_day_bar_the_class_of_the_code_decides() -> None:
    assert find_divisor(41_250, 41_260, None, tenfold=True) == 10
    assert find_divisor(10_500, 10_500, None, tenfold=False) == 1


def test_a_price_that_no_column_can_hold_is_refused() -> None:
    with pytest.raises(BrokenRule, match="32-bit"):
        to_tick_day(FRIDAY, ticks(price=2**40))


@pytest.mark.parametrize("hands", [1, 3, 4, 9, 16, 33, 64, 127, 128])
def test_small_volumes_that_the_service_decodes_wrongly_still_fit(hands: int) -> None:
    shown = {1: 32768, 3: 4098, 4: 8194, 9: 264, 16: 2056, 33: 48, 64: 544}.get(hands, hands)
    assert misfit(hands, DayBar(1, 1, shown)) == 0


@pytest.mark.parametrize(("shares", "by"), [(20_377, 0), (20_399, 0), (20_400, 1), (32_768, 124)])
def test_ticks_are_compared_with_the_hands_of_a_day_in_shares(shares: int, by: int) -> None:
    # 32,768 shares are none that the service decoded
    assert misfit(203, DayBar(1, 1, shares, 1)) == by


def test_every_minute_may_lose_a_hand_on_single_share_boards_every_tick() -> None:
    result = to_tick_day(FRIDAY, ticks(volumes=(9,) * 300))
    assert is_whole("sh600000", result.hands, len(result), DayBar(10_000, 11_000, 2_940))
    assert not is_whole("sh600000", result.hands, len(result), DayBar(10_000, 11_000, 3_050))
    assert is_whole("sh688001", result.hands, len(result), DayBar(10_000, 11_000, 3_050))
    assert is_whole("bj920001", result.hands, len(result), DayBar(10_000, 11_000, 3_050))


def test_more_hands_than_the_day_had_are_not_whole() -> None:
    result = to_tick_day(FRIDAY, ticks(volumes=(9,) * 300))
    assert is_whole("sh600000", result.hands, len(result), DayBar(10_000, 11_000, 2_650))
    assert not is_whole("sh600000", result.hands, len(result), DayBar(10_000, 11_000, 2_600))


def test_a_day_is_final_only_if_fetched_on_a_later_day_of_the_exchange() -> None:
    # 15:59 UTC is 23:59 in Shanghai, and a minute later it is the next day there
    evening = datetime(2019, 2, 1, 15, 59, tzinfo=UTC)
    same = to_tick_day(FRIDAY, ticks(fetched_at=evening))
    later = to_tick_day(FRIDAY, ticks(fetched_at=evening + timedelta(minutes=1)))
    assert not mark_final(same).is_final
    assert mark_final(later).is_final


def test_equal_ticks_stay_apart_by_their_ordinal() -> None:
    rows = build_table(
        [
            (
                "sh600000",
                to_tick_day(FRIDAY, ticks(volumes=(5, 5), stamps=[f"{FRIDAY}T09:31:00"] * 2)),
            )
        ]
    )
    assert rows["ordinal"].to_pylist() == [1, 2]
    assert rows["traded_at"].to_pylist()[0] == rows["traded_at"].to_pylist()[1]


def test_columns_of_a_day_are_narrow() -> None:
    result = to_tick_day(FRIDAY, ticks())
    assert result.minute.dtype == np.int16
    assert result.price.dtype == result.volume.dtype == np.int32
