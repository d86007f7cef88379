"""The desktop client's files of the simulated market, read back byte by byte."""

import struct
from pathlib import Path

import pytest

from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.tdx.vipdoc_files import day_records, write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket
from quotemill.errors import UsageError


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(codes=12, days=60)


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
            assert ours[6] == theirs[6]


def test_a_folder_that_cannot_be_written_is_named(market: SyntheticMarket, tmp_path: Path) -> None:
    (tmp_path / "sz").write_text("a file")
    with pytest.raises(UsageError, match=r"lday.sz000001\.day"):
        write_vipdoc(market, tmp_path, codes=["sz000001"], days=1)
