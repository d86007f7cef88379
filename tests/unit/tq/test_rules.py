"""What is missing, restamped and outgrown, from plain rows."""

from datetime import date, timedelta
from typing import Any

import pytest

from loaders.ticks.store import EmptyStatus, IndexRow, MeasuredTicks, NoDataRow
from loaders.tq.tick_days.ledger import LedgerRow, find_lagging, make_copy
from loaders.tq.tick_days.records import StoreIndex
from loaders.tq.tick_days.rules import (
    find_changes,
    find_due_days,
    find_repairs,
    find_untrue,
    order_days,
)
from loaders.tq.tick_days.schedule import Scheduled, key_text, parse_key
from loaders.tq.tick_days.verify import Verification
from tests.unit.tq.loads import NOW, Store, index_row, scheduled


def on(day: int, contract: str = "A", segment: int = 1) -> Scheduled:
    return scheduled(date(2025, 10, day), contract, segment)


def held(day: int, contract: str = "A", segment: int = 1, **values: Any) -> IndexRow:
    return index_row(on(day, contract, segment), **values)


def backlog(
    schedule: list[Scheduled], *rows: IndexRow, settled: int = 31, **days: Any
) -> tuple[list[str], list[str]]:
    """The revised and the missing days."""
    stored = {row.key: row for row in rows}
    due = find_due_days(
        schedule,
        stored,
        days.pop("no_data", {}),
        {"SHFE.cu": date(2025, 10, settled)},
        as_of=NOW,
        **days,
    )
    revised, missing, _ = order_days(due, stored, ())
    return names(revised), names(missing)


def names(days: list[Scheduled]) -> list[str]:
    return [f"{day.contract}{day.trading_day.day}" for day in days]


def changes(
    schedule: list[Scheduled], *rows: IndexRow, no_data: Any = (), traded: Any = None
) -> list[IndexRow]:
    stored = {row.key: row for row in rows}
    return list(find_changes(schedule, stored, no_data, traded or {}).values())


def test_a_complete_day_or_one_that_is_not_over_is_not_missing() -> None:
    assert backlog([on(13), on(14), on(15)], held(13), settled=14) == ([], ["A14"])
    assert backlog([on(13)], settled=12) == ([], [])
    nothing_settled = find_due_days([on(13)], {}, {}, {}, as_of=NOW)
    assert nothing_settled == []


def test_a_day_without_data_is_due_again_after_a_while() -> None:
    checked = {on(13).key: NOW - timedelta(29), on(14).key: NOW - timedelta(30)}
    assert backlog([on(13), on(14)], no_data=checked) == ([], ["A14"])


@pytest.mark.parametrize(
    ("day", "contract", "lots", "traded", "is_due"),
    [
        (date(2019, 9, 26), "SHFE.cu2001", 17_730, 8_865, False),
        (date(2019, 9, 26), "SHFE.cu2001", 8_865, 17_730, False),
        (date(2019, 9, 26), "SHFE.cu2001", 13_000, 8_865, True),
        (date(2019, 9, 26), "SHFE.cu2001", 0, 0, True),  # a hole
        (date(2019, 9, 26), "SHFE.cu2001", 17_730, None, True),
        (date(2019, 9, 26), "CFFEX.IF2001", 17_730, 8_865, True),
        (date(2020, 1, 2), "SHFE.cu2001", 17_730, 8_865, True),
    ],
)
def test_a_day_of_which_one_count_has_both_sides_is_not_downloaded_again(
    day: date, contract: str, lots: int, traded: int | None, is_due: bool
) -> None:
    planned = scheduled(day, contract)
    row = index_row(planned, status="short", volume=lots, day_volume=traded)
    long_ago = {planned.key: NOW - timedelta(300)}
    settled = {"SHFE.cu": date(2025, 10, 31)}
    due = find_due_days([planned], {planned.key: row}, long_ago, settled, as_of=NOW)
    assert due == ([planned] if is_due else [])
    # but if it is asked for by name
    assert find_due_days(
        [planned], {planned.key: row}, {}, settled, as_of=NOW, others=[planned.key]
    ) == [planned]


def test_no_load_is_the_fix_of_a_day_that_counts_both_sides() -> None:
    result = Verification(2, 20, (), {}, short=("13th", "14th"), both_sides=("13th",))
    assert [check.fix for check in result.checks] == ["", "loaders run tq"]


def test_days_are_ordered_by_contract() -> None:
    schedule = [on(13), on(14, "B", 2), on(15, "A", 3), on(16, "A", 3)]
    assert backlog(schedule) == ([], ["A13", "A15", "A16", "B14"])


def test_another_segment_of_the_same_contract_is_a_stamp_and_no_download() -> None:
    schedule, rows = [on(13), on(14, segment=2)], [held(13), held(14)]
    assert backlog(schedule, *rows) == ([], [])
    assert changes(schedule, *rows) == [held(14, segment=2)]


def test_a_revised_day_takes_out_the_old_contract_after_the_new_one() -> None:
    schedule = [on(13), on(14, "B", 2), on(15, "B", 2)]
    rows = [held(13), held(14)]
    assert backlog(schedule, *rows) == (["B14"], ["B15"])
    assert changes(schedule, *rows) == []
    out = [held(14, status="superseded")]
    assert changes(schedule, *rows, held(14, "B", 2)) == out
    assert changes(schedule, *rows, no_data={on(14, "B").key}) == out
    assert changes(schedule, held(13), *out, held(14, "B", 2)) == []


