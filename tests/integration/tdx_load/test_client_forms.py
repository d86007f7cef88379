"""The forms in which people have the vendor's bars, each to a loaded table."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from loaders.sandbox.tdx.client_files import write_client_files
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


@pytest.mark.parametrize("form", ["hsjday.zip", "hsjday", "zips", "flat"])
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


@pytest.mark.parametrize("named", ["vipdoc", "vipdoc/sh/lday", "T0002", ".."])
def test_the_hint_for_a_wrong_folder_leads_to_a_loaded_table(
    folder: ClientFolder, named: str
) -> None:
    folder.write()
    write_client_files(folder.market, folder.path / "T0002" / "hq_cache")
    refused = open_at(folder, folder.path / named).load()
    assert refused.exit_code == SettingsError.exit_code
    hinted = Path(refused.hint.rpartition("tdx.client = ")[2])
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
