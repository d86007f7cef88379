"""Sectors of the desktop client's files: their members, and since when."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from loaders.tdx.datasets.sectors import list_changes
from loaders.tdx.files.sectors import Membership, read_sectors
from quotemill.errors import DataQualityError

EVENING = datetime(2026, 1, 5, 17, tzinfo=UTC)  # 01:00 of the 6th in Shanghai


def test_members_of_blocks_have_an_exchange_and_what_has_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "infoharbor_block.dat"
    text = (
        "#GN_5G概念,3,\n0#000063,1#600050,0#60005\n#FG_高分红股,1,\n1#600000\n#XX_y,1,\n0#000001\n"
    )
    file.write_text(text, "gb18030")
    result = read_sectors(file, file.name)
    assert result.memberships == {
        Membership("concept", "5G概念", "sz000063"),
        Membership("concept", "5G概念", "sh600050"),
        Membership("style", "高分红股", "sh600000"),
    }
    [rejected] = result.rejected
    assert (rejected.row_key, rejected.value) == (
        "infoharbor_block.dat GN_5G概念 2",
        "0#60005",
    )
    assert str(result.unknown).partition(": ")[2] == "XX"


def test_a_line_of_industries_tells_three_classifications_and_the_exchange(tmp_path: Path) -> None:
    file = tmp_path / "tdxhy.cfg"
    file.write_text("0|000001|T1001|440101|H1201\r\n1|900955|T00||\n7|000001|T1|1|1\nbroken\n\n")
    result, rejected, *_ = read_sectors(file, file.name)
    assert result == {
        Membership("industry", "T1001", "sz000001"),
        Membership("industry_2", "440101", "sz000001"),
        Membership("industry_3", "H1201", "sz000001"),
        Membership("industry", "T00", "sh900955"),
    }
    assert [row.row_key for row in rejected] == ["tdxhy.cfg:3", "tdxhy.cfg:4"]


@pytest.mark.parametrize("name", ["spblock.dat", "infoharbor_block.dat", "tdxhy.cfg"])
def test_a_file_without_any_sector_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>\n")
    with pytest.raises(DataQualityError, match=name):
        read_sectors(tmp_path / name, name)


@pytest.mark.parametrize("name", ["spblock.dat", "infoharbor_block.dat", "tdxhy.cfg"])
def test_an_empty_file_has_no_sector(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert read_sectors(tmp_path / name, name).memberships == set()


def test_a_line_that_is_cut_is_not_read_and_named(tmp_path: Path) -> None:
    file = tmp_path / "tdxhy.cfg"
    file.write_text("0|000001|T1001|||X5001\n0|000002|T1001|||X5001\n")
    whole = read_sectors(file, file.name)
    assert (len(whole.memberships), whole.incomplete) == (4, None)
    file.write_text("0|000001|T1001|||X5001\n0|000002|T1001|||X50")
    cut = read_sectors(file, file.name)
    assert {m.member for m in cut.memberships} == {"sz000001"}
    assert "line 2" in (cut.incomplete or "")


def test_sectors_with_fewer_members_than_announced_are_named(tmp_path: Path) -> None:
    file = tmp_path / "infoharbor_block.dat"
    file.write_text("#GN_A,3,\n0#000001,0#000002\n#GN_B,5,\n#GN_C,1,\n0#000001\n")
    short = read_sectors(file, file.name)
    assert (short.incomplete or "").startswith("2 ")
    assert len(short.memberships) == 3


def test_a_real_file_of_industries_is_read_whole(real_client: Path) -> None:
    result, rejected, *_ = read_sectors(real_client / "T0002/hq_cache/tdxhy.cfg", "tdxhy.cfg")
    assert len({m.member for m in result}) == 4267
    assert {m.sector_kind for m in result} == {"industry", "industry_2", "industry_3"}
    assert rejected == []


def test_what_is_new_begins_and_what_is_gone_ends_on_the_day_of_the_file() -> None:
    stays, goes, comes = (Membership("concept", "芯片", d) for d in ("000063", "600050", "300750"))
    before = {stays: date(2025, 12, 1), goes: date(2025, 12, 2)}
    rows = list(list_changes({stays, comes}, before, EVENING))
    assert [(row["member"], row["valid_from"], row["valid_to"]) for row in rows] == [
        ("300750", date(2026, 1, 6), None),
        ("600050", date(2025, 12, 2), date(2026, 1, 6)),
    ]