def test_a_day_without_a_contract_is_taken_out_at_once() -> None:
    rows = [held(13), held(14), held(15), held(16)]
    # the schedule does not reach to the 16th
    assert changes([on(13), on(15)], *rows) == [held(14, status="superseded")]


def test_a_contract_that_comes_back_is_missing_where_it_was_superseded() -> None:
    assert backlog([on(13)], held(13, status="superseded")) == ([], ["A13"])


def test_a_short_day_is_missing_unless_on_record() -> None:
    schedule, rows, key = [on(13), on(14)], [held(13, status="short"), held(14)], on(13).key
    assert backlog(schedule, *rows) == ([], ["A13"])
    assert backlog(schedule, *rows, no_data={key: NOW - timedelta(1)}) == ([], [])
    assert backlog(schedule, *rows, no_data={key: NOW - timedelta(40)}) == ([], ["A13"])


def test_a_record_that_the_stored_days_contradict_is_taken_back() -> None:
    def record(day: int, status: EmptyStatus) -> NoDataRow:
        return NoDataRow(*on(day).key, "none", 1, NOW, status=status)

    records = [
        record(13, "no_data"),
        record(14, "short"),
        record(15, "short"),
        record(16, "missing"),
        record(17, "missing"),
    ]
    stored = {row.key: row for row in (held(15, status="short"), held(16, status="short"))}
    gone, judged = on(14).key, on(17).key
    assert find_untrue(records, stored, [judged]) == [gone, judged]
    whole = {row.key: row for row in (held(15), held(16, status="superseded"))}
    whole[on(13).key] = held(13, status="short")
    assert find_untrue(records, whole, []) == [on(13).key, gone, on(15).key]


def test_days_to_read_again_are_missing_whatever_is_known_of_them() -> None:
    key = on(13).key
    checked = {key: NOW - timedelta(1)}
    assert backlog([on(13), on(14)], held(14), others={key}, no_data=checked) == ([], ["A13"])
    assert backlog([on(13), on(14)], held(13), held(14), others={key}) == ([], ["A13"])


def test_a_day_bar_that_says_more_makes_days_short_without_a_download() -> None:
    traded = {on(13).key: 1000, on(14).key: 1000}
    assert changes([on(13), on(14, segment=2)], held(13), held(14), traded=traded) == [
        held(13, status="short", day_volume=1000),
        held(14, segment=2, status="short", day_volume=1000),
    ]


def test_a_copy_that_is_not_as_the_stores_row_lands_again() -> None:
    rows = [held(day) for day in (14, 15, 16)]
    same, other, lost = (LedgerRow.from_store(held(day), "ticks") for day in (14, 16, 13))
    stored = {row.key: row for row in rows}
    stored[rows[2].key] = held(16, rows=10, row_hash="0304")
    ledger = {row.key: row for row in (same, other, lost)}
    # a load was killed before the copies of the 15th and 16th landed
    assert find_lagging(ledger, stored) == [on(day).key for day in (13, 15, 16)]
    copies = {day: make_copy(ledger.get(on(day).key), stored.get(on(day).key)) for day in (13, 16)}
    assert (copies[13].status, copies[16].rows) == ("superseded", 10)
    # how ticks came is known as long as they are the same
    assert copies[16].source_route == "index"
    recent = LedgerRow.from_store(held(14), "recent_ticks")
    copy = make_copy(recent, held(14, day_volume=905))
    assert (copy.source_route, copy.day_volume) == ("recent_ticks", 905)


def test_the_store_changes_what_it_has_otherwise() -> None:
    store = Store(held(13), held(14), held(15), held(16))
    index: Any = StoreIndex(store, ())  # type: ignore[arg-type]
    rows = [
        held(13, segment=2),
        held(14, status="superseded"),
        held(15, status="short", day_volume=1000),
    ]
    for _ in range(2):  # again after a stop
        index.change({row.key: row for row in rows}, NOW)
        assert store.restamped == [rows[0].stamp]
        assert set(store.superseded) == {on(14).key}
        assert store.indexed[on(15).key] == rows[2]
    assert list(index.rows.values()) == [*rows, held(16)]
    assert index.find_visible(on(14).key) is None


def test_days_that_gave_nothing_before_come_last() -> None:
    days = [on(day) for day in (13, 14, 15, 16, 17, 20)]
    unrelated = {row.key: row for row in (held(day, "B") for day in (13, 14, 15))}
    failed = {on(13).key, on(14).key, on(17).key}
    revised, missing, again = map(names, order_days(days, unrelated, failed))
    assert (revised, missing, again) == (["A15"], ["A16", "A20"], ["A13", "A14", "A17"])


def test_a_repair_stamps_indexed_days_and_takes_out_the_others() -> None:
    rows = [held(13), held(14), held(15)]
    visible = {
        row.key: [MeasuredTicks(*row.key, segment, row.schedule_hash, 1, *row.span, row.hash_a)]
        for row, segment in [(rows[0], 1), (rows[1], 2), (held(16), 1)]
    }
    assert find_repairs(rows, visible) == ([rows[1]], [on(16).key])


def test_keys_are_text_and_back() -> None:
    key = on(13).key
    assert parse_key(key_text(key)) == key
