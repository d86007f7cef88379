"""Events and sectors of the desktop client's files in a load.

What lands, and what is read again.
"""

import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.client_files import (
    Record,
    encode_gbbq,
    older_blocks,
    write_client_files,
    write_sectors,
)
from loaders.sandbox.tdx.folder_faults import cut_short, lose_events
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.files import gbbq as gbbq_file
from tests.integration.tdx_load.bench import CORE, Bench

OpenBench = Callable[..., AbstractContextManager[Bench]]
EVENTS = ("capital_events", "corporate_actions")
ACTIONS = """
    select code, ex_date, category, cash_per10_yuan, bonus_total_per10, rights_per10,
        rights_price_yuan, coalesce(split_ratio, 0)
    from raw_tdx.corporate_action
    where source = '{source}' and category in (1, 11) and not is_withdrawn order by 1, 2, 4, 5
"""


@pytest.fixture
def cache(tmp_path: Path, small_market: SyntheticMarket) -> Path:
    folder = tmp_path / "client" / "T0002" / "hq_cache"
    write_client_files(small_market, folder)
    return folder


@pytest.fixture
def client_bench(open_loaded: OpenBench, cache: Path) -> Iterator[Bench]:
    """The small market, loaded with actions of a CSV file; now the client's folder is there too."""
    with open_loaded(client=cache.parents[1], corporate_actions="gbbq") as made:
        yield made


def write(file: Path, content: bytes, day: int) -> None:
    """Write a file of the client on a day of June 2025."""
    file.write_bytes(content)
    moment = datetime(2025, 6, day, 8, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))


def failures(result: LoadResult) -> dict[str, str]:
    return {task.dataset: why for task in result.tasks for why in task.failures.values()}


def test_events_of_gbbq_are_those_of_the_csv_file_and_are_read_once(client_bench: Bench) -> None:
    assert client_bench.load(datasets=EVENTS).exit_code == 0

    by_csv = client_bench.rows(ACTIONS.format(source="csv"))
    listed = {code for (code,) in client_bench.rows("select code from raw_tdx.security")}
    assert client_bench.rows(ACTIONS.format(source="gbbq")) == by_csv
    assert len(by_csv) > 10
    capital = client_bench.rows(
        "select code, count(*) from raw_tdx.capital_event where category = 5 group by 1"
    )
    # the file has codes that no list of the service names
    assert {code for code, _ in capital} <= listed | {"sh900901"}
    assert len(capital) > 5

    again = client_bench.load(datasets=EVENTS)
    assert again.exit_code == 0
    assert {task.dataset: task.rows_read for task in again.tasks if task.dataset in EVENTS} == {
        "capital_events": 0,
        "corporate_actions": 0,
    }


def test_a_code_that_was_not_asked_for_is_read_later_from_the_same_file(
    client_bench: Bench,
) -> None:
    count = "select count(distinct code) from raw_tdx.corporate_action where source = 'gbbq'"
    client_bench.load(codes=["sh600000"], datasets=("corporate_actions",))
    assert client_bench.rows(count) == [(1,)]
    client_bench.load(datasets=("corporate_actions",))
    assert client_bench.rows(count)[0][0] > 5


