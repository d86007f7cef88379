"""The desktop client's files of the simulated market, read back byte by byte."""

import struct
from datetime import datetime
from pathlib import Path

import pytest

from loaders.errors import UsageError
from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.tdx.vipdoc_files import day_records, write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket

CODES = ("sz000001", "sh510300", "sh000001", "sh900901")


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(codes=12, days=60)


def test_files_lie_where_the_desktop_client_has_them(
    market: SyntheticMarket, tmp_path: Path
) -> None:
    written = write_vipdoc(market, tmp_path, codes=["sz000001"], days=2)
    sizes = {str(path.relative_to(tmp_path)): path.stat().st_size for path in tmp_path.rglob("*.*")}
    assert sizes == {
        "sz/lday/sz000001.day": 60 * 32,
        "sz/minline/sz000001.lc1": 2 * 240 * 32,
        "sz/fzline/sz000001.lc5": 2 * 48 * 32,
    }
    assert (written.files, written.records) == (3, 60 + 2 * 240 + 2 * 48)


@pytest.mark.parametrize(
    ("code", "scale", "shares"),
    [
        ("sz000001", 100, 100),
        ("sh510300", 1000, 100),
        ("sh000001", 100, 1),
        ("sh900901", 1000, 100),
    ],
)
def test_a_day_record_has_integers_of_the_code_s_scale(
    market: SyntheticMarket, tmp_path: Path, code: str, scale: int, shares: int
) -> None:
    write_vipdoc(market, tmp_path, codes=[code], days=1)
    content = (tmp_path / code[:2] / "lday" / f"{code}.day").read_bytes()
    bars = market.day_bars(code)
    last = 59
    day, *prices, amount, volume, _ = struct.unpack("<5If2I", content[-32:])
    assert f"{day}" == bars.day(last).replace("-", "")
    columns = (bars.open, bars.high, bars.low, bars.close)
    assert prices == [int(c[last]) * scale // 1000 for c in columns]
    assert amount == pytest.approx(bars.amount[last] / 1000)
    assert volume == bars.volume[last] * shares


def test_a_minute_record_has_the_day_in_five_and_eleven_bits(
    market: SyntheticMarket, tmp_path: Path
) -> None:
    write_vipdoc(market, tmp_path, codes=["sh510300"], days=1)
    content = (tmp_path / "sh" / "minline" / "sh510300.lc1").read_bytes()
    records = list(struct.iter_unpack("<2H5f2I", content))
    day = market.end.date()
    minutes = market.minutes("sh510300", day)
    first = records[0]
    year, month_day = (first[0] >> 11) + 2004, first[0] & 2047
    assert (year, *divmod(month_day, 100)) == (day.year, day.month, day.day)
    assert [r[1] for r in records[:2]] == [571, 572]
    assert (records[119][1], records[120][1], records[-1][1]) == (690, 781, 900)
    assert [round(r[5] * 1000) for r in records] == minutes.close.tolist()
    assert sum(r[7] for r in records) == minutes.volume.sum() * 100


def test_no_file_reaches_past_the_clock(market: SyntheticMarket, tmp_path: Path) -> None:
    in_session = datetime.combine(market.end.date(), datetime.min.time()).replace(hour=11)
    write_vipdoc(market, tmp_path, codes=["sz000001"], days=1, until=in_session)
    content = (tmp_path / "sz" / "lday" / "sz000001.day").read_bytes()
    assert len(content) == 59 * 32


def test_real_day_files_come_out_as_they_went_in(real_tdx_data: Path) -> None:
    world = ReplayMarket(real_tdx_data)
    for code in ("sh600000", "sh000001"):
        file = real_tdx_data / "vipdoc" / code[:2] / "lday" / f"{code}.day"
        security = world.find(code)
        assert security is not None
        # the replay takes days after the daily CSV from the file itself
        bars = world.day_bars(code)
        late = [i for i, stamp in enumerate(bars.stamps) if stamp >= "2012"]
        written = day_records(security, bars.slice(late[0], len(bars)))
        original = file.read_bytes()[-len(written) :]
        for ours, theirs in zip(
            struct.iter_unpack("<5If2I", written),
            struct.iter_unpack("<5If2I", original),
            strict=True,
        ):
            assert ours[:5] == theirs[:5]
            assert ours[5] == pytest.approx(theirs[5], rel=1e-6)
            assert ours[6] // 100 == theirs[6] // 100


def test_a_folder_that_cannot_be_written_is_named(market: SyntheticMarket, tmp_path: Path) -> None:
    (tmp_path / "sz").write_text("a file")
    with pytest.raises(UsageError, match=r"lday.sz000001\.day"):
        write_vipdoc(market, tmp_path, codes=["sz000001"], days=1)
