"""What `qlib.data` reads: the bytes by its format, and the same figures through qlib itself."""

import json
import struct
import subprocess
from datetime import date, timedelta
from math import isnan
from pathlib import Path

import psycopg
import pytest

from quotemill.errors import UsageError
from tests.conftest import ROOT
from tests.dbt_parse import Dbt
from tests.integration.dbt.copier import Copier, stored
from tests.integration.dbt.raw import action, bar, land, security
from tests.integration.dbt.two_codes import BARS_AGAIN, CODES, DAYS, build_bars
from tests.requirements import require

LATE = "sz000004"  # listed on the eleventh day, and suspended on the fifteenth
ASK = """
import json, sys
import qlib
from qlib.data import D
qlib.init(provider_uri=sys.argv[1], region="cn", kernels=1)
codes = D.list_instruments(D.instruments("all"), as_list=False)
fields = ["$close", "$factor", "$volume", "$close/$factor", "Ref($close, 1)", "$change"]
frame = D.features(["SH600000", "SZ000004"], fields, freq="day", disk_cache=0)
rows = [
    [code, str(day.date()), *(None if figure != figure else float(figure) for figure in row)]
    for (code, day), row in zip(frame.index, frame.to_numpy())
]
print(json.dumps({
    "calendar": [str(day.date()) for day in D.calendar(freq="day")],
    "codes": {
        code: [[str(day.date()) for day in span] for span in spans] for code, spans in codes.items()
    },
    "rows": rows,
}))
"""


def build_late(conn: psycopg.Connection, dbt: Dbt) -> None:
    """A code more that starts ten days later and pauses on one, and a dividend of the first."""
    land(conn, "security", [security(LATE)])
    days = [day for number, day in enumerate(DAYS[:30]) if number >= 10 and number != 14]
    land(conn, "kline_daily", [bar(LATE, day, f"{9 + n / 100:.2f}") for n, day in enumerate(days)])
    land(conn, "corporate_action", [action(CODES[0], DAYS[20], cash_per10_yuan="2.5")])
    land(conn, "index_kline", [])
    dbt(*BARS_AGAIN)
    dbt("run", "-s", "kline_daily", "index_kline_daily", "trading_calendar")


pytestmark = pytest.mark.warehouse(build_bars, build_late)


def read(copy: Copier, code: str, field: str) -> tuple[int, list[float]]:
    """The start in the calendar and the figures of a file, by the format alone."""
    content = (copy.root / "copy" / "features" / code / f"{field}.day.bin").read_bytes()
    start, *figures = struct.unpack(f"<{len(content) // 4}f", content)
    return int(start), figures


def days_of(copy: Copier) -> list[str]:
    return (copy.root / "copy" / "calendars" / "day.txt").read_text().splitlines()


def test_the_files_are_those_of_the_format(copy: Copier, conn: psycopg.Connection) -> None:
    result = copy("kline_daily", form="qlib")
    assert (result.rows, result.files) == (79, 3 * 9 + 2)
    assert days_of(copy) == [str(day) for day in DAYS[:30]]
    assert (copy.root / "copy" / "instruments" / "all.txt").read_text().splitlines() == [
        f"SH600000\t{DAYS[0]}\t{DAYS[29]}",
        f"SZ000002\t{DAYS[0]}\t{DAYS[29]}",
        f"SZ000004\t{DAYS[10]}\t{DAYS[29]}",
    ]
    expected = stored(
        conn,
        "select close, ratio_factor, volume_shares, amount_cny from market.kline_daily "
        "inner join market.adjustment_segments as s using (code) where code = 'sh600000' "
        "and trade_date >= valid_from and trade_date < valid_to order by trade_date",
    )
    fields = {name: read(copy, "sh600000", name) for name in ("close", "factor", "volume", "vwap")}
    assert {start for start, _ in fields.values()} == {0}
    close, factor, volume, vwap = (figures for _, figures in fields.values())
    assert factor[0] == pytest.approx(0.975, rel=1e-6)  # 10 yuan, and 0.25 of them paid
    assert factor[29] == 1
    for number, (price, ratio, shares, amount) in enumerate(expected):
        assert close[number] == pytest.approx(float(price * ratio), rel=1e-6)
        assert close[number] / factor[number] == pytest.approx(float(price), rel=1e-6)
        assert volume[number] * factor[number] == pytest.approx(float(shares), rel=1e-6)
        assert vwap[number] * volume[number] == pytest.approx(float(amount), rel=1e-5)
    change = read(copy, "sh600000", "change")[1]
    assert isnan(change[0])
    assert change[20] == pytest.approx(10 / 9.75 - 1, rel=1e-4)
    start, closes = read(copy, LATE, "close")
    assert (start, len(closes)) == (10, 20)
    assert isnan(closes[4])
    assert closes[5] == pytest.approx(9.04)
    with pytest.raises(UsageError, match="qlib needs day bars as traded"):
        copy("kline_daily_qfq", "other", form="qlib")


