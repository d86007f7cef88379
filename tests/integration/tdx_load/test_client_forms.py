"""The vendor's downloads: refused as they come, loaded once they are unpacked."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quotemill.errors import SettingsError
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import Bench, settings_for
from tests.integration.tdx_load.folder import RECORD, ClientFolder

COUNTS = " union all ".join(
    f"select code, count(*) from raw_tdx.{table} group by code"
    for table in ("kline_daily", "index_kline")
)


def open_at(folder: ClientFolder, client: Path) -> Bench:
    """A bench with another folder or file as tdx.client."""
    bench = folder.bench()
    bench.settings = settings_for("", folder.dsn, folder.home, client=str(client), base_url=None)
    return bench


@pytest.mark.parametrize("form", ["hsjday", "zips", "flat"])
def test_a_download_as_it_comes_ends_the_load_with_the_line_that_unpacks_it(
    folder: ClientFolder, form: str
) -> None:
    folder.write()
    vipdoc, place = folder.path / "vipdoc", folder.home / form
    lday = vipdoc / "sh" / "lday"
    if form == "hsjday":
        shutil.copytree(vipdoc, place)
    elif form == "flat":
        shutil.copytree(lday, place)
    else:
        shutil.make_archive(str(place / "shlday"), "zip", lday)

    refused = open_at(folder, place).load()

    assert refused.exit_code == SettingsError.exit_code
    assert "unzip hsjday.zip -d /srv/tdx/vipdoc" in refused.hint
    with pytest.raises(SettingsError, match="is not a folder"):
        open_at(folder, folder.home / "hsjday.zip").load()


@pytest.mark.parametrize(("root", "place"), [("hsjday", "vipdoc"), ("shlday", "vipdoc/sh/lday")])
def test_a_real_download_loads_without_an_index(
    folder: ClientFolder, root: str, place: str
) -> None:
    case = shared_folder("cases/tdx/23-vendor-zip-layout") / root
    shutil.copytree(case, folder.path / place)
    bench = open_at(folder, folder.path)
    result = bench.load(clock=datetime(2026, 11, 26, 4, tzinfo=UTC))
    assert result.exit_code == 0, bench.heard.lines
    [file] = case.rglob("*.day")
    assert bench.rows(COUNTS) == [("sh600519", file.stat().st_size // RECORD)]
