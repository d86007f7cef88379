"""What is wanted, missing, restamped and outgrown, of plain rows."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from loaders.ticks.store import IndexRow, NoDataRow, Stamp
from loaders.tq.tick_days.backlog import Backlog, Scheduled, backlog, key_text, parsed_key

NOW = datetime(2025, 10, 31, 10, tzinfo=UTC)
SERIES = "KQ.m@SHFE.cu"


def on(day: int, contract: str = "A", segment: int = 1) -> Scheduled:
    row = ("SHFE.cu", SERIES, date(2025, 10, day), contract, segment, None, False)
    return Scheduled(*row, f"hash {segment}", "backtest")


def held(day: int, contract: str = "A", segment: int = 1, status: Any = "complete") -> IndexRow:
    key = (SERIES, contract, date(2025, 10, day), segment, f"hash {segment}")
    return IndexRow(*key, 9, NOW, NOW, 1, 2, "0102", 5, "1", NOW, status)


def empty(day: int, days_ago: int, contract: str = "A") -> NoDataRow:
    checked = NOW - timedelta(days=days_ago)
    return NoDataRow(SERIES, contract, date(2025, 10, day), "no tick", 2, checked)


def left(schedule: Any, index: Any = (), no_data: Any = (), settled: int = 31) -> Backlog:
    over = {"SHFE.cu": date(2025, 10, settled)}
    return backlog(schedule, index, no_data, over, NOW, timedelta(days=30))


def days(found: list[Scheduled]) -> list[tuple[str, int]]:
    return [(day.contract, day.trading_day.day) for day in found]


def test_what_is_complete_or_not_over_yet_is_not_missing() -> None:
    found = left([on(13), on(14), on(15)], [held(13)], settled=14)
    assert days(found.missing) == [("A", 14)]
    assert (found.revised, found.restamps, found.outgrown) == ([], {}, [])
    assert left([on(13)], settled=12).missing == []
    assert backlog([on(13)], [], [], {}, NOW, timedelta(days=30)).missing == []


def test_a_day_without_data_is_due_again_after_a_while() -> None:
    schedule = [on(13), on(14)]
    assert days(left(schedule, (), [empty(13, 29), empty(14, 30)]).missing) == [("A", 14)]


def test_a_doubtful_day_is_missing_and_takes_no_other_contract_out() -> None:
    doubtful = replace(empty(14, 1, "B"), status="doubtful")
    found = left([on(13), on(14, "B", 2)], [held(13), held(14)], [doubtful])
    assert (days(found.revised), found.outgrown) == ([("B", 14)], [])


def test_adjacent_days_of_a_contract_stand_together() -> None:
    schedule = [on(13), on(14, "B", 2), on(15, "A", 3), on(16, "A", 3)]
    assert days(left(schedule).missing) == [("A", 13), ("A", 15), ("A", 16), ("B", 14)]


def test_another_segment_of_the_same_contract_is_a_stamp_and_no_fetch() -> None:
    found = left([on(13), on(14, segment=2)], [held(13), held(14)])
    assert found.restamps == {(SERIES, "A"): [Stamp(date(2025, 10, 14), 2, "hash 2")]}
    assert found.missing == []


def test_a_day_of_another_contract_is_fetched_first_and_outgrown_once_that_is_there() -> None:
    schedule = [on(13), on(14, "B", 2), on(15, "B", 2)]
    index = [held(13), held(14)]
    found = left(schedule, index)
    assert (days(found.revised), days(found.missing)) == ([("B", 14)], [("B", 15)])
    assert found.outgrown == []
    assert left(schedule, [*index, held(14, "B", 2)]).outgrown == [held(14)]
    assert left(schedule, index, [empty(14, 1, "B")]).outgrown == [held(14)]
    superseded = [held(13), held(14, status="superseded"), held(14, "B", 2)]
    assert left(schedule, superseded).outgrown == []


def test_a_day_that_has_no_contract_any_more_is_outgrown_at_once() -> None:
    found = left([on(13), on(15)], [held(13), held(14), held(15), held(16)])
    assert found.outgrown == [held(14)]  # of the 16th the schedule says nothing


def test_a_contract_that_comes_back_is_missing_where_it_was_superseded() -> None:
    assert days(left([on(13)], [held(13, status="superseded")]).missing) == [("A", 13)]


def test_a_complete_day_whose_day_bar_was_corrected_is_missing_until_it_is_known_to_have_no_more() -> (
    None
):
    schedule, index = [on(13), on(14)], [held(13), held(14)]
    over, patience = {"SHFE.cu": date(2025, 10, 31)}, timedelta(days=30)
    found = backlog(schedule, index, [], over, NOW, patience, {on(13).key})
    assert (days(found.missing), found.revised) == ([("A", 13)], [])
    assert backlog(schedule, index, [empty(13, 1)], over, NOW, patience, {on(13).key}).missing == []


def test_keys_are_text_and_back() -> None:
    key = on(13).key
    assert parsed_key(key_text(key)) == key