def test_an_event_that_a_newer_file_lacks_stays_until_its_loss_is_accepted(
    client_bench: Bench, cache: Path
) -> None:
    bonus = ("sh600000", 20250602, 1, (1.0, 0.0, 3.0, 0.0))
    gone = ("sh600000", 20250603, 1, (2.0, 0.0, 0.0, 0.0))
    capital = ("sh600000", 20250602, 5, (1.0, 2.0, 3.0, 4.0))
    other, later = (("sz000001", day, 1, (1.0, 0.0, 0.0, 0.0)) for day in (20250602, 20250604))
    standing = """
        select code, ex_date::text from raw_tdx.corporate_action
        where source = 'gbbq' and not is_withdrawn order by 1, 2
    """
    records = "select code, category from raw_tdx.capital_event order by 1, 2"
    write(cache / "gbbq", encode_gbbq([bonus, gone, capital, other]), 4)
    client_bench.load(datasets=EVENTS)
    stored = [("sh600000", "2025-06-02"), ("sh600000", "2025-06-03"), ("sz000001", "2025-06-02")]
    assert client_bench.rows(standing) == stored

    write(cache / "gbbq", encode_gbbq([bonus, other, later]), 5)
    refused = client_bench.load(datasets=EVENTS)
    assert refused.exit_code == 6
    lost = "gbbq lacks 1 stored event, the newest of sh600000 on 2025-06-03"
    way_out = "loaders run tdx --dataset capital_events --dataset corporate_actions --accept-loss"
    assert set(failures(refused)) == set(EVENTS)
    assert all(lost in why and way_out in why for why in failures(refused).values())
    assert client_bench.rows(standing) == [*stored, ("sz000001", "2025-06-04")]
    both = [("sh600000", 1), ("sh600000", 1), ("sh600000", 5), ("sz000001", 1), ("sz000001", 1)]
    assert client_bench.rows(records) == both

    accepted = client_bench.load(datasets=EVENTS, accept_loss=True)
    assert accepted.exit_code == 0
    assert any("accepted by" in text and lost in text for text in accepted.warnings)
    assert client_bench.rows(standing) == [stored[0], stored[2], ("sz000001", "2025-06-04")]
    assert client_bench.rows(records) == [("sh600000", 1), ("sz000001", 1), ("sz000001", 1)]
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert client_bench.rows(
        "select (parameters->>'accept_loss')::boolean from ops.ingestion_jobs where job_id = %s",
        accepted.job_id,
    ) == [(True,)]


def test_a_refused_record_hides_no_lost_event_of_its_code(client_bench: Bench, cache: Path) -> None:
    def event(day: int, cash: float) -> Record:
        return ("sh600000", 20250600 + day, 1, (cash, 0.0, 0.0, 0.0))

    standing = """
        select ex_date::text from raw_tdx.corporate_action
        where source = 'gbbq' and not is_withdrawn order by 1
    """
    other, bad = (("sz000001", 20250602, 5, (value, 0.0, 0.0, 0.0)) for value in (1.0, math.nan))
    rest = [event(4, 3), event(5, 4)]
    write(cache / "gbbq", encode_gbbq([event(2, 1), event(3, 2), *rest, other]), 5)
    client_bench.load(datasets=EVENTS)
    stored = client_bench.rows(standing)

    # a refused record is no loss: its event stays
    write(cache / "gbbq", encode_gbbq([event(2, math.nan), event(3, 2), *rest, bad]), 6)
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert client_bench.rows(standing) == stored

    write(cache / "gbbq", encode_gbbq([event(2, math.nan), *rest, bad]), 7)
    refused = client_bench.load(datasets=EVENTS)
    assert refused.exit_code == 6
    lost = "gbbq lacks 1 stored event, the newest of sh600000 on 2025-06-03"
    assert set(failures(refused)) == set(EVENTS)
    assert all(lost in why for why in failures(refused).values())
    assert client_bench.rows(standing) == stored

    # what was shown goes, and no more
    assert client_bench.load(datasets=EVENTS, accept_loss=True).exit_code == 0
    assert client_bench.rows(standing) == [stored[0], *stored[2:]]
    capital = "select code from raw_tdx.capital_event where category = 5"
    assert client_bench.rows(capital) == [("sz000001",)]
    assert client_bench.load(datasets=EVENTS).exit_code == 0


def test_a_file_that_lost_half_of_its_records_is_refused_whole(
    client_bench: Bench, cache: Path
) -> None:
    stored = [ACTIONS.format(source="gbbq"), "select * from raw_tdx.capital_event order by 1, 2, 3"]
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    before = [client_bench.rows(query) for query in stored]
    lose_events(cache / "gbbq", keep=0.5)
    os.utime(cache / "gbbq")

    refused = client_bench.load(datasets=EVENTS)

    assert refused.exit_code == 6
    assert set(failures(refused)) == set(EVENTS)
    assert [client_bench.rows(query) for query in stored] == before
    said = [line for line in client_bench.heard.lines if line.startswith("corporate_actions ")]
    assert len(said) == 2  # the first code, and how many more
    assert " more: gbbq lacks " in said[1]

    assert client_bench.load(datasets=EVENTS, accept_loss=True).exit_code == 0
    assert len(client_bench.rows(stored[0])) < len(before[0])
    again = client_bench.load(datasets=EVENTS)
    assert (again.exit_code, again.total("rows_changed")) == (0, 0)


