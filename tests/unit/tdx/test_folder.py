"""The desktop client's folder, in the forms in which people have it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from loaders.tdx.files import tnf
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.files.vipdoc import read_bars
from loaders.tdx.files.written import read_content
from loaders.tdx.settings import TdxSettings
from quotemill.errors import DataQualityError, SettingsError
from quotemill.instrument_ranges import classify_code
from tests.conftest import shared_folder
from tests.homes import new_home
from tests.unit.tdx.test_vipdoc import day_record


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
        (r"vipdoc\sh\lday\sh600000.day", r"T0002\hq_cache\gbbq"),
        (r"new_tdx\vipdoc\sh\lday\sh600000.day", r"new_tdx\T0002\hq_cache\gbbq"),
        (r"vipdoc\sh/lday/sh600000.day", r"T0002/hq_cache\gbbq"),
    ],
)
def test_file_names_match_in_any_spelling(tmp_path: Path, day: str, gbbq: str) -> None:
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
    assert sorted(path.name for path in folder.strays) == ["sh60000.day", "sh600000.day"]
    assert folder.find("T0002/other/gbbq") is None


def test_a_folder_vipdoc_stands_in_for_the_clients_own(tmp_path: Path) -> None:
    client = put(tmp_path / "client", "vipdoc/sh/lday/sh600000.day", "T0002/hq_cache/gbbq")
    vipdoc = put(tmp_path / "other", "sz/lday/sz000001.day")
    folder = scan_folder(TdxSettings(client=client, vipdoc=vipdoc))
    assert folder is not None
    assert folder.files == {
        "t0002/hq_cache/gbbq": client / "T0002/hq_cache/gbbq",
        "vipdoc/sz/lday/sz000001.day": vipdoc / "sz/lday/sz000001.day",
    }


def test_what_is_no_folder_of_the_client_is_refused_with_what_it_should_be(tmp_path: Path) -> None:
    assert scan_folder(TdxSettings()) is None
    with pytest.raises(SettingsError, match=r"tdx\.client: .* cannot be read: No such file"):
        scan_folder(TdxSettings(client=tmp_path / "absent"))
    with pytest.raises(SettingsError, match="no file of the desktop client"):
        scan_folder(TdxSettings(client=put(tmp_path, "lday/600000.day")))


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
    unreadable = [text.partition(" cannot be read")[0] for text in folder.unreadable.values()]
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
            with as_another_user(), pytest.raises(SettingsError, match="cannot be read"):
                scan_folder(TdxSettings(client=client))
        finally:
            client.chmod(0o755)


DAY = "sh600000.day"
CLIENT = (f"tdx/vipdoc/sh/lday/{DAY}", "tdx/T0002/hq_cache/gbbq")


@pytest.mark.parametrize(
    ("files", "named", "meant"),
    [
        (CLIENT, "tdx/vipdoc", "tdx"),
        (CLIENT, "tdx/vipdoc/sh/lday", "tdx"),
        (CLIENT, "tdx/T0002", "tdx"),
        (CLIENT, "tdx/T0002/hq_cache", "tdx"),
        (CLIENT, ".", "tdx"),
        ((f"hsjday/sh/lday/{DAY}",), ".", "hsjday"),
        ((f"hsjday/sh/lday/{DAY}",), "hsjday/sh", "hsjday"),
        ((f"vipdoc/sh/lday/{DAY}",), "vipdoc/sh", "vipdoc"),
        ((f"down/shlday/{DAY}", "down/szlday/sz000001.day"), ".", "down"),
    ],
)
def test_the_hint_for_a_wrong_folder_leads_to_the_bars(
    tmp_path: Path, files: tuple[str, ...], named: str, meant: str
) -> None:
    put(tmp_path, *files)
    with pytest.raises(SettingsError) as refused:
        scan_folder(TdxSettings(client=tmp_path / named))
    hinted = Path(refused.value.hint.rpartition("tdx.client = ")[2])
    assert hinted.samefile(tmp_path / meant)
    folder = scan_folder(TdxSettings(client=hinted))
    assert folder is not None
    assert "sh600000" in folder.bars("day")


FORMS = [
    ("hsjday", "sh/lday/sh600519.day", "folders sh, sz and bj without vipdoc"),
    ("hsjday", r"sz\lday\sz000858.day", "folders sh, sz and bj without vipdoc"),
    ("vipdoc", "BJ/LDAY/BJ430047.DAY", "folders sh, sz and bj without vipdoc"),
    ("shlday", "sh600519.day", "files of bars without folders"),
    ("down", "szlday/sz000858.day", "files of bars without folders"),
    ("tdx", "vipdoc/sh/lday/sh600519.day", "the client's folder"),
]


@pytest.mark.parametrize(("root", "name", "form"), FORMS)
def test_the_vendors_downloads_are_read_packed_or_not(
    tmp_path: Path, root: str, name: str, form: str
) -> None:
    code = Path(name.replace("\\", "/")).stem.lower()
    file = tmp_path / root / name
    file.parent.mkdir(parents=True)
    file.write_bytes(day_record(20241108, 10, 12, 9, 11))
    zipped = tmp_path / "zips" / f"{root}.zip"
    zipped.parent.mkdir()
    with ZipFile(zipped, "w", ZIP_DEFLATED) as archive:
        archive.write(file, name)
        archive.writestr(f"{name}.part", b"x")
    packed = f"a zip of {form}"
    # the folder, the zip, and a folder of zips
    for place, seen in ((tmp_path / root, form), (zipped, packed), (zipped.parent, packed)):
        folder = scan_folder(TdxSettings(client=place))
        assert folder is not None
        assert (folder.form, list(folder.bars("day"))) == (seen, [code])
        path = folder.bars("day")[code]
        bars = read_bars(path, code, "stock", "day", datetime(2025, 1, 1, tzinfo=UTC))
        assert bars.bars["close"].tolist() == [110]
        again = scan_folder(TdxSettings(vipdoc=place)) if root != "tdx" else folder
        assert again is not None
        assert [*again.bars("day")] == [code]


def test_damaged_zips_are_named_and_cost_nothing_else(tmp_path: Path) -> None:
    whole = tmp_path / "szlday.zip"
    record = day_record(20241108, 10, 12, 9, 11)
    with ZipFile(whole, "w") as archive:
        archive.writestr("sz000858.day", record * 9)
        archive.writestr("sz000001.day", record)
    for name in ("bjlday.zip", "shlday.zip"):
        (tmp_path / name).write_bytes(whole.read_bytes()[:400])
    with pytest.raises(SettingsError, match=r"shlday\.zip cannot be read: BadZipFile") as refused:
        scan_folder(TdxSettings(client=tmp_path / "shlday.zip"))
    assert "download it again" in refused.value.hint
    whole.write_bytes(whole.read_bytes().replace(record * 9, record * 8 + bytes(32)))
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    assert "bjlday.zip cannot be read" in str(folder.fault)
    assert "shlday.zip cannot be read" in str(folder.fault)
    now, files = datetime(2025, 1, 1, tzinfo=UTC), folder.bars("day")
    with pytest.raises(DataQualityError, match=r"szlday\.zip/sz000858\.day .*: it is damaged"):
        read_bars(files["sz000858"], "sz000858", "stock", "day", now)
    assert len(read_bars(files["sz000001"], "sz000001", "stock", "day", now).bars) == 1
    whole.unlink()
    with pytest.raises(SettingsError, match=r"lday\.zip cannot be read") as raised:
        scan_folder(TdxSettings(client=tmp_path))
    assert "download it again" in str(raised.value.hint)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_a_name_in_a_zip_the_later_counts(tmp_path: Path) -> None:
    record = day_record(20241108, 10, 12, 9, 11)
    with ZipFile(tmp_path / "shlday.zip", "w") as archive:
        archive.writestr("sh600000.day", record)
        archive.writestr("sh600000.day", record * 2)
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    assert len(read_content(folder.bars("day")["sh600000"])) == 2 * len(record)


@pytest.mark.parametrize("root", ["hsjday", "shlday"])
def test_a_real_download_is_read_as_it_is(root: str) -> None:
    case = shared_folder("cases/tdx/23-vendor-zip-layout")
    for place in (case / root, case / "hsjday"):
        folder = scan_folder(TdxSettings(client=place))
        assert folder is not None
        assert [*folder.bars("day")] == ["sh600519"]


def test_the_clients_folder_is_no_vipdoc_and_an_empty_vipdoc_is_accepted(
    tmp_path: Path,
) -> None:
    client = put(tmp_path / "tdx", "vipdoc/sh/lday/sh600000.day")
    with pytest.raises(SettingsError, match=r"tdx\.vipdoc names") as refused:
        scan_folder(TdxSettings(vipdoc=client))
    assert f"tdx.vipdoc = {client / 'vipdoc'}" in refused.value.hint
    with pytest.raises(SettingsError, match=r"tdx\.vipdoc names") as refused:
        scan_folder(TdxSettings(vipdoc=client / "vipdoc/sh"))
    assert refused.value.hint == f"it may be tdx.vipdoc = {client / 'vipdoc'}"
    (tmp_path / "new/vipdoc").mkdir(parents=True)
    with pytest.raises(SettingsError, match="vipdoc holds no file of bars") as refused:
        scan_folder(TdxSettings(client=tmp_path / "new"))
    assert "download day bars" in refused.value.hint


def record(code: str, name: str, size: int = 314) -> bytes:
    text = code.encode() + bytes(17) + name.encode("gbk")
    return text + bytes(size - len(text))


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
    with pytest.raises(DataQualityError, match="cannot be read"):
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
