"""What is missing, restamped and outgrown, from plain rows."""

from datetime import date, timedelta
from typing import Any

from loaders.ticks.store import IndexRow
from loaders.tq.tick_days.backlog import (
    Backlog,
    find_backlog,
    find_changes,
    find_store_changes,
    order_days,
)
from loaders.tq.tick_days.ledger import LedgerRow
from loaders.tq.tick_days.schedule import Scheduled, key_text, parse_key
from tests.unit.tq.loads import NOW, index_row, ledger_row, scheduled


def on(day: int, contract: str = "A", segment: int = 1) -> Scheduled:
    return scheduled(date(2025, 10, day), contract, segment)


def held(day: int, contract: str = "A", segment: int = 1, **values: Any) -> LedgerRow:
    return ledger_row(on(day, contract, segment), **values)


def own(day: int, contract: str = "A", segment: int = 1, **values: Any) -> IndexRow:
    return index_row(on(day, contract, segment), **values)


def backlog(
    schedule: list[Scheduled], *rows: LedgerRow, settled: int = 31, **days: Any
) -> tuple[list[str], list[str]]:
    """The revised and the missing days."""
    backlog = find_backlog(
        schedule,
        {row.key: row for row in rows},
        days.pop("no_data", {}),
        {"SHFE.cu": date(2025, 10, settled)},
        as_of=NOW,
        recheck_after=timedelta(days=30),
        **days,
    )
    return names(backlog.revised), names(backlog.missing)


def names(days: list[Scheduled]) -> list[str]:
    return [f"{day.contract}{day.trading_day.day}" for day in days]


def changes(
    schedule: list[Scheduled],
    *rows: LedgerRow,
    no_data: Any = (),
    stored: list[IndexRow] | None = None,
    traded: Any = None,
) -> list[LedgerRow]:
    own_rows = None if stored is None else {row.key: row for row in stored}
    changes = find_changes(schedule, {row.key: row for row in rows}, no_data, own_rows, traded)
    return list(changes.values())


def test_a_complete_day_or_one_that_is_not_over_is_not_missing() -> None:
    assert backlog([on(13), on(14), on(15)], held(13), settled=14) == ([], ["A14"])
    assert backlog([on(13)], settled=12) == ([], [])
    nothing_settled = find_backlog(
        [on(13)], {}, {}, {}, as_of=NOW, recheck_after=timedelta(days=30)
    )
    assert nothing_settled == Backlog([], [])


def test_a_day_without_data_is_due_again_after_a_while() -> None:
    checked = {on(13).key: NOW - timedelta(29), on(14).key: NOW - timedelta(30)}
    assert backlog([on(13), on(14)], no_data=checked) == ([], ["A14"])


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


def test_days_to_read_again_are_missing_whatever_is_known_of_them() -> None:
    key = on(13).key
    checked = {key: NOW - timedelta(1)}
    assert backlog([on(13), on(14)], held(14), others={key}, no_data=checked) == ([], ["A13"])
    assert backlog([on(13), on(14)], held(13), held(14), others={key}) == ([], ["A13"])


def test_a_day_bar_that_says_more_makes_days_short_without_a_download() -> None:
    schedule, stored = [on(13), on(14, segment=2)], [own(13), own(14)]
    traded = {on(13).key: 1000, on(14).key: 1000}
    expected = [
        held(13, status="short", day_volume=1000),
        held(14, segment=2, status="short", day_volume=1000),
    ]
    assert changes(schedule, held(13), held(14), stored=stored, traded=traded) == expected
    known = {row.key: row for row in stored}
    _, restamped, judged = find_store_changes({row.key: row for row in expected}, known)
    assert (restamped, judged) == ([expected[1]], expected)


def test_the_ledger_follows_the_rows_of_the_store() -> None:
    schedule = [on(13), on(14), on(15), on(16, segment=2)]
    rows = [held(13), held(14), held(16)]
    # the store lacks the 13th, and was killed before the ledger rows of the 15th and 16th landed
    stored = [own(14), own(15), own(16, segment=2, rows=10, row_hash="0304")]
    assert changes(schedule, *rows, stored=stored) == [
        held(13, status="superseded"),
        ledger_row(on(15), route="index"),
        ledger_row(on(16, segment=2), route="index", rows=10, row_hash="0304"),
    ]
    # how ticks came is known as long as they are the same
    recent = ledger_row(on(13), route="recent_ticks")
    [row] = changes([on(13)], recent, stored=[own(13, day_volume=905)])
    assert (row.source_route, row.day_volume) == ("recent_ticks", 905)


def test_a_store_that_is_behind_the_ledger_is_changed_again() -> None:
    schedule = [on(13, segment=2), on(14, "B", 2)]
    rows = [held(13, segment=2), held(14, status="superseded"), held(14, "B", 2)]
    stored = [own(13), own(14), own(14, "B", 2)]
    assert [row.key for row in changes(schedule, *rows, stored=stored)] == [
        on(13).key,
        on(14).key,
    ]
    in_line = [own(13, segment=2), own(14, status="superseded"), own(14, "B", 2)]
    assert changes(schedule, *rows, stored=in_line) == []


def test_the_store_changes_what_it_has_otherwise() -> None:
    stored = {row.key: row for row in (own(13), own(14), own(15, status="superseded"))}
    rows = [held(13, segment=2), held(14, status="superseded"), held(15, status="superseded")]
    changed = find_store_changes({row.key: row for row in rows}, stored)
    assert changed == ([on(14).key], [held(13, segment=2)], [])


def test_days_that_gave_nothing_before_come_last() -> None:
    days = Backlog([on(13), on(14), on(15)], [on(16), on(17), on(20)])
    failed = {on(13).key, on(14).key, on(17).key}
    revised, missing, again = map(names, order_days(days, failed))
    assert (revised, missing, again) == (["A15"], ["A16", "A20"], ["A13", "A14", "A17"])


def test_keys_are_text_and_back() -> None:
    key = on(13).key
    assert parse_key(key_text(key)) == key
