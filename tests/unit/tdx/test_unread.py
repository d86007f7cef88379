"""What `loaders check tdx` says of a folder: its form, its newest day, and what is not read."""

from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from loaders.settings import Settings
from loaders.tdx.check import check
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.files.unread import describe_unread
from loaders.tdx.settings import TdxSettings
from tests.conftest import shared_folder
from tests.unit.tdx.test_folder import put
from tests.unit.tdx.test_vipdoc import day_record

NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)
CODES = ("vipdoc/sh/lday/sh600000.day", "vipdoc/sh/lday/sh60000.day", "T0002/hq_cache/gbbq")
OTHERS = {
    "vipdoc/ds/lday/31#00700.day": "bars of other markets",
    "vipdoc/sh/minline/sh000001.lc1": "bars within the day of indices",
    "vipdoc/sz/fzline/sz399001.5": "bars within the day of indices",
    "vipdoc/cw/gpcw20250930.zip": "financial reports",
    "vipdoc/sz/minline/sz000001.1": "one-minute bars of an older client",
    "old/sh/lday/sh600001.day": "bars outside the folders that are read",
    "T0002/export/SH#600000.txt": "exported bars",
    "T0002/hq_cache/base.dbf": "figures of companies",
    "T0002/zst_cache/sh600000.zst": "ticks of a session",
    "hsjday.zip": "archives",
}


@pytest.mark.parametrize("name", OTHERS)
def test_market_data_that_is_not_read_is_named_by_folder_and_kind(
    tmp_path: Path, name: str
) -> None:
    put(tmp_path, *CODES, name, "readme.txt", "T0002/user.ini", "T0002/hq_cache/shm.tnf")
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    [sentence] = describe_unread(folder)
    place, _, file = name.rpartition("/")
    assert sentence.startswith(f"1 file in {place or '.'}, such as {file}: {OTHERS[name]}")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("sh600001", "codes without day bars and in no list: download their day bars"),
        ("sh113001", "codes that are not modelled (docs/datasets/codes.md)"),
    ],
)
def test_bars_within_the_day_of_codes_that_are_not_loaded_are_named(
    tmp_path: Path, code: str, why: str
) -> None:
    put(tmp_path, *CODES, f"vipdoc/sh/fzline/{code}.lc5", "vipdoc/sh/fzline/sh600000.lc5")
    folder = scan_folder(TdxSettings(client=tmp_path))
    assert folder is not None
    assert describe_unread(folder) == [
        f"1 file in vipdoc/sh/fzline, such as {code}.lc5: bars within the day of {why}"
    ]


def test_in_a_zip_and_in_a_folder_of_zips_only_the_rest_is_named(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "hsjday.zip", "w") as archive:
        for name in ("sh/lday/sh600000.day", "ds/lday/31#00700.day", "ds/lday/31#00701.day"):
            archive.writestr(name, day_record(20241108, 10, 12, 9, 11))
    (tmp_path / "shlday.zip").write_bytes((tmp_path / "hsjday.zip").read_bytes()[:100])
    for place, inner in ((tmp_path / "hsjday.zip", ""), (tmp_path, "hsjday.zip/")):
        folder = scan_folder(TdxSettings(client=place))
        assert folder is not None
        [sentence] = describe_unread(folder)  # the damaged zip is named as such
        assert sentence.startswith(f"2 files in {inner}ds/lday, such as 31#00700.day: bars")


def test_the_check_says_the_form_and_no_future_day(tmp_path: Path) -> None:
    put(tmp_path, *CODES, "vipdoc/ds/lday/31#00700.day")
    days = (20261123, 20261124, 20270102)
    content = b"".join(day_record(day, 10, 12, 9, 11) for day in days)
    (tmp_path / CODES[0]).write_bytes(content)
    checked = check(Settings(tdx=TdxSettings(client=tmp_path)), NOW)
    assert f"{tmp_path} (the client's folder): day bars of 1 code to 2026-11-24" in checked.text
    assert "1 file in vipdoc/ds/lday" in checked.text
    assert "is stale: its newest day is 2026-11-24, 1 trading day ago" in str(checked)


def test_the_newest_day_is_that_of_the_index_as_in_a_load(tmp_path: Path) -> None:
    for code, day in (("sh000001", 20260924), ("sh600000", 20261002)):
        name = f"vipdoc/sh/lday/{code}.day"
        (put(tmp_path, name) / name).write_bytes(day_record(day, 10, 12, 9, 11))
    checked = check(Settings(tdx=TdxSettings(client=tmp_path)), NOW)
    assert "is stale: its newest day is 2026-09-24, 38 trading days ago" in str(checked)


def test_a_real_folder_with_a_future_record_is_as_old_as_it_is() -> None:
    case = shared_folder("cases/tdx/11-duplicates-order-future-cut")
    checked = check(Settings(tdx=TdxSettings(client=case)), datetime(2027, 2, 1, tzinfo=UTC))
    assert str(checked.figures["newest_day"]) == "2026-11-25"
    assert "the client's folder is stale" in str(checked)