def test_codes_are_names_of_folders_on_every_system(copy: Copier, conn: psycopg.Connection) -> None:
    """`con` is a device of Windows, where `SZ000002` is the folder of sz000002, too."""
    rename = "update raw_tdx.kline_daily set code = %s where code = %s"
    conn.execute(rename, ("con", LATE))
    copy("kline_daily", form="qlib")
    folders = {path.name for path in (copy.root / "copy" / "features").iterdir()}
    assert folders == {*CODES, "%63on"}
    conn.execute(rename, (CODES[1].upper(), "con"))
    with pytest.raises(UsageError) as refused:
        copy("kline_daily", "other", form="qlib")
    assert refused.value.exit_code == 2
    assert CODES[1].upper() in str(refused.value)
    assert not (copy.root / "other" / "features").exists()


def test_a_dump_that_is_written_again_equals_a_fresh_one(
    copy: Copier, conn: psycopg.Connection, dbt: Dbt
) -> None:
    def follow() -> None:
        before = {path: path.stat().st_ino for path in (copy.root / "copy").rglob("*.day.bin")}
        hashes = copy.files()
        copy("kline_daily", form="qlib")
        copy("kline_daily", "fresh", form="qlib")
        assert copy.files() == copy.files("fresh")
        for path, number in before.items():  # an equal file stays
            name = path.relative_to(copy.root / "copy").as_posix()
            if copy.files().get(name) == hashes[name]:
                assert path.stat().st_ino == number

    copy("kline_daily", form="qlib")
    follow()
    land(conn, "kline_daily", [bar(LATE, DAYS[12], "9.50")])
    follow()
    # a day at the end: of one code, with the calendar
    land(conn, "kline_daily", [bar(CODES[1], DAYS[30], "10")])
    follow()
    # an event
    land(conn, "corporate_action", [action(CODES[1], DAYS[25], bonus_total_per10="5")])
    dbt(*BARS_AGAIN)
    follow()
    # a day before all others moves each start
    land(conn, "kline_daily", [bar(LATE, date(2023, 12, 11), "9")])
    follow()
    conn.execute("delete from raw_tdx.kline_daily where code = %s", (LATE,))
    follow()
    assert not (copy.root / "copy" / "features" / LATE).exists()


def test_members_of_an_index_are_a_pool_from_the_day_they_are_known(
    copy: Copier, conn: psycopg.Connection, dbt: Dbt
) -> None:
    pools = copy.root / "copy" / "instruments"
    copy("kline_daily", form="qlib")
    assert [path.name for path in pools.iterdir()] == ["all.txt"]
    member = {"sector_kind": "index", "valid_from": DAYS[5], "valid_to": date(9999, 12, 31)}
    members = [
        {"sector_name": "沪深300", "member": CODES[0]},
        {"sector_name": "沪深300", "member": CODES[1], "valid_to": DAYS[9]},
        {"sector_name": "沪深300", "member": "sh600999"},  # of which there is no bar
        {"sector_name": "中证500", "member": LATE, "sector_kind": "special"},
        {"sector_name": "上证50", "member": LATE},
    ]
    land(conn, "sector_member", [member | own for own in members])
    dbt("run", "-s", "+sectors")
    copy("kline_daily", form="qlib")
    assert sorted(path.name for path in pools.iterdir()) == ["all.txt", "csi300.txt", "csi500.txt"]
    assert (pools / "csi300.txt").read_text().splitlines() == [
        f"SH600000\t{DAYS[5]}\t{DAYS[29]}",
        f"SZ000002\t{DAYS[5]}\t{DAYS[9] - timedelta(days=1)}",
    ]
    assert (pools / "csi500.txt").read_text() == f"SZ000004\t{DAYS[5]}\t{DAYS[29]}\n"
    conn.execute("delete from market.sector_members")
    assert copy("kline_daily", form="qlib").removed == 2


def test_qlib_itself_reads_the_figures(copy: Copier, tmp_path: Path) -> None:
    python = ROOT / "var" / "qlib" / "bin" / "python"
    require("qlib", python.is_file(), "pyqlib is not in var/qlib; .ci/qlib makes it")
    copy("kline_daily", form="qlib")
    done = subprocess.run(
        [python, "-c", ASK, str(copy.root / "copy")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["calendar"] == [str(day) for day in DAYS[:30]]
    assert answer["codes"]["SZ000004"] == [[str(DAYS[10]), str(DAYS[29])]]
    rows = {(code, day): figures for code, day, *figures in answer["rows"]}
    assert len([key for key in rows if key[0] == "SH600000"]) == 30
    before, after = (rows["SH600000", str(DAYS[number])] for number in (19, 20))
    close, factor, volume, raw, previous, change = after
    assert (close, factor, raw) == pytest.approx((10, 1, 10), rel=1e-6)
    assert previous == before[0] == pytest.approx(9.75, rel=1e-6)
    assert change == pytest.approx(close / previous - 1, rel=1e-4)
    assert before[2] * before[1] == pytest.approx(volume, rel=1e-6)
    assert rows["SZ000004", str(DAYS[15])][0] == pytest.approx(9.04, rel=1e-6)
