"""Events of the desktop client's file gbbq in a load: what lands, and what is read again."""

import math
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.client_files import Record, encode_gbbq
from loaders.tdx.files import gbbq as gbbq_file
from quotemill.errors import name_acceptance
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import CORE, Bench
from tests.integration.tdx_load.folder import failures, write

EVENTS = ("capital_events",)
BY_CSV = """
    select code, ex_date, category, cash_per10_yuan, rights_price_yuan,
        coalesce(split_ratio, bonus_total_per10), rights_per10
    from raw_tdx.corporate_action
    where source = 'csv' and category in (1, 11) and not is_withdrawn order by 1, 2, 4, 5
"""
BY_GBBQ = """
    select code, event_date, category, value1, value2, value3, value4 from raw_tdx.capital_event
    where category in (1, 11) and code in (select code from raw_tdx.security) order by 1, 2, 4, 5
"""
RECORDS = """
    select code, event_date::text, category from raw_tdx.capital_event order by 1, 2, 3
"""


def test_events_of_gbbq_are_those_of_the_csv_file_and_are_read_once(client_bench: Bench) -> None:
    assert client_bench.load(datasets=EVENTS).exit_code == 0

    by_csv = client_bench.rows(BY_CSV)
    listed = {code for (code,) in client_bench.rows("select code from raw_tdx.security")}
    assert client_bench.rows(BY_GBBQ) == by_csv
    assert len(by_csv) > 10
    capital = client_bench.rows(
        "select code, count(*) from raw_tdx.capital_event where category = 5 group by 1"
    )
    # the file has codes that no list of the service names
    assert {code for code, _ in capital} <= listed | {"sh900901"}
    assert len(capital) > 5

    again = client_bench.load(datasets=EVENTS)
    assert again.exit_code == 0
    assert [task.rows_read for task in again.tasks if task.dataset in EVENTS] == [0]


def test_what_failed_before_gbbq_landed_whole_fails_no_longer(client_bench: Bench) -> None:
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    client_bench.execute(
        "insert into ops.failed_keys (source, dataset, key, reason, first_job_id, job_id)"
        " select 'tdx', 'corporate_actions', 'sh600000', 'gbbq is gone', max(job_id), max(job_id)"
        " from ops.ingestion_jobs"
    )
    assert client_bench.load(datasets=("corporate_actions",)).exit_code == 0
    assert client_bench.rows("select key from ops.failed_keys") == []


def test_corporate_actions_of_gbbq_are_its_records_whole(client_bench: Bench) -> None:
    for codes in (["sh600000"], None):
        result = client_bench.load(codes=codes, datasets=("corporate_actions",))
        assert result.exit_code == 0
        assert [task.dataset for task in result.tasks][2:] == ["capital_events"]
        assert len({code for code, *_ in client_bench.rows(BY_GBBQ)}) > 5


def test_a_file_that_lacks_many_events_is_refused_until_accepted(
    client_bench: Bench, cache: Path
) -> None:
    bonus = ("sh600000", 20250602, 1, (1.0, 0.0, 3.0, 0.0))
    gone = ("sh600000", 20250603, 1, (2.0, 0.0, 0.0, 0.0))
    capital = ("sh600000", 20250602, 5, (1.0, 2.0, 3.0, 4.0))
    only = ("sh600004", 20250602, 1, (1.0, 0.0, 0.0, 0.0))
    other, later = (("sz000001", day, 1, (1.0, 0.0, 0.0, 0.0)) for day in (20250602, 20250604))
    write(cache / "gbbq", encode_gbbq([bonus, gone, capital, only, other]), 4)
    client_bench.load(datasets=EVENTS)
    stored = client_bench.rows(RECORDS)
    assert len(stored) == 5

    write(cache / "gbbq", encode_gbbq([bonus, other, later]), 5)
    for _ in range(2):  # a failure each night, which costs nothing else
        refused = client_bench.load(datasets=(*CORE, *EVENTS))
        assert refused.exit_code == 6
        assert failures(refused).keys() == {"capital_events"}
        assert client_bench.rows(RECORDS) == stored

    accepted = client_bench.load(datasets=EVENTS, accept_loss=True)
    assert accepted.exit_code == 0
    assert any("accepted by" in text and "3 of 5" in text for text in accepted.warnings)
    taken = [("sh600000", "2025-06-02", 1), ("sz000001", "2025-06-02", 1)]
    assert client_bench.rows(RECORDS) == [*taken, ("sz000001", "2025-06-04", 1)]
    again = client_bench.load(datasets=EVENTS)
    assert (again.exit_code, again.total("rows_changed")) == (0, 0)
    assert client_bench.rows(
        "select (parameters->>'accept_loss')::boolean from ops.ingestion_jobs where job_id = %s",
        accepted.job_id,
    ) == [(True,)]


