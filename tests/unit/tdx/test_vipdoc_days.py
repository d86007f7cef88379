"""Day files of the desktop client as a dataset beside the service's own days."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.sandbox.tdx.vipdoc_files import write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.datasets import vipdoc_daily
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.settings import TdxSettings
from tests.unit.tdx.fake_context import fake_context

MARKET = SyntheticMarket(codes=4, days=60)
NOW = datetime(2025, 6, 30, 12, 0, tzinfo=UTC)
DAYS = [day for day in MARKET.days if day <= MARKET.end.date()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_vipdoc(MARKET, tmp_path, days=1)
    for file in tmp_path.rglob("*.day"):
        os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    return tmp_path


def fetched(folder: Path | None, codes: Sequence[str], **window: Any) -> list[Outcome]:
    result = scan_folder(TdxSettings(vipdoc=folder))
    context = fake_context(
        folder=folder,
        file=lambda code, period: result.bars(period).get(code) if result else None,
        window=Window(DAYS, DAYS[-1], 10, lambda _: False, DAYS[-1], **window),
        clock=lambda: NOW,
        room=lambda: True,
        instrument_type=lambda code: "fund" if code == "sh510300" else "stock",
    )

    return list(vipdoc_daily.fetch(context, codes))


@pytest.mark.parametrize("code", ["sz000001", "sh510300"])
def test_days_of_a_file_are_those_of_the_market(folder: Path, code: str) -> None:
    (outcome,) = fetched(folder, [code])
    table = vipdoc_daily.table([outcome])
    bars = MARKET.day_bars(code).slice(0, len(DAYS))
    assert table["close"].to_pylist() == bars.close.tolist()
    assert table["volume"].to_pylist() == (100 * bars.volume + bars.odd).tolist()
    assert set(table["volume_unit"].to_pylist()) == {1}
    assert table["amount"].to_pylist() == pytest.approx(bars.amount.tolist(), rel=1e-6)
    assert set(table["period"].to_pylist()) == {"day"}
    assert table["bar_end"][0].as_py() == datetime(*DAYS[0].timetuple()[:3], 7, tzinfo=UTC)
    assert all(table["is_final"].to_pylist())
    assert outcome.cursor == DAYS[-1]


def test_only_the_days_that_are_wanted_land(folder: Path) -> None:
    first, last = date(2025, 6, 2), date(2025, 6, 20)
    (outcome,) = fetched(folder, ["sz000001"], since=first, until=last)
    days = vipdoc_daily.table([outcome])["trade_date"].to_pylist()
    assert days == [day for day in DAYS if first <= day <= last]


def test_the_last_day_of_a_file_written_in_the_session_is_provisional(folder: Path) -> None:
    noon = datetime(2025, 6, 30, 4, 0, tzinfo=UTC).timestamp()
    os.utime(folder / "sz" / "lday" / "sz000001.day", (noon, noon))
    (outcome,) = fetched(folder, ["sz000001"])
    assert vipdoc_daily.table([outcome])["is_final"].to_pylist()[-2:] == [True, False]
    assert outcome.cursor == DAYS[-2]


def test_a_missing_file_or_folder_is_a_skip_that_says_so(folder: Path) -> None:
    assert fetched(folder, ["sz399999"])[0].skipped == "no file sz399999.day"
    assert fetched(None, ["sz000001"])[0].skipped == vipdoc_daily.NO_FOLDER


def test_what_is_no_file_of_bars_gives_no_row_and_says_why(folder: Path) -> None:
    (folder / "sz" / "lday" / "sz000001.day").write_bytes(bytes(3200))
    broken, sound = fetched(folder, ["sz000001", "sh510300"])
    assert not broken.rows
    assert len(broken.rejected) == 100
    assert sound.failure is None
