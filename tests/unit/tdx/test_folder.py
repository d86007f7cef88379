"""The desktop client's folder: its files, and what is refused in its place."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loaders.tdx.files import tnf
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.settings import FOLDER_FIX, TdxSettings
from quotemill.errors import DataQualityError, SettingsError
from quotemill.instrument_ranges import classify_code
from tests.conftest import shared_folder
from tests.homes import new_home


def put(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


@pytest.mark.parametrize(
    ("day", "gbbq"),
    [
        ("vipdoc/sh/lday/sh600000.day", "T0002/hq_cache/gbbq"),
        ("VIPDOC/SH/LDAY/SH600000.DAY", "t0002/HQ_CACHE/GBBQ"),
    ],
)
def test_file_names_match_in_any_case(tmp_path: Path, day: str, gbbq: str) -> None:
    folder = scan_folder(TdxSettings(client=put(tmp_path, day, gbbq)))
    assert folder is not None
    assert folder.bars("day") == {"sh600000": tmp_path / day}
    assert folder.find("T0002/hq_cache/gbbq") == tmp_path / gbbq
    assert folder.find("T0002/hq_cache/shm.tnf") is None


def test_of_minutes_the_newer_form_counts_and_of_other_things_nothing(tmp_path: Path) -> None:
    minutes = [f"sz/fzline/{name}" for name in ("sz000001.5", "sz000001.lc5", "sz000002.5")]
    others = ["ds/lday/31#00700.day", "sz/lday/sh600000.day", "sh/lday/sh60000.day"]
    files = [f"vipdoc/{name}" for name in [*minutes, *others, "sh/lday/readme.txt"]]
    put(tmp_path, *files, "T0002/other/gbbq")
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    files = {code: path.name for code, path in folder.bars("minute5").items()}
    assert files == {"sz000001": "sz000001.lc5", "sz000002": "sz000002.5"}
    assert not folder.bars("day")
    assert folder.find("T0002/other/gbbq") is None


def test_of_two_spellings_of_a_folder_the_file_written_last_counts(tmp_path: Path) -> None:
    names = ("vipdoc/sh/lday/sh600000.day", "VIPDOC/sh/lday/sh600000.day")
    put(tmp_path, *names)
    for newer, older in (names, names[::-1]):
        os.utime(tmp_path / older, (1e9, 1e9))
        os.utime(tmp_path / newer, (2e9, 2e9))
        folder = scan_folder(TdxSettings(client=tmp_path))
        assert folder is not None
        assert folder.bars("day")["sh600000"].samefile(tmp_path / newer)


def test_what_is_no_folder_of_the_client_is_refused_with_what_it_should_be(tmp_path: Path) -> None:
    assert scan_folder(TdxSettings()) is None
    with pytest.raises(SettingsError, match=r"tdx\.client: .*absent: No "):
        scan_folder(TdxSettings(client=tmp_path / "absent"))
    with pytest.raises(SettingsError, match=re.escape(f"{tmp_path} ")) as refused:
        scan_folder(TdxSettings(client=put(tmp_path, "lday/600000.day")))
    assert refused.value.hint == FOLDER_FIX


@contextmanager
def as_another_user() -> Iterator[None]:
    """Root may read everything."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def test_what_cannot_be_read_is_named_and_costs_nothing_else() -> None:
    with new_home() as home:
        client = put(home / "tdx", "vipdoc/sh/lday/sh600000.day", "vipdoc/sh/minline/sh600000.lc1")
        closed, loop = client / "vipdoc/sh/minline", client / "vipdoc/sz"
        loop.symlink_to("sz")
        itself, lost = (client / f"vipdoc/sh/lday/sh60000{n}.day" for n in (1, 2))
        itself.symlink_to(itself.name)
        lost.symlink_to("elsewhere")
        (client / "vipdoc/sh/lday/old").mkdir()
        closed.chmod(0)
        try:
            with as_another_user():
                folder = scan_folder(TdxSettings(client=client))
        finally:
            closed.chmod(0o755)
    assert folder is not None
    assert set(folder.bars("day")) == {"sh600000"}
    unreadable = [
        text.removeprefix("cannot read ").partition(": ")[0] for text in folder.unreadable.values()
    ]
    assert unreadable == [str(path) for path in (itself, lost, closed, loop)]
    assert folder.fault is not None
    assert "and 3 more" in folder.fault
    assert folder.hides("vipdoc/sz/lday/sz000001.day")
    assert folder.hides("vipdoc/sh/lday/sh600001.day")
    assert not folder.hides("vipdoc/sh/lday/sh600003.day")