@pytest.mark.long
def test_an_event_that_moved_or_went_is_the_vendors_and_a_bad_record_hides_none(
    client_bench: Bench, cache: Path
) -> None:
    def event(day: int, cash: float) -> Record:
        return ("sh600000", 20250600 + day, 1, (cash, 0.0, 0.0, 0.0))

    rest = [event(4, 3), event(5, 4)]
    only = ("sz000001", 20250602, 5, (1.0, 0.0, 0.0, 0.0))
    write(cache / "gbbq", encode_gbbq([event(2, 1), event(3, 2), *rest, only]), 5)
    client_bench.load(datasets=EVENTS)
    stored = client_bench.rows(RECORDS)

    # a refused record is no loss: its event stays
    write(cache / "gbbq", encode_gbbq([event(2, math.nan), event(3, 2), *rest, only]), 6)
    quiet = client_bench.load(datasets=EVENTS)
    assert (quiet.exit_code, quiet.warnings) == (0, ())
    assert client_bench.rows(RECORDS) == stored

    write(cache / "gbbq", encode_gbbq([event(2, math.nan), event(6, 2), *rest, only]), 7)
    moved = client_bench.load(datasets=EVENTS)
    assert (moved.exit_code, moved.warnings) == (0, ())
    assert ("sh600000", "2025-06-03", 1) not in client_bench.rows(RECORDS)

    # a code's only record goes, too, from a version that brings others
    newer = [event(2, math.nan), event(6, 2), *rest, event(7, 5)]
    write(cache / "gbbq", encode_gbbq(newer), 8)
    fewer = client_bench.load(datasets=EVENTS)
    assert fewer.exit_code == 0
    [warning] = fewer.warnings
    assert "1 of 5" in warning
    assert "sz000001" in warning
    assert [code for code, *_ in client_bench.rows(RECORDS)] == ["sh600000"] * 5

    # one that only lacks is an older copy, whatever its time
    stored = client_bench.rows(RECORDS)
    write(cache / "gbbq", encode_gbbq(newer[:-1]), 9)
    assert client_bench.load(datasets=EVENTS).exit_code == 6
    assert client_bench.rows(RECORDS) == stored
    write(cache / "gbbq", encode_gbbq([*newer, event(8, 6)]), 10)
    assert client_bench.load(datasets=EVENTS).exit_code == 0


