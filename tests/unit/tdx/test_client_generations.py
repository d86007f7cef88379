"""Files of today's desktop client and of older ones: both are read, today's first."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loaders.sandbox.tdx.client_files import write_client_files, write_sectors
from loaders.sandbox.tdx.folder_faults import cut_short
from loaders.sandbox.tdx.vipdoc_files import write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket
from loaders.settings import Settings
from loaders.tdx.check import check
from loaders.tdx.datasets.sectors import compare_generations, describe_loss, describe_short
from loaders.tdx.files import sectors, tnf
from loaders.tdx.files.folder import Folder, scan_folder
from loaders.tdx.files.generations import OLDER, TODAY, choose
from loaders.tdx.files.sectors import Membership, read_sectors
from loaders.tdx.settings import TdxSettings
from quotemill.errors import DataQualityError

MARKET = SyntheticMarket(codes=30, days=40)
STOCKS = [s for s in MARKET.securities if s.kind == "stock"]
BLOCKS = """#GN_芯片,2,880948,20170314,20260702,,\r
0#000016,1#600036\r
#ZS_中证500,0,,20050408,,,\r
#FG_专精特新,1,880735,20210802,20260114,,\r
2#830799\r
#ZS_沪深300,2,,20050408,,,\r
0#000001,
7#600000\r
#XX_新,1,,,,,\r
0#000001\r
"""


def make_folder(tmp_path: Path, *generations: str) -> Folder:
    write_vipdoc(MARKET, tmp_path / "vipdoc", days=1)
    for generation in generations:
        write_client_files(MARKET, tmp_path / "T0002/hq_cache", generation)
        write_sectors(MARKET, tmp_path / "T0002/hq_cache", generation)
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    return folder


@pytest.mark.parametrize(("generation", "label"), [("today", TODAY), ("older", OLDER)])
def test_a_folder_of_each_generation_is_read_whole(
    tmp_path: Path, generation: str, label: str
) -> None:
    folder = make_folder(tmp_path, generation)
    names = {}
    for exchange, pair in tnf.FILES.items():
        lists = choose(folder, pair)
        assert lists is not None
        assert (lists.generation, lists.unread) == (label, None)
        names |= tnf.read_names(lists.path, exchange)
    assert names == {s.code: s.name for s in MARKET.securities}
    for key, kinds in sectors.KINDS.items():
        chosen = choose(folder, sectors.FILES[key])
        if chosen is None:  # an older client's folder here has no further sectors
            assert (key, generation) == ("spblock.dat", "older")
            continue
        file = read_sectors(chosen.path, key)
        assert (file.generation, file.rejected, file.unknown) == (label, [], ())
        assert {m.sector_kind for m in file.memberships} == {*file.kinds} <= {*kinds}
        assert {m.member[-6:] for m in file.memberships} == {s.digits for s in STOCKS}


def test_of_both_generations_todays_client_counts(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "older", "today")
    newer = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    os.utime(tmp_path / "T0002/hq_cache/shm.tnf", (newer, newer))
    choice = choose(folder, tnf.FILES["sh"])
    assert choice is not None
    assert (choice.name, choice.generation) == ("shs.tnf", TODAY)
    assert choice.unread is not None
    assert choice.unread.startswith("shm.tnf of 2030-01-01 is not read: shs.tnf of ")


def test_a_check_names_the_files_and_their_generation(tmp_path: Path) -> None:
    now = datetime(2025, 7, 1, tzinfo=UTC)
    make_folder(tmp_path, "today")
    settings = Settings(tdx=TdxSettings(client=tmp_path))
    text = check(settings, now).text
    assert "(shs.tnf, szs.tnf, bjs.tnf of today's client)" in text
    assert "(infoharbor_block.dat, spblock.dat, tdxhy.cfg of today's client)" in text
    make_folder(tmp_path, "older")
    result = check(settings, now)
    assert "(tdxhy.cfg of an older client)" in result.text
    assert "not read, of an older client: shm.tnf, szm.tnf, bjm.tnf, block_gn.dat" in result.text
    assert result.figures["lists"] == ["bjs.tnf", "shs.tnf", "szs.tnf"]


def test_sectors_of_todays_client_are_named_with_what_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "infoharbor_block.dat"
    file.write_bytes(BLOCKS.encode("gb18030"))
    index, concept = read_sectors(file, "block_zs.dat"), read_sectors(file, "block_gn.dat")
    assert index.memberships == {Membership("index", "沪深300", "sz000001")}
    assert [(r.row_key, r.value) for r in index.rejected] == [
        ("infoharbor_block.dat ZS_沪深300 1", "7#600000")
    ]
    assert sectors.owns_rejected("block_zs.dat", index.rejected[0].row_key)
    assert not sectors.owns_rejected("block_gn.dat", index.rejected[0].row_key)
    assert index.unknown == (
        "sectors of an unknown kind are skipped: XX",
        "1 of kind index name no member, such as 中证500",
    )
    assert {m.member for m in concept.memberships} == {"sz000016", "sh600036"}
    assert {m.member for m in read_sectors(file, "block_fg.dat").memberships} == {"bj830799"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("garbage\n#GN_芯片,1,,,,,\n0#000016\n", "holds no sector"),
    ],
)
def test_what_is_no_file_of_todays_sectors_is_refused(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "infoharbor_block.dat"
    file.write_bytes(content.encode("gb18030"))
    with pytest.raises(DataQualityError, match=reason):
        read_sectors(file, "block_gn.dat")


def test_a_sector_with_fewer_members_than_announced_is_a_loss(tmp_path: Path) -> None:
    make_folder(tmp_path, "today")
    path = tmp_path / "T0002/hq_cache/infoharbor_block.dat"
    whole = read_sectors(path, "block_fg.dat")
    assert describe_short(whole, whole.memberships) is None
    cut_short(path, 0.7)
    cut = read_sectors(path, "block_fg.dat")
    why = describe_short(cut, whole.memberships)
    assert why is not None
    assert re.fullmatch(r"[0-9]+ members of (基金重仓|高分红股), where it announces [0-9]+", why)
    # of a file that was never read too, until that was accepted
    assert describe_short(cut, []) == why
    assert describe_short(cut, cut.memberships) is None


def test_further_sectors_name_the_members_of_large_indices(tmp_path: Path) -> None:
    file = tmp_path / "spblock.dat"
    file.write_bytes(
        "#中证500\r\n1600000\r\n0000009\r\n#融资融券\r\n2430047\r\n00\r\n".encode("gbk")
    )
    result = read_sectors(file, "spblock.dat")
    assert result.memberships == {
        Membership("special", "中证500", "sh600000"),
        Membership("special", "中证500", "sz000009"),
        Membership("special", "融资融券", "bj430047"),
    }
    assert [(row.row_key, row.value) for row in result.rejected] == [
        ("spblock.dat 融资融券 1", "00")
    ]
    assert sectors.owns_rejected("spblock.dat", result.rejected[0].row_key)


def test_sectors_that_vanish_together_are_a_loss_though_their_codes_stay() -> None:
    def concepts(count: int) -> set[Membership]:
        return {Membership("concept", str(n), s.code) for n in range(count) for s in STOCKS}

    assert describe_loss(concepts(95), concepts(100)) is None
    assert describe_loss(concepts(94), concepts(100)) == (
        "94 sectors of concept, where 100 were known before"
    )


def test_each_kind_of_a_file_is_one_that_the_models_know() -> None:
    project = Path(__file__).parents[3] / "dbt_project"
    models = (project / "models/marts/market/_market__capital_models.yml").read_text("utf-8")
    [values] = re.findall(r"sector_kind,.*?values: \[(.*?)\]", models, re.DOTALL)
    assert {*re.split(r",\s*", values)} == {k for kinds in sectors.KINDS.values() for k in kinds}


def test_the_sixth_field_of_industries_is_the_research_industry(tmp_path: Path) -> None:
    file = tmp_path / "tdxhy.cfg"
    file.write_text("0|000001|T1001|||X500102\r\n1|600000|T1001|||\r\n2|920001|T1|||X1|?\r\n")
    today = read_sectors(file, "tdxhy.cfg")
    assert today.memberships == {
        Membership("industry", "T1001", "sz000001"),
        Membership("industry_x", "X500102", "sz000001"),
        Membership("industry", "T1001", "sh600000"),
        Membership("industry", "T1", "bj920001"),
        Membership("industry_x", "X1", "bj920001"),
    }
    assert today.unknown == ("1 line has unknown fields after the sixth",)


def test_an_older_clients_sectors_are_no_measure_of_todays(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "older", "today")

    def choose_and_read(key: str, today: str) -> sectors.SectorFile:
        path = folder.find(f"T0002/hq_cache/{today}")
        assert path is not None
        return read_sectors(path, key)

    stored = {Membership("concept", "芯片", f"{n:06d}") for n in range(1000)}
    blocks = choose_and_read("block_gn.dat", "infoharbor_block.dat")
    assert compare_generations(blocks, stored) == (["concept"], [])
    industries = choose_and_read("tdxhy.cfg", "tdxhy.cfg")
    older = {Membership(kind, "1", s.code) for kind in industries.kinds for s in STOCKS}
    dropped = {Membership("industry_2", "440101", s.code) for s in STOCKS}
    ended, compared = compare_generations(industries, older | dropped)
    assert (ended, {*compared}) == (["industry_2"], older)
    # today's members that go missing are a loss all the same
    short = blocks._replace(memberships={*list(blocks.memberships)[:10]})
    assert describe_loss(short.memberships, compare_generations(short, blocks.memberships)[1])
