"""The forms in which people have the vendor's bars, each to a loaded table."""

import shutil
from datetime import UTC, date, datetime, time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from loaders.sandbox.tdx.client_files import write_client_files
from loaders.tdx.check import check
from loaders.tdx.datasets.trading_calendar import INDICES
from loaders.trading_time import SHANGHAI
from quotemill.errors import SettingsError
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import Bench, settings_for
from tests.integration.tdx_load.folder import CALENDAR_FILE, RECORD, ClientFolder

BARS = ("kline_daily", "index_kline")
COUNTS = " union all ".join(
    f"select code, count(*) from raw_tdx.{table} group by code" for table in BARS
)


def open_at(folder: ClientFolder, client: Path, day: date | None = None) -> Bench:
    """A bench with another folder or zip as tdx.client."""
    bench = folder.bench(day)
    bench.settings = settings_for("", folder.dsn, folder.home, client=str(client), base_url=None)
    return bench


def pack(path: Path, folder: Path) -> None:
    """Write a folder's files of day bars into a zip."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for file in folder.rglob("*.day"):
            archive.write(file, file.relative_to(folder).as_posix())
            shutil.copystat(file, path)


def download(folder: ClientFolder, form: str) -> Path:
    """The folder's day bars as one of the vendor's downloads."""
    vipdoc, place = folder.path / "vipdoc", folder.home / form
    if form == "hsjday.zip":
        pack(place, vipdoc)
        return place
    if form == "vipdoc":
        zipped = folder.home / "hsjday.zip"
        pack(zipped, vipdoc)
        shutil.rmtree(vipdoc)
        vipdoc.mkdir()
        shutil.move(zipped, vipdoc)
        return folder.path
    place.mkdir()
    for lday in vipdoc.glob("*/lday"):
        exchange = lday.parent.name
        if form == "zips":
            pack(place / f"{exchange}lday.zip", lday)
        elif form == "hsjday":
            shutil.copytree(lday, place / exchange / "lday")
        else:
            shutil.copytree(lday, place, dirs_exist_ok=True)
    return place


@pytest.mark.parametrize("form", ["hsjday.zip", "hsjday", "zips", "flat", "vipdoc"])
def test_each_download_loads_every_bar_of_its_files(folder: ClientFolder, form: str) -> None:
    folder.write()
    files = (folder.path / "vipdoc").rglob("*.day")
    sizes = {file.stem: file.stat().st_size // RECORD for file in files}
    bench = open_at(folder, download(folder, form))
    assert bench.load().exit_code == 0, bench.heard.lines
    assert dict(bench.rows(COUNTS)) == sizes
    assert any("is read as" in line for line in bench.heard.lines)
    assert bench.load().total("rows_new") == 0


def test_of_a_newer_zip_only_the_new_records_are_read(
    folder: ClientFolder, days: list[date], opened: list[tuple[str, int | None]]
) -> None:
    folder.write(days[-2])
    bench = open_at(folder, download(folder, "hsjday.zip"), days[-2])
    assert bench.load().exit_code == 0
    before = dict(bench.rows(COUNTS))
    folder.write()
    newer = open_at(folder, download(folder, "hsjday.zip"))
    opened.clear()
    result = newer.load()
    assert result.exit_code == 0
    assert result.total("rows_changed") == 0
    newest = [count for name, count in opened if name != CALENDAR_FILE]
    assert newest.count(11) > newest.count(None)
    after = dict(newer.rows(COUNTS))
    assert sum(after.values()) > sum(before.values())


def test_damaged_indices_in_a_zip_are_named_and_nothing_else_is_missed(
    folder: ClientFolder,
) -> None:
    folder.write()
    place = download(folder, "hsjday.zip")
    content = bytearray(place.read_bytes())
    with ZipFile(place) as archive:
        for member in archive.infolist():
            if Path(member.filename).stem in INDICES:
                start = member.header_offset + 30 + len(member.filename)
                content[start : start + 9] = b"x" * 9
    place.write_bytes(content)
    bench = open_at(folder, place)

    assert bench.load().exit_code == 6

    damaged = f"{place}/sh/lday/sh000001.day cannot be read: it is damaged in the zip"
    assert f"index_kline sh000001: {damaged}: download that again" in bench.heard.lines
    lacks = "the client's folder has no sound file of sh000001 or sz399001, whose days are the"
    said = "\n".join(bench.heard.lines)
    assert (lacks in said, "Error -" in said) == (True, False)
    checked = check(bench.settings, datetime.combine(folder.days[-1], time(18), SHANGHAI))
    assert f" to {folder.days[-1]}" in checked.text
    assert checked.figures["warnings"][0] == f"{damaged}: download that again"


@pytest.mark.parametrize("named", ["vipdoc", "vipdoc/sh/lday", "T0002", ".."])
def test_the_hint_for_a_wrong_folder_leads_to_a_loaded_table(
    folder: ClientFolder, named: str
) -> None:
    folder.write()
    write_client_files(folder.market, folder.path / "T0002" / "hq_cache")
    refused = open_at(folder, folder.path / named).load()
    assert refused.exit_code == SettingsError.exit_code
    hinted = Path(refused.hint.rpartition("tdx.client = ")[2].partition("; `")[0])
    bench = open_at(folder, hinted)
    assert bench.load().exit_code == 0
    assert bench.rows(COUNTS)


@pytest.mark.parametrize("root", ["hsjday", "shlday"])
def test_a_real_download_loads_without_an_index(folder: ClientFolder, root: str) -> None:
    case = shared_folder("cases/tdx/23-vendor-zip-layout") / root
    bench = open_at(folder, case)
    result = bench.load(clock=datetime(2026, 11, 26, 4, tzinfo=UTC))
    assert result.exit_code == 0, bench.heard.lines
    [file] = case.rglob("*.day")
    assert bench.rows(COUNTS) == [("sh600519", file.stat().st_size // RECORD)]
