"""Five-minute bars from the desktop client's folder alone."""

import shutil
from collections.abc import Callable
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loaders.sandbox.tdx.vipdoc_files import _MINUTE as FIVE_MINUTES
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import Bench, Heard, settings_for
from tests.integration.tdx_load.folder import CALENDAR_FILE, ClientFolder, set_time

CODE = "sh600011"
DAYS = [date(2026, 11, day) for day in (19, 20, 23, 24, 25)]
BY_DAY = """
    select trade_date, count(*)::int, bool_and(is_final) from raw_tdx.kline_period
    where period = 'minute5' and code = %s group by 1 order by 1
"""
WHOLE = [(day, 48, True) for day in DAYS]


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A copy of a folder with day bars and five-minute bars only, which sum to the day bars."""
    case = shared_folder("cases/tdx/20-five-minute-files-alone")
    folder = Path(shutil.copytree(case, tmp_path / "client", copy_function=shutil.copyfile))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
        if path.is_file():
            set_time(path, DAYS[-1])
    edit(folder, multiply_volume)
    return folder


def multiply_volume(bars: np.ndarray) -> np.ndarray:
    bars["volume"] *= 5
    bars["volume"][::2] += 37  # odd shares
    bars["volume"][1::2] -= 37
    bars["amount"] = 10 * bars["volume"]
    return bars


def open_folder(client: Path, dsn: str, home: Path) -> Bench:
    """A bench with nothing but a folder, on the evening of its newest day."""
    still: Any = SimpleNamespace(clock=datetime(2026, 11, 25, 18))
    tdx = {"client": str(client), "base_url": None, "corporate_actions": None}
    return Bench(still, settings_for("", dsn, home, **tdx, minute_days=100), Heard())


def five_minute_file(client: Path, code: str = CODE) -> Path:
    return client / f"vipdoc/sh/fzline/{code}.lc5"


def test_bars_that_miss_the_volume_of_their_days_are_provisional_and_read_once(
    warehouse_dsn: str, tmp_path: Path, opened: list[tuple[str, int | None]]
) -> None:
    case = shared_folder("cases/tdx/20-five-minute-files-alone")
    bench = open_folder(case, warehouse_dsn, tmp_path)

    assert bench.load(datasets=None).exit_code == 0, bench.heard.lines

    assert bench.rows(BY_DAY, CODE) == [(day, 48, False) for day in DAYS]
    said = "select 1 from ops.ingestion_logs where strpos(detail::text, 'do not add up to') > 0"
    assert bench.rows(said)

    opened.clear()
    again = bench.load(datasets=None)
    assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
    assert opened == [(CALENDAR_FILE, None)]


def test_days_of_a_folder_without_minutes_land_whole_and_once(
    client: Path, warehouse_dsn: str, tmp_path: Path, opened: list[tuple[str, int | None]]
) -> None:
    bench = open_folder(client, warehouse_dsn, tmp_path)

    assert bench.load(datasets=None).exit_code == 0, bench.heard.lines

    assert bench.rows(BY_DAY, CODE) == WHOLE
    total = """
        select sum(p.volume * p.volume_unit) = d.volume * d.volume_unit, min(p.volume)
        from raw_tdx.kline_period as p
        inner join raw_tdx.kline_daily as d using (code, trade_date)
        where p.period = 'minute5' group by p.code, p.trade_date, d.volume, d.volume_unit
    """
    assert bench.rows(total) == [(True, 49_963)] * 5
    routes = "select distinct source_route from raw_tdx.kline_period"
    assert bench.rows(routes) == [("vipdoc/fzline",)]

    opened.clear()
    again = bench.load(datasets=None)
    assert (again.exit_code, again.total("rows_new"), again.total("rows_changed")) == (0, 0, 0)
    assert opened == [(CALENDAR_FILE, None)]


def edit(
    client: Path,
    change: Callable[[np.ndarray], np.ndarray],
    at: time = time(18),
    code: str = CODE,
) -> None:
    """Change the records of a file of five-minute bars."""
    file = five_minute_file(client, code)
    file.write_bytes(change(np.frombuffer(file.read_bytes(), FIVE_MINUTES).copy()).tobytes())
    set_time(file, DAYS[-1], at)


def cut_volume(bars: np.ndarray, left: float = 0.5) -> np.ndarray:
    bars["volume"][48:96] = left * bars["volume"][48:96]
    return bars


def lose_a_bar(bars: np.ndarray) -> np.ndarray:
    return np.delete(bars, 60)


def test_corrected_final_days_of_a_file_of_the_same_size_land(
    client: Path, warehouse_dsn: str, tmp_path: Path, opened: list[tuple[str, int | None]]
) -> None:
    def correct(bars: np.ndarray) -> np.ndarray:
        bars["close"][50], bars["high"][50] = 10.02, 10.02
        return bars

    bench = open_folder(client, warehouse_dsn, tmp_path)
    assert bench.load(datasets=None).exit_code == 0
    edit(client, correct, at=time(18, 1))

    corrected = bench.load(datasets=None)

    assert (corrected.total("rows_new"), corrected.total("rows_changed")) == (0, 1)
    assert bench.rows(BY_DAY, CODE) == WHOLE
    close = "select close from raw_tdx.kline_period where bar_end = '2026-11-20 09:45+08'"
    assert bench.rows(close) == [(10_020,)]

    # only another time: the bytes are compared, and no bar is read
    set_time(five_minute_file(client), DAYS[-1], time(18, 2))
    opened.clear()
    assert bench.load(datasets=None).total("rows_changed") == 0
    assert opened == [(CALENDAR_FILE, None)]


def spoil(bars: np.ndarray) -> np.ndarray:
    bars["high"][50] = 1.0
    return bars


# by code: what happened to the bars of the second day, how many land, and whether they are final
CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int, bool]] = {
    "sh600012": (cut_volume, 48, False),
    "sh600013": (lose_a_bar, 47, False),
    "sh600014": (spoil, 47, False),
    # no bar has what trades after hours: anything on the STAR market, a few per cent elsewhere
    "sh688011": (cut_volume, 48, True),
    "sh600015": (partial(cut_volume, left=0.96), 48, True),
}


def test_a_day_that_misses_volume_or_a_bar_is_final_once_the_file_has_it(
    client: Path, warehouse_dsn: str, tmp_path: Path
) -> None:
    whole = five_minute_file(client).read_bytes()
    for code, (change, *_) in CHANGES.items():
        days = client / f"vipdoc/sh/lday/{CODE}.day"
        shutil.copy2(days, days.with_stem(code))
        five_minute_file(client, code).write_bytes(whole)
        edit(client, change, code=code)
    bench = open_folder(client, warehouse_dsn, tmp_path)

    assert bench.load(datasets=None).exit_code == 0

    assert bench.rows(BY_DAY, CODE) == WHOLE
    for code, (_, count, is_final) in CHANGES.items():
        landed = [WHOLE[0], (DAYS[1], count, is_final), *WHOLE[2:]]
        assert bench.rows(BY_DAY, code) == landed, code
    refused = "select distinct dataset, row_key, source_route from raw_tdx.rejected_row"
    place = "vipdoc/fzline/sh600014.lc5"
    assert bench.rows(refused) == [("minute_5m", "sh600014 2026-11-20 09:45", place)]

    for code in CHANGES:
        five_minute_file(client, code).write_bytes(whole)
    assert bench.load(datasets=None).exit_code == 0
    for code in CHANGES:
        assert bench.rows(BY_DAY, code) == WHOLE, code


def test_files_of_older_clients_are_read_and_a_lost_one_is_missed(
    client: Path, warehouse_dsn: str, tmp_path: Path
) -> None:
    file = five_minute_file(client)
    bars = np.frombuffer(file.read_bytes(), FIVE_MINUTES)
    prices = ("open", "high", "low", "close")
    older = bars.astype(
        [(name, "<u4" if name in prices else bars.dtype[name]) for name in bars.dtype.names or ()]
    )
    for name in prices:
        older[name] = np.rint(bars[name] * 100)
    old_file = file.with_suffix(".5")
    old_file.write_bytes(older.tobytes())
    set_time(old_file, DAYS[-1])
    file.unlink()
    bench = open_folder(client, warehouse_dsn, tmp_path)
    assert bench.load(datasets=None).exit_code == 0
    assert bench.rows(BY_DAY, CODE) == WHOLE

    old_file.unlink()
    result = bench.load(datasets=None)
    [failure] = [why for task in result.tasks for why in task.failures.values()]
    assert "fzline lacks 1 of 1 " in failure
    assert bench.load(datasets=("codes",), accept_loss=True).exit_code == 0
    assert bench.load(datasets=None).exit_code == 0
    assert bench.rows(BY_DAY, CODE) == WHOLE


def test_days_by_which_a_file_of_five_minutes_grew_land(
    folder: ClientFolder, days: list[date]
) -> None:
    folder.write(days[-3], minutes=3)
    datasets = ("codes", "trading_calendar", "kline_daily", "minute_5m")
    bench: Bench = folder.load(days[-3], datasets=datasets)
    folder.write(minutes=5)
    bench = folder.load(datasets=datasets)
    assert bench.rows(BY_DAY, "sh600000") == [(day, 48, True) for day in days[-5:]]
