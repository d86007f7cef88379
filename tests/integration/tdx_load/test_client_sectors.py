"""Sectors of the desktop client's files in a load: whose members hold from when until when."""

import struct
from pathlib import Path

import pytest

from loaders.sandbox.tdx.client_files import older_blocks, write_client_files, write_sectors
from loaders.sandbox.tdx.folder_faults import cut_short
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.folder import failures, write


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


@pytest.mark.long
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
    assert any("block_gn.dat has 1 code of concept" in text for text in accepted.warnings)
    assert client_bench.rows(ended) == [(2,)]
