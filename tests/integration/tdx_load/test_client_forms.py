"""The vendor's downloads: refused as they come, loaded once they are unpacked."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

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
