"""Sectors of the desktop client's files in a load: whose members hold from when until when."""

from pathlib import Path

import pytest

from loaders.sandbox.tdx.client_files import write_client_files, write_sectors
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.folder import cut_short, failures, write

BLOCKS, SPECIAL = "infoharbor_block.dat", "spblock.dat"
MEMBERS = (
    "select member, valid_from::text, valid_to::text from raw_tdx.sector_member "
    "where sector_kind = 'concept' order by 1, 2"
)


def concept(*codes: str) -> bytes:
    """A file of blocks with one sector."""
    members = ",".join(f"{int(code[0] == '6')}#{code}" for code in codes)
    return f"#GN_芯片,{len(codes)},\r\n{members}\r\n".encode("gb18030")


def test_members_begin_and_end_on_the_day_their_file_was_written(
    client_bench: Bench, cache: Path
) -> None:
    write(cache / BLOCKS, concept("600000", "000001"), 2)
    write(cache / "tdxhy.cfg", b"1|600000|T1001|440101|H1201\n", 2)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    assert client_bench.load(datasets=("sectors",)).tasks[-1].rows_read == 0

    write(cache / BLOCKS, concept("600000", "300750"), 5)
    write(cache / SPECIAL, b"no sector", 5)
    result = client_bench.load(datasets=("sectors",))

    assert {key for task in result.tasks for key in task.failures} == {SPECIAL}
    assert client_bench.rows(MEMBERS) == [
        ("sh600000", "2025-06-02", None),
        ("sz000001", "2025-06-02", "2025-06-05"),
        ("sz300750", "2025-06-05", None),
    ]
    kinds = client_bench.rows("select distinct sector_kind from raw_tdx.sector_member order by 1")
    assert [kind for (kind,) in kinds] == ["concept", "industry", "industry_2", "industry_3"]


def test_members_in_an_older_copy_hold_from_the_day_of_the_newer_one(
    client_bench: Bench, cache: Path
) -> None:
    for day, members in ((5, ["600000", "300750"]), (2, ["600000", "000001"])):
        write(cache / BLOCKS, concept(*members), day)
        assert client_bench.load(datasets=("sectors",)).exit_code == 0
    assert client_bench.load(datasets=("sectors",)).tasks[-1].rows_read == 0
    assert client_bench.rows(MEMBERS) == [
        ("sh600000", "2025-06-05", None),
        ("sz000001", "2025-06-05", None),
        ("sz300750", "2025-06-05", "2025-06-05"),
    ]


@pytest.mark.long
def test_all_files_of_a_client_are_read_and_a_cut_one_is_refused_whole(
    client_bench: Bench, cache: Path, small_market: SyntheticMarket
) -> None:
    current = "select distinct sector_kind from raw_tdx.sector_member where valid_to is null"
    write_client_files(small_market, cache)
    write_sectors(small_market, cache)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    kinds = {kind for (kind,) in client_bench.rows(current)}
    assert kinds == {"concept", "index", "industry", "industry_x", "special", "style"}
    assert any(f"from {BLOCKS}" in line for line in client_bench.heard.lines)

    # cut within the styles: a loss of these, and of the indices that follow
    counts = client_bench.rows("select sector_kind, count(*) from raw_tdx.sector_member group by 1")
    cut_short(cache / "infoharbor_block.dat", 0.7)
    refused = client_bench.load(datasets=("sectors",))
    assert {key for task in refused.tasks for key in task.failures} == {BLOCKS}
    assert {*counts} == {
        *client_bench.rows("select sector_kind, count(*) from raw_tdx.sector_member group by 1")
    }
    accepted = client_bench.load(datasets=("sectors",), accept_loss=True)
    assert accepted.exit_code == 0
    assert any("accepted by" in warning and BLOCKS in warning for warning in accepted.warnings)


def test_a_file_known_to_be_cut_ends_no_member(client_bench: Bench, cache: Path) -> None:
    ended = "select count(*) from raw_tdx.sector_member where valid_to is not null"
    members = [f"6{number:05}" for number in range(100)]
    write(cache / BLOCKS, concept(*members), 2)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    whole = concept(*members[:-1])
    for day, content, code in ((5, whole.replace(b",99,", b",100,"), 6), (6, whole, 0)):
        write(cache / BLOCKS, content, day)
        result = client_bench.load(datasets=("sectors",))
        assert result.exit_code == code
        assert client_bench.rows(ended) == [(int(code == 0),)]
        # what is refused is not called taken too
        assert any("lacks 1 of 100 members" in text for text in result.warnings) == (code == 0)
    write(cache / BLOCKS, concept(*members), 7)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0


def test_a_file_with_fewer_members_is_taken_once_its_loss_is_accepted(
    client_bench: Bench, cache: Path
) -> None:
    ended = "select count(*) from raw_tdx.sector_member where valid_to is not null"
    write(cache / BLOCKS, concept("600000", "300750", "000001"), 2)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    write(cache / BLOCKS, concept("600000"), 5)

    for _ in range(2):
        refused = client_bench.load(datasets=("sectors",))
        assert refused.exit_code == 6
        assert "2 of 3" in failures(refused)["sectors"]
        assert client_bench.rows(ended) == [(0,)]

    accepted = client_bench.load(datasets=("sectors",), accept_loss=True)
    assert accepted.exit_code == 0
    assert any("accepted by" in text and "2 of 3" in text for text in accepted.warnings)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    assert client_bench.rows(ended) == [(2,)]


def test_the_files_of_an_older_client_are_named_and_end_no_member(
    client_bench: Bench, cache: Path
) -> None:
    client_bench.execute(
        "insert into raw_tdx.sector_member (sector_kind, sector_name, member, valid_from, "
        "source_route, fetched_at, is_final) "
        "values ('concept', '芯片', '600000', '2025-06-01', 'T0002/hq_cache', '2025-06-01', true)"
    )
    write(cache / "block_gn.dat", b"of an older client", 2)
    result = client_bench.load(datasets=("sectors",))
    assert result.exit_code == 0
    assert any("block_*.dat " in text for text in result.warnings)
    assert client_bench.rows(MEMBERS) == [("600000", "2025-06-01", None)]

    # once the client is updated, the same member has its exchange
    write(cache / BLOCKS, concept("600000"), 5)
    assert client_bench.load(datasets=("sectors",)).exit_code == 0
    assert client_bench.rows(MEMBERS) == [
        ("600000", "2025-06-01", "2025-06-05"),
        ("sh600000", "2025-06-05", None),
    ]