@pytest.mark.long
def test_a_lost_event_that_changes_prices_stays_until_it_has_a_witness(
    client_bench: Bench, cache: Path
) -> None:
    def event(day: int, code: str = "sh600000") -> Record:
        return (code, 20250600 + day, 1, (day, 0.0, 0.0, 0.0))

    def land(day: int, *records: Record) -> LoadResult:
        capital = [(f"sz{n:06d}", 20250602, 5, (1.0, 2.0, 3.0, 4.0)) for n in range(100, 180)]
        write(cache / "gbbq", encode_gbbq([*records, before_bars, *capital]), day)
        return client_bench.load(datasets=EVENTS)

    def standing(code: str = "sh600000") -> list[int]:
        return [int(day[-2:]) for name, day, _ in client_bench.rows(RECORDS) if name == code]

    findings = (
        "select value, rule from raw_tdx.rejected_row where is_withdrawn is not true order by 1"
    )
    before_bars = ("sz000002", 20030711, 1, (1.0, 0.0, 0.0, 0.0))
    assert land(1, event(2), event(3), event(4)).exit_code == 0

    # one refused record changes prices: asked once, with both versions; the new one lands
    asked = land(2, event(2), event(4), event(5))
    assert asked.exit_code == 6
    why = failures(asked)["capital_events"]
    old, new = "2025-06-01 (84 records, 2,440 bytes)", "2025-06-02 (84 records, 2,440 bytes)"
    assert {old in why, new in why, name_acceptance("tdx", *EVENTS) in why} == {True}
    assert standing() == [2, 3, 4, 5]
    [(value, rule)] = client_bench.rows(findings)
    assert (value, old in rule) == (new, True)
    write(cache / "gbbq", (cache / "gbbq").read_bytes(), 3)  # no other version
    for _ in range(2):
        assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert (standing(), len(client_bench.rows(findings))) == ([2, 3, 4, 5], 1)

    # the next version is the witness, and lacks another one
    assert land(4, event(4), event(5), event(6)).exit_code == 6
    assert standing() == [2, 4, 5, 6]
    assert [value for value, _ in client_bench.rows(findings)] == [
        "2025-06-04 (84 records, 2,440 bytes)"
    ]
    # an older copy answers no doubt
    assert land(3, event(4), event(6)).exit_code == 0
    assert (standing(), len(client_bench.rows(findings))) == ([2, 4, 5, 6], 1)
    # which comes back
    assert land(5, event(2), event(4), event(5), event(6)).exit_code == 0
    assert (standing(), client_bench.rows(findings)) == ([2, 4, 5, 6], [])

    # a code without any, accepted once
    assert land(6, event(7, "sz000002")).exit_code == 6
    assert client_bench.load(datasets=EVENTS, accept_loss=True).exit_code == 0
    assert (standing(), client_bench.rows(findings)) == ([], [])
    assert client_bench.load(datasets=EVENTS).exit_code == 0

    # what no bar knows changes no price
    before_bars = event(8, "sz000002")
    assert land(7, event(7, "sz000002")).exit_code == 0
    assert standing("sz000002") == [7, 8]

    # bars under an old code know what stands under the new one
    client_bench.execute("update raw_tdx.kline_daily set code = 'sz000022' where code = 'sh600000'")
    others = event(7, "sz000002"), event(8, "sz000002")
    before_bars = event(8, "sz001872")
    assert land(8, *others).exit_code == 0
    before_bars = event(9, "sz000001")
    assert land(9, *others).exit_code == 6
    assert standing("sz001872") == [8]


@pytest.mark.long
def test_the_newest_of_a_vendors_versions_is_what_is_stored(
    client_bench: Bench, cache: Path
) -> None:
    case = shared_folder("cases/tdx/28-gbbq-corrected-by-the-vendor")
    for day, version in enumerate(sorted(case.glob("gbbq-*")), 1):
        write(cache / "gbbq", version.read_bytes(), day)
        assert client_bench.load(datasets=EVENTS).exit_code == 0
    stored = {(code, day) for code, day, category in client_bench.rows(RECORDS) if category == 5}
    moved = {("sz002602", "2020-06-30"), ("sz000939", "2020-06-30")}
    assert stored & moved == set()
    assert {("sz002602", "2020-10-15"), ("sz000939", "2019-12-31")} <= stored
    assert len(client_bench.rows(RECORDS)) == 760


def test_an_older_copy_is_read_once_and_takes_nothing_of_later_days_away(
    client_bench: Bench, cache: Path
) -> None:
    def event(day: int, cash: float) -> Record:
        return ("sh600000", 20250600 + day, 1, (cash, 0.0, 0.0, 0.0))

    def standing() -> list[tuple[int, int]]:
        rows = client_bench.rows(
            "select event_date, value1::int from raw_tdx.capital_event order by 1"
        )
        return [(day.day, cash) for day, cash in rows]

    newest = encode_gbbq([event(1, 1), event(2, 2), event(5, 5)])
    write(cache / "gbbq", newest, 6)
    client_bench.load(datasets=EVENTS)
    assert standing() == [(1, 1), (2, 2), (5, 5)]

    write(cache / "gbbq", encode_gbbq([event(1, 1), event(2, 9)]), 3)
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert standing() == [(1, 1), (2, 9), (5, 5)]
    again = client_bench.load(datasets=EVENTS).tasks
    assert [task.rows_read for task in again if task.dataset in EVENTS] == [0]

    write(cache / "gbbq", newest, 6)
    client_bench.load(datasets=EVENTS)
    assert standing() == [(1, 1), (2, 2), (5, 5)]