def test_an_older_copy_is_read_once_and_takes_nothing_of_later_days_away(
    client_bench: Bench, cache: Path
) -> None:
    def event(day: int, cash: float) -> Record:
        return ("sh600000", 20250600 + day, 1, (cash, 0.0, 0.0, 0.0))

    def standing() -> list[list[tuple[Any, ...]]]:
        rows = (
            "select ex_date, cash_per10_yuan::int from raw_tdx.corporate_action "
            "where source = 'gbbq' and not is_withdrawn order by 1",
            "select event_date, value1::int from raw_tdx.capital_event order by 1",
        )
        return [[(day.day, cash) for day, cash in client_bench.rows(query)] for query in rows]

    newest = encode_gbbq([event(1, 1), event(2, 2), event(5, 5)])
    write(cache / "gbbq", newest, 6)
    client_bench.load(datasets=EVENTS)
    assert standing() == [[(1, 1), (2, 2), (5, 5)]] * 2

    write(cache / "gbbq", encode_gbbq([event(1, 1), event(2, 9)]), 3)
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert standing() == [[(1, 1), (2, 9), (5, 5)]] * 2
    again = client_bench.load(datasets=EVENTS).tasks
    assert [task.rows_read for task in again if task.dataset in EVENTS] == [0, 0]

    write(cache / "gbbq", newest, 6)
    client_bench.load(datasets=EVENTS)
    assert standing() == [[(1, 1), (2, 2), (5, 5)]] * 2


