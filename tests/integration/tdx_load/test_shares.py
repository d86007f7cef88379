"""Volumes of files are single shares, beside a service that knows hands alone."""

import os
import shutil
from datetime import UTC, date, datetime, time

import numpy as np
import pytest

from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.files import vipdoc
from tests.conftest import shared_folder
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.folder import MINUTES, ClientFolder, set_time

NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)
ODD = "bj920777"
CODES = ("sh600000", "sh510300", "sh600002")
DAYS = """
    select code, trade_date, volume * coalesce(volume_unit, 100) from raw_tdx.kline_daily
    where code = any(%s)
"""
OF_MINUTES = """
    select code, trade_date, sum(volume * coalesce(volume_unit, 100))::bigint
    from raw_tdx.kline_minute where code = any(%s) group by 1, 2
"""
FINAL = """
    select count(*), bool_and(is_final) from raw_tdx.kline_minute where trade_date = '2026-11-25'
"""


@pytest.fixture
def real(folder: ClientFolder) -> ClientFolder:
    """A real folder of odd shares, in a copy whose times are the evening of its last day."""
    shutil.copytree(shared_folder("cases/tdx/05-odd-shares"), folder.path)
    for file in folder.path.rglob("*.*"):
        file.chmod(0o644)
        written = datetime(2026, 11, 25, 10, tzinfo=UTC).timestamp()
        os.utime(file, (written, written))
    return folder


def load_real(folder: ClientFolder) -> Bench:
    bench = folder.bench()
    assert bench.load(clock=NOW, datasets=MINUTES).exit_code == 0, bench.heard.lines
    return bench


def test_odd_shares_of_a_real_folder_land_as_they_are(real: ClientFolder) -> None:
    bench = load_real(real)
    days = {
        (code, str(day)): shares
        for code, day, shares in bench.rows(DAYS, ["bj920555", ODD, "sh688555", "sh502000"])
    }
    assert (days["bj920555", "2026-09-01"], days["bj920555", "2026-09-02"]) == (151, 50)
    assert {shares for (code, _), shares in days.items() if code == "sh688555"} == {20_377}
    assert days["sh502000", "2016-01-04"] == 5
    assert days[ODD, "2026-11-25"] == 32_880
    assert {shares for _, _, shares in bench.rows(OF_MINUTES, [ODD])} == {32_880}
    assert bench.rows(FINAL) == [(240, True)]


def test_a_day_whose_minutes_lack_a_quarter_of_its_shares_is_not_final(real: ClientFolder) -> None:
    file = real.path / f"vipdoc/bj/minline/{ODD}.lc1"
    info = file.stat()
    bars = np.frombuffer(file.read_bytes(), vipdoc._MINUTE).copy()
    assert set(bars["volume"]) == {137}
    bars["volume"], bars["amount"] = 100, bars["amount"] * 100 / 137
    file.write_bytes(bars.tobytes())
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert load_real(real).rows(FINAL) == [(240, False)]


def test_days_with_more_shares_than_32_bits_count_are_exact(folder: ClientFolder) -> None:
    shutil.copytree(shared_folder("cases/tdx/14-volume-over-32-bits"), folder.path)
    bench = folder.bench()
    assert bench.load(clock=NOW).exit_code == 0, bench.heard.lines
    wanted = {
        ("sh510180", date(2013, 6, 27)): 4_939_983_525,
        ("sh601288", date(2015, 7, 6)): 4_372_088_022,
        ("sh601988", date(2015, 6, 9)): 4_795_353_117,
        ("sh601988", date(2015, 7, 8)): 5_109_897_425,
        ("sz000725", date(2015, 5, 28)): 5_135_466_535,
    }
    shares = {(code, day): n for code, day, n in bench.rows(DAYS, [code for code, _ in wanted])}
    assert {key: shares[key] for key in wanted} == wanted


def shares_of(market: SyntheticMarket, days: list[date]) -> dict[tuple[str, date], int]:
    """The shares of each day of the codes, as the world has them."""
    shares = {}
    for code in CODES:
        bars = market.day_bars(code)
        for at in range(len(bars)):
            day = date.fromisoformat(bars.day(at))
            if day <= days[-1]:
                shares[code, day] = int(bars.volume[at]) * 100 + int(bars.odd[at])
    return shares


def read_shares(bench: Bench, query: str = DAYS) -> dict[tuple[str, date], int]:
    return {(code, day): shares for code, day, shares in bench.rows(query, list(CODES))}


def require_none_lost(bench: Bench, folder: ClientFolder) -> None:
    """Every day of the codes is stored with its shares, of days and of minutes."""
    shares = shares_of(folder.market, folder.days)
    stored, minutes = read_shares(bench), read_shares(bench, OF_MINUTES)
    assert stored == shares
    assert any(n % 100 for n in stored.values())
    assert minutes == {key: shares[key] for key in shares if key[1] in folder.days[-3:]}


def test_files_give_shares_to_the_services_bars_whenever_they_were_written(
    folder: ClientFolder, open_bench: OpenBench
) -> None:
    with open_bench(folder.market) as served:
        assert served.load(codes=CODES, datasets=MINUTES).exit_code == 0
        assert not any(n % 100 for n in read_shares(served).values())
    folder.write(at=time(15, 10), minutes=3)
    for file in (folder.path / "vipdoc").rglob(f"{CODES[0]}.*"):
        set_time(file, folder.days[-1], time(23))
    bench = folder.bench()
    clock = datetime.combine(folder.days[-1], time(23, 30))
    loaded = bench.load(codes=CODES, datasets=MINUTES, clock=clock)
    assert loaded.exit_code == 0, bench.heard.lines
    require_none_lost(bench, folder)
    with open_bench(folder.market) as served:  # and the service takes none of them back
        served.load(mode="init", codes=CODES, datasets=MINUTES)
        require_none_lost(served, folder)


def test_the_services_hands_replace_no_shares_of_files(
    folder: ClientFolder, open_bench: OpenBench
) -> None:
    folder.write(minutes=3)
    folder.load(codes=CODES, datasets=MINUTES)
    with open_bench(folder.market) as served:
        served.sandbox.set_clock(datetime.combine(folder.days[-1], time(22)))
        result = served.load(mode="init", codes=CODES, datasets=MINUTES)
        assert result.exit_code == 0
        require_none_lost(served, folder)