def test_a_file_written_during_a_load_is_read_by_the_next_one(
    client_bench: Bench, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (("sh600000", 20250602, 1, (cash, 0.0, 0.0, 0.0)) for cash in (1.0, 2.0))
    write(cache / "gbbq", encode_gbbq([old]), 4)
    read = gbbq_file.read_events

    def written_after(*args: Any) -> Any:
        result = read(*args)
        write(cache / "gbbq", encode_gbbq([new]), 5)
        return result

    monkeypatch.setattr(gbbq_file, "read_events", written_after)
    client_bench.load(datasets=EVENTS)
    monkeypatch.undo()
    stored = "select value1 from raw_tdx.capital_event"
    assert client_bench.rows(stored) == [(1,)]
    client_bench.load(datasets=EVENTS)
    assert client_bench.rows(stored) == [(2,)]


@pytest.mark.long
def test_a_file_that_is_no_gbbq_fails_alone_and_a_bad_record_costs_itself(
    client_bench: Bench, cache: Path
) -> None:
    whole = (cache / "gbbq").read_bytes()
    write(cache / "gbbq", whole[:-10], 4)
    cut = client_bench.load(datasets=(*CORE, "capital_events"))
    assert cut.exit_code == 6
    assert "announced records need" in failures(cut)["capital_events"]
    assert client_bench.rows("select count(*) from raw_tdx.capital_event") == [(0,)]

    good = ("sh600000", 20250602, 1, (1.0, 0.0, 3.0, 0.0))
    no_day = ("sh600000", 20250231, 1, (1.0, 0.0, 3.0, 0.0))
    unknown = ("sz000001", 20250602, 99, (1.0, 0.0, 0.0, 0.0))
    write(cache / "gbbq", encode_gbbq([good, no_day, unknown]), 5)
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    open_ones = (
        "select dataset, row_key, field from raw_tdx.rejected_row where is_withdrawn is not true"
    )
    refused = ("capital_events", "gbbq sh600000 record 1", "datetime")
    assert client_bench.rows(open_ones) == [refused]
    assert any(" category 99" in line for line in client_bench.heard.lines)

    write(cache / "gbbq", encode_gbbq([good, unknown]), 6)
    client_bench.load(datasets=EVENTS)
    assert client_bench.rows(open_ones) == []


def test_without_the_file_nothing_is_read_and_nothing_fails(
    client_bench: Bench, cache: Path
) -> None:
    (cache / "gbbq").unlink()
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert any(" T0002/hq_cache/gbbq" in line for line in client_bench.heard.lines)


def test_files_that_were_read_before_and_are_gone_are_missed_until_accepted(
    client_bench: Bench, cache: Path
) -> None:
    write(cache / "infoharbor_block.dat", "#GN_芯片,1,\n1#600000\n".encode("gb18030"), 2)
    datasets = ("capital_events", "sectors")
    assert client_bench.load(datasets=datasets).exit_code == 0
    names = ("gbbq", "infoharbor_block.dat")
    for name in names:
        (cache / name).rename(cache / f"{name}.away")
    (cache / "gbbq").mkdir()  # is no file

    refused = client_bench.load(datasets=datasets)
    assert refused.exit_code == 6
    for dataset in datasets:
        reason = failures(refused)[dataset]
        assert name_acceptance("tdx", dataset) in reason

    (cache / "gbbq").rmdir()
    for name in names:
        (cache / f"{name}.away").rename(cache / name)
    assert client_bench.load(datasets=datasets).exit_code == 0
    for name in names:
        (cache / name).unlink()
    assert client_bench.load(datasets=datasets).exit_code == 6
    assert client_bench.load(datasets=datasets, accept_loss=True).exit_code == 0
    assert client_bench.load(datasets=datasets).exit_code == 0
    current = "select member from raw_tdx.sector_member where valid_to is null"
    assert client_bench.rows(current) == [("sh600000",)]
