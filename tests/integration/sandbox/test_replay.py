"""A market replayed from real files: days of two kinds of files, refusals."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.tdx.service import TdxSandbox
from quotemill.errors import UsageError


def data(sandbox: TdxSandbox, path: str) -> Any:
    return httpx.get(f"{sandbox.url}/api/{path}").json()["data"]


def test_vipdoc_days_come_after_the_csv_once_the_clock_is_there(real_tdx_data: Path) -> None:
    with TdxSandbox(ReplayMarket(real_tdx_data), clock="2025-08-05") as sandbox:
        answer = data(sandbox, "kline-all?code=sh600000")["list"]
        assert answer[-1]["Time"].startswith("2025-08-05")
        assert (answer[-1]["Close"], answer[-1]["Volume"]) == (13750, 1336465)
        days = data(sandbox, "workday/range?start=20111201&end=20301231")["list"]
        assert days[-1]["iso"] == "2011-12-06"


def test_a_folder_without_daily_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no daily_"):
        ReplayMarket(tmp_path)


def test_a_broken_daily_file_is_named_with_its_row(tmp_path: Path) -> None:
    head = "date,open,high,low,close,volume_hands,amount_yuan\n"
    good, bad = "2020-01-02,1.00,1.00,1.00,1.00,5,500\n", "2020-01-03,x,1,1,1,5,500\n"
    (tmp_path / "daily_SH600000.csv").write_text(head + good + bad)
    with pytest.raises(UsageError, match=r"daily_SH600000\.csv, row 2"):
        ReplayMarket(tmp_path)