def test_a_file_written_during_a_load_is_read_by_the_next_one(
    client_bench: Bench, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (("sh600000", 20250602, 1, (cash, 0.0, 0.0, 0.0)) for cash in (1.0, 2.0))
    write(cache / "gbbq", encode_gbbq([old]), 4)
    read = gbbq_file.read

    def written_after(*args: Any) -> Any:
        result = read(*args)
        write(cache / "gbbq", encode_gbbq([new]), 5)
        return result

    monkeypatch.setattr(gbbq_file, "read", written_after)
    client_bench.load(datasets=EVENTS)
    monkeypatch.undo()
    stored = (
        "select cash_per10_yuan from raw_tdx.corporate_action where source = 'gbbq'",
        "select value1 from raw_tdx.capital_event",
    )
    assert [client_bench.rows(query) for query in stored] == [[(1,)], [(1,)]]
    client_bench.load(datasets=EVENTS)
    assert [client_bench.rows(query) for query in stored] == [[(2,)], [(2,)]]


def test_a_file_that_is_no_gbbq_fails_alone_and_a_bad_record_costs_itself(
    client_bench: Bench, cache: Path
) -> None:
    whole = (cache / "gbbq").read_bytes()
    write(cache / "gbbq", whole[:-10], 4)
    cut = client_bench.load(datasets=(*CORE, "capital_events"))
    assert cut.exit_code == 6
    assert set(failures(cut)) == {"capital_events"}
    assert "announced records need" in failures(cut)["capital_events"]
    assert client_bench.rows("select count(*) from raw_tdx.capital_event") == [(0,)]
    both = client_bench.load(datasets=EVENTS)
    assert set(failures(both)) == {"capital_events"}
    alone = client_bench.load(codes=["sh600000"], datasets=("corporate_actions",))
    assert alone.exit_code != 0
    assert "announced records need" in failures(alone)["corporate_actions"]

    good = ("sh600000", 20250602, 1, (1.0, 0.0, 3.0, 0.0))
    no_day = ("sh600000", 20250231, 1, (1.0, 0.0, 3.0, 0.0))
    write(
        cache / "gbbq", encode_gbbq([good, no_day, ("sz000001", 20250602, 99, (1.0, 0, 0, 0))]), 5
    )
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    open_ones = (
        "select dataset, row_key, field from raw_tdx.rejected_row where is_withdrawn is not true"
    )
    refused = ("capital_events", "gbbq sh600000 record 1", "datetime")
    assert client_bench.rows(open_ones) == [refused]
    assert any("unknown category 99" in line for line in client_bench.heard.lines)

    write(cache / "gbbq", encode_gbbq([good]), 6)
    client_bench.load(datasets=EVENTS)
    assert client_bench.rows(open_ones) == []


def test_without_the_file_nothing_is_read_and_nothing_fails(
    client_bench: Bench, cache: Path
) -> None:
    (cache / "gbbq").unlink()
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    assert any("holds no T0002/hq_cache/gbbq" in line for line in client_bench.heard.lines)


def test_files_that_were_read_before_and_are_gone_are_missed_until_accepted(
    client_bench: Bench, cache: Path
) -> None:
    write(cache / "block_gn.dat", older_blocks({"芯片": ["600000"]}), 2)
    datasets = ("capital_events", "sectors")
    assert client_bench.load(datasets=datasets).exit_code == 0
    for name in ("gbbq", "block_gn.dat"):
        (cache / name).unlink()
    (cache / "gbbq").mkdir()  # is no file

    refused = client_bench.load(datasets=datasets)
    assert refused.exit_code == 6
    for dataset in datasets:
        reason = failures(refused)[dataset]
        assert "was read before and is gone: what is stored stays" in reason
        assert f"loaders run tdx --dataset {dataset} --accept-loss" in reason

    assert client_bench.load(datasets=datasets, accept_loss=True).exit_code == 0
    assert client_bench.load(datasets=datasets).exit_code == 0
    current = "select member from raw_tdx.sector_member where valid_to is null"
    assert client_bench.rows(current) == [("600000",)]


def test_a_gone_file_fails_the_corporate_actions_that_are_loaded_alone(
    client_bench: Bench, cache: Path
) -> None:
    assert client_bench.load(datasets=EVENTS).exit_code == 0
    count = "select count(*) from raw_tdx.corporate_action where source = 'gbbq'"
    before = client_bench.rows(count)
    (cache / "gbbq").unlink()

    # beside capital_events that fails alone
    assert {*failures(client_bench.load(datasets=EVENTS))} == {"capital_events"}
    alone = ("corporate_actions",)
    refused = client_bench.load(datasets=alone)
    assert refused.exit_code == 6
    reason = failures(refused)["corporate_actions"]
    assert "T0002/hq_cache/gbbq was read before and is gone: what is stored stays" in reason
    assert "loaders run tdx --dataset corporate_actions --accept-loss" in reason

    assert client_bench.load(datasets=alone, accept_loss=True).exit_code == 0
    assert client_bench.load(datasets=alone).exit_code == 0
    assert client_bench.rows(count) == before


def test_members_begin_and_end_on_the_day_their_file_was_written(
    client_bench: Bench, cache: Path
) -> None:
    members = (
        "select member, valid_from::text, valid_to::text from raw_tdx.sector_member "
        "where sector_kind = 'concept' order by 1, 2"
    )
    write(cache / "block_gn.dat", older_blocks({"芯片": ["600000", "000001"]}), 2)
    write(cache / "tdxhy.cfg", b"1|600000|T1001|440101|H1201\n", 2)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    assert client_bench.load(datasets=("sectors",)).tasks[-1].rows_read == 0

    write(cache / "block_gn.dat", older_blocks({"芯片": ["600000", "300750"]}), 5)
    write(cache / "block_zs.dat", struct.pack("<384xH", 3), 5)
    result = client_bench.load(datasets=("sectors",))

    assert {key for task in result.tasks for key in task.failures} == {"block_zs.dat"}
    assert client_bench.rows(members) == [
        ("000001", "2025-06-02", "2025-06-05"),
        ("300750", "2025-06-05", None),
        ("600000", "2025-06-02", None),
    ]
    kinds = client_bench.rows("select distinct sector_kind from raw_tdx.sector_member order by 1")
    assert [kind for (kind,) in kinds] == ["concept", "industry", "industry_2", "industry_3"]


def test_members_in_an_older_copy_hold_from_the_day_of_the_newer_one(
    client_bench: Bench, cache: Path
) -> None:
    for day, members in ((5, ["600000", "300750"]), (2, ["600000", "000001"])):
        write(cache / "block_gn.dat", older_blocks({"芯片": members}), day)
        assert client_bench.load(datasets=("sectors",)).exit_code == 0
    assert client_bench.load(datasets=("sectors",)).tasks[-1].rows_read == 0
    assert client_bench.rows(
        "select member, valid_from::text, valid_to::text from raw_tdx.sector_member "
        "where sector_kind = 'concept' order by 1"
    ) == [
        ("000001", "2025-06-05", None),
        ("300750", "2025-06-05", "2025-06-05"),
        ("600000", "2025-06-05", None),
    ]


def test_sectors_of_todays_client_replace_those_of_an_older_one(
    client_bench: Bench, cache: Path, small_market: SyntheticMarket
) -> None:
    current = """
        select sector_kind, min(length(member)) from raw_tdx.sector_member
        where valid_to is null group by 1 order by 1
    """
    for generation in ("older", "today"):
        write_client_files(small_market, cache, generation)
        write_sectors(small_market, cache, generation)
        result = client_bench.load(datasets=("sectors",))
        assert result.exit_code == 0
        if generation == "older":
            kinds = [kind for kind, _ in client_bench.rows(current)]
            assert kinds == ["concept", "index", "industry", "industry_2", "industry_3", "style"]
    assert client_bench.rows(current) == [
        (kind, len("sh600000"))
        for kind in ("concept", "index", "industry", "industry_x", "special", "style")
    ]
    assert any("industry_2, industry_3 end" in warning for warning in result.warnings)
    lines = client_bench.heard.lines
    assert any("from infoharbor_block.dat of today's client" in line for line in lines)
    assert any("block_gn.dat of" in line and "is not read" in line for line in lines)

    # cut within the styles: a loss of these, and of the indices that follow
    counts = client_bench.rows("select sector_kind, count(*) from raw_tdx.sector_member group by 1")
    cut_short(cache / "infoharbor_block.dat", 0.7)
    refused = client_bench.load(datasets=("sectors",))
    assert {key for task in refused.tasks for key in task.failures} == {
        "block_fg.dat",
        "block_zs.dat",
    }
    way_out = "loaders run tdx --dataset sectors --accept-loss"
    assert all(way_out in why for task in refused.tasks for why in task.failures.values())
    assert {*counts} == {
        *client_bench.rows("select sector_kind, count(*) from raw_tdx.sector_member group by 1")
    }
    accepted = client_bench.load(datasets=("sectors",), accept_loss=True)
    assert accepted.exit_code == 0
    assert any("where it announces" in warning for warning in accepted.warnings)


def test_a_file_with_fewer_members_is_taken_once_its_loss_is_accepted(
    client_bench: Bench, cache: Path
) -> None:
    ended = "select count(*) from raw_tdx.sector_member where valid_to is not null"
    write(cache / "block_gn.dat", older_blocks({"芯片": ["600000", "300750", "000001"]}), 2)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    write(cache / "block_gn.dat", older_blocks({"芯片": ["600000"]}), 5)

    refused = client_bench.load(datasets=("sectors",))
    assert "loaders run tdx --dataset sectors --accept-loss" in failures(refused)["sectors"]
    assert client_bench.rows(ended) == [(0,)]

    accepted = client_bench.load(datasets=("sectors",), accept_loss=True)
    assert accepted.exit_code == 0
    assert any("block_gn.dat has 1 codes of concept" in text for text in accepted.warnings)
    assert client_bench.rows(ended) == [(2,)]