def test_a_folder_that_nobody_may_read_is_refused() -> None:
    with new_home() as home:
        client = put(home / "tdx", "vipdoc/sh/lday/sh600000.day")
        client.chmod(0)
        try:
            with as_another_user(), pytest.raises(SettingsError, match="Permission"):
                scan_folder(TdxSettings(client=client))
        finally:
            client.chmod(0o755)


DAY = "sh600000.day"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ((f"tdx/vipdoc/sh/lday/{DAY}",), "tdx/vipdoc"),
        ((f"tdx/vipdoc/sh/lday/{DAY}",), "."),
        ((f"hsjday/sh/lday/{DAY}",), "hsjday"),
        ((f"shlday/{DAY}",), "shlday"),
        (("hsjday.zip",), "."),
        (("vipdoc/hsjday.zip", "T0002/hq_cache/gbbq"), "."),
        ((rf"vipdoc\sh\lday\{DAY}",), "."),
        (("vipdoc/sh/readme.txt",), "."),
    ],
)
def test_any_other_form_is_refused_with_the_line_that_unpacks_it(
    tmp_path: Path, files: tuple[str, ...], named: str
) -> None:
    put(tmp_path, *files)
    with pytest.raises(SettingsError, match=r"tdx\.client: ") as refused:
        scan_folder(TdxSettings(client=tmp_path / named))
    assert refused.value.hint == FOLDER_FIX


@pytest.mark.parametrize(("root", "place"), [("hsjday", "vipdoc"), ("shlday", "vipdoc/sh/lday")])
def test_a_real_download_is_read_once_it_is_unpacked(tmp_path: Path, root: str, place: str) -> None:
    case = shared_folder("cases/tdx/23-vendor-zip-layout") / root
    with pytest.raises(SettingsError, match=root):
        scan_folder(TdxSettings(client=case))
    shutil.copytree(case, tmp_path / place)
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    assert [*folder.bars("day")] == ["sh600519"]


def record(code: str, name: str, size: int = 314) -> bytes:
    text = code.encode() + bytes(17) + name.encode("gbk")
    return text + bytes(size - len(text))


def test_the_list_of_an_older_client_counts_only_without_todays(tmp_path: Path) -> None:
    put(tmp_path, "T0002/hq_cache/SHM.TNF", "T0002/hq_cache/szm.tnf", "T0002/hq_cache/szs.tnf")
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    lists = [tnf.find_list(folder, exchange) for exchange in ("sh", "sz", "bj")]
    assert [path and path.name for path in lists] == ["SHM.TNF", "szs.tnf", None]


def test_a_list_tells_codes_and_names(tmp_path: Path) -> None:
    file = tmp_path / "szm.tnf"
    file.write_bytes(bytes(50) + record("000001", "平安银行") + record("399001", "深证成指"))
    assert tnf.read_names(file, "sz") == {"sz000001": "平安银行", "sz399001": "深证成指"}


@pytest.mark.parametrize(
    "content",
    [b"", bytes(50), bytes(50) + record("000001", "x", 250), bytes(50) + record("00000A", "x")],
)
def test_a_list_of_another_client_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "szm.tnf"
    file.write_bytes(content)
    with pytest.raises(DataQualityError, match=r"szm\.tnf"):
        tnf.read_names(file, "sz")
    with pytest.raises(DataQualityError, match=r"shm\.tnf"):
        tnf.read_names(tmp_path / "shm.tnf", "sh")


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (
            "stock",
            "sh600000 sh688001 sh689009 sh900901 "
            "sz000001 sz002001 sz300001 sz200002 sz201872 bj830799",
        ),
        (
            "fund",
            "sh500038 sh502000 sh510050 sh560010 sh588000 sz150008 sz159915 sz160106 sz184801",
        ),
        ("index", "sh000001 sh000300 sz399001 sz399006 bj899050"),
        (None, "sh880001 sh019547 sh110059 sh204001 sz128014 sz031007 sz395001 sz131810"),
    ],
)
def test_kinds_follow_from_codes(kind: str | None, codes: str) -> None:
    assert {classify_code(code) for code in codes.split()} == {kind}


def test_real_lists_hold_what_is_known_of_the_market(real_client: Path) -> None:
    names = tnf.read_names(real_client / "T0002/hq_cache/szm.tnf", "sz")
    assert len(names) == 11_838
    assert names["sz000001"] == "平安银行"
    assert sum(classify_code(code) == "stock" for code in names) > 2_000
