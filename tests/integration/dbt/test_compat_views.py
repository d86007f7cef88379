"""Views of schema `compat`, read by the programs that they are for."""

import json
import os
import re
import subprocess
import sys
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from typer.testing import CliRunner

from orchestration.cli.export import app
from orchestration.exports.compat.views import VIEWS, drop_views, make_views
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.conftest import ROOT
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import EMPTY
from tests.integration.dbt.option_days import build_days
from tests.integration.dbt.price_market import CODE, DAYS, fill_market
from tests.integration.dbt.raw import bar, land, security
from tests.integration.dbt.raw_futures import contract
from tests.peer_packages import require_peer_packages

PAGE = ROOT / "docs" / "how-to" / "integrations.md"
# what a trader's program does: settings first, then the database by the name in them
VNPY = """
import json, sys, types
from datetime import datetime
sys.modules["talib"] = types.ModuleType("talib")  # of indicators, which no database needs
from vnpy.trader.setting import SETTINGS
SETTINGS.update(json.loads(sys.argv[1]))
from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.database import DB_TZ, get_database
database = get_database()
def show(row):
    values = {**vars(row), "datetime": row.datetime.isoformat()}
    values["exchange"] = row.exchange.value
    return {name: value for name, value in values.items() if name not in ("interval", "extra")}
answer = {}
for symbol, exchange, interval, start, end in json.loads(sys.argv[2]):
    start, end = datetime.fromisoformat(start), datetime.fromisoformat(end)
    both = [(start, end), (start.replace(tzinfo=DB_TZ), end.replace(tzinfo=DB_TZ))]
    for first, last in both:
        bars = database.load_bar_data(symbol, Exchange(exchange), Interval(interval), first, last)
        answer.setdefault(f"{symbol}.{exchange} {interval}", []).append([show(b) for b in bars])
ticks = database.load_tick_data("TA409", Exchange.CZCE, datetime(2024, 1, 1), datetime(2025, 1, 1))
answer["ticks"] = [show(tick) for tick in ticks]
answer["overview"] = [
    [o.symbol, o.exchange.value, o.interval.value, o.count, o.start.isoformat(), o.end.isoformat()]
    for o in database.get_bar_overview()
]
ticks = database.get_tick_overview()
answer["tick overview"] = [[tick.symbol, tick.exchange.value, tick.count] for tick in ticks]
print(json.dumps(answer, default=str))
"""


def build_forms(conn: psycopg.Connection, dbt: Dbt) -> None:
    """A market with minutes, a dividend, an index, an option chain, and futures with ticks."""
    land(conn, "security", [security("sh000001", instrument_type="index")])
    counts: dict[str, object] = {"period": "day", "up_count": 1, "down_count": 2}
    end = datetime.combine(DAYS[0], time(15), ZoneInfo("Asia/Shanghai"))
    land(conn, "index_kline", [bar("sh000001", DAYS[0], "3000") | counts | {"bar_end": end}])
    land(conn, "raw_tq.contract", [contract("CZCE.TA2409", "CZCE.TA", 2024, 9)])
    dbt("run", "-s", "symbol_dim", "+index_kline_daily", "+known_contracts")


pytestmark = pytest.mark.warehouse(Parsed.build_models, fill_market, build_days, build_forms)


def read_block(first_line: str) -> str:
    """A block of the page in Python that begins so."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return next(str(block) for block in blocks if block.startswith(first_line))


def run_peer(program: str, folder: Path, *arguments: str, zone: str = "Asia/Shanghai") -> Any:
    """What a program prints in an environment with the peers' packages."""
    path = os.pathsep.join([str(folder), str(require_peer_packages()), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=dict(os.environ) | {"PYTHONPATH": path, "HOME": str(folder), "TZ": zone},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC"])
def test_vnpy_reads_our_bars_and_ticks(warehouse: Warehouse, tmp_path: Path, zone: str) -> None:
    require_peer_packages()
    assert all(view.is_made for view in make_views(warehouse, "vnpy"))
    (tmp_path / ".vntrader").mkdir()
    (tmp_path / "vnpy_quotemill.py").write_text(read_block("# vnpy_quotemill.py"))
    params = warehouse.params()
    names = {"host": "host", "port": "port", "user": "user", "database": "dbname"}
    settings = {f"database.{ours}": params[name] for ours, name in names.items()}
    settings |= {"database.name": "quotemill", "database.timezone": "Asia/Shanghai"}
    settings |= {"database.password": "", "database.port": int(params["port"])}
    wanted = [
        ("600000", "SSE", "d", str(DAYS[0]), str(DAYS[-1])),
        ("600000", "SSE", "1m", str(DAYS[3]), str(DAYS[4])),
        ("000001", "SSE", "d", str(DAYS[0]), str(DAYS[-1])),
        ("au88", "SHFE", "d", str(DAYS[0]), str(DAYS[-1])),
        ("000001", "SZSE", "d", str(DAYS[0]), str(DAYS[-1])),
    ]
    read = run_peer(VNPY, tmp_path, json.dumps(settings), json.dumps(wanted), zone=zone)

    naive, aware = read["600000.SSE d"]
    assert naive == aware
    assert [b["datetime"] for b in naive] == [f"{day}T00:00:00+08:00" for day in DAYS]
    with warehouse.connect() as conn:
        expected = conn.execute(
            "select open::float8, high::float8, low::float8, close::float8, "
            "volume_shares::float8, amount_cny::float8 from market.kline_daily "
            "where code = %s order by trade_date",
            (CODE,),
        ).fetchall()
    prices = ("open_price", "high_price", "low_price", "close_price", "volume", "turnover")
    assert [tuple(b[name] for name in prices) for b in naive] == expected
    minutes, _ = read["600000.SSE 1m"]
    assert len(minutes) == 240
    # a bar of vnpy is labelled with its start
    assert minutes[0]["datetime"] == f"{DAYS[3]}T09:30:00+08:00"
    assert minutes[-1]["datetime"] == f"{DAYS[3]}T14:59:00+08:00"
    assert [b["close_price"] for b in read["000001.SSE d"][0]] == [3000.0]
    gold, _ = read["au88.SHFE d"]
    assert [b["close_price"] for b in gold] == [500.0] * len(DAYS)
    assert read["000001.SZSE d"] == [[], []]

    assert (read["ticks"], read["tick overview"]) == ([], [])


def test_adjusted_bars_take_the_place_of_raw_ones(warehouse: Warehouse) -> None:
    closes = (
        "select close_price from compat.dbbardata where symbol = '600000' "
        "and \"interval\" = 'd' order by datetime limit 1"
    )
    for adjust, close in (("qfq", 9.85), ("none", 10.0)):
        make_views(warehouse, "vnpy", adjust)
        with warehouse.connect() as conn:
            assert conn.execute(closes).fetchall() == [(close,)]


def test_views_outlive_builds_with_their_rows(warehouse: Warehouse, dbt: Dbt) -> None:
    made = [v.name for program in VIEWS for v in make_views(warehouse, program) if v.is_made]
    count = "select count(*) from compat.dbbardata where symbol = '600000'"
    with warehouse.connect() as conn:
        before = conn.execute(count).fetchone()
        land(conn, "kline_daily", [bar(CODE, DAYS[-1] + timedelta(3), "11")])
    tables = ("kline_daily", "kline_daily_qfq", "symbol_dim", "main_daily", "chain_daily_clean")
    for more in ((), ("--full-refresh",)):
        dbt("run", "-s", *tables, *more)
    with warehouse.connect() as conn:
        assert before is not None
        assert conn.execute(count).fetchone() == (before[0] + 1,)
        for name in made:
            conn.execute(f"select * from {name} limit 1".encode())


def test_optopsy_computes_with_our_chains(tmp_path: Path, warehouse: Warehouse) -> None:
    require_peer_packages()
    make_views(warehouse, "optopsy")
    with warehouse.connect() as conn:
        rows = conn.execute(
            "select count(*) from options.chain_daily_clean where symbol = 'AAPL' "
            "and bid is not null and ask is not null and not is_adjusted"
        ).fetchone()
        mids = conn.execute(
            "select strike::float8, (array_agg(mid order by trade_date))[1]::float8, "
            "(array_agg(mid order by trade_date desc))[1]::float8 "
            "from options.chain_daily_clean where symbol = 'AAPL' and option_right = 'C' "
            "group by strike order by strike"
        ).fetchall()
    program = (
        "import json, os\n"
        + read_block("# optopsy")
        # bought on Tuesday, sold on Wednesday, 23 days before they expire
        + "trades = optopsy.long_calls(chain, raw=True, exit_dte=23)\n"
        + "trades = trades.sort_values('strike')[['strike', 'entry', 'exit']].values.tolist()\n"
        + "print(json.dumps([len(chain), list(chain.dtypes.astype(str)), trades]))\n"
    )
    environ = {"QUOTEMILL_WAREHOUSE_URL": warehouse.url, "QUOTEMILL_HOME": str(tmp_path)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        count, types, trades = run_peer(program, tmp_path)
    assert (count,) == rows
    assert types[3:5] == ["datetime64[us]"] * 2
    assert [tuple(trade) for trade in trades] == [pytest.approx(mid) for mid in mids]
    assert len(trades) == 3


def test_optopsy_gets_no_open_interest_of_perhaps_the_session_before(
    warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    make_views(warehouse, "optopsy")
    flags = "data_quality_flag = case option_right when 'C' then '{oi_stale}' else '{}' end::text[]"
    conn.execute(f"update options.chain_daily_clean set open_interest = 7, {flags}".encode())
    sides = "select distinct option_type, open_interest from compat.optopsy_chain order by 1"
    assert conn.execute(sides).fetchall() == [("c", None), ("p", 7)]


def test_backtrader_trades_on_our_frame(tmp_path: Path, warehouse: Warehouse) -> None:
    require_peer_packages()
    program = (
        "import json\n"
        + read_block("# backtrader")
        + "print(json.dumps([len(feed), feed.datetime.date(0).isoformat(), feed.close[0]]))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
        patch.setenv("QUOTEMILL_HOME", str(tmp_path))
        assert run_peer(program, tmp_path) == [len(DAYS), str(DAYS[-1]), 10.11]


@EMPTY
def test_views_of_what_is_not_built_are_left_out(warehouse: Warehouse, dbt: Dbt) -> None:
    with pytest.raises(UsageError, match=r"no table .* optopsy read is built: options.chain_daily"):
        make_views(warehouse, "optopsy")
    with warehouse.connect() as conn:
        assert conn.execute("select to_regnamespace('compat')").fetchone() == (None,)
    with pytest.raises(UsageError, match="program excel is unknown") as unknown:
        make_views(warehouse, "excel")
    assert "vnpy, optopsy" in unknown.value.hint
    with pytest.raises(UsageError, match="--adjust back is unknown"):
        make_views(warehouse, "vnpy", "back")


def test_views_are_dropped_and_a_schema_of_others_is_left_alone(warehouse: Warehouse) -> None:
    make_views(warehouse, "vnpy")
    make_views(warehouse, "optopsy")
    with warehouse.connect() as conn:
        conn.execute("create view public.mine as select symbol from compat.dbbardata")
    with pytest.raises(UsageError, match="dbbardata is read by others: view mine"):
        drop_views(warehouse, "vnpy")
    with warehouse.connect() as conn:
        conn.execute("drop view public.mine")
    assert drop_views(warehouse, "vnpy") == [f"compat.{name}" for name in VIEWS["vnpy"]]
    assert drop_views(warehouse, "vnpy") == []
    with warehouse.connect() as conn:
        assert conn.execute("select count(*) > 0 from compat.optopsy_chain").fetchone() == (True,)
        conn.execute("drop schema compat cascade")
        conn.execute("delete from ops.owned_schema where schema_name = 'compat'")
        conn.execute("create table public.x as select 1 as x")
        conn.execute("create schema compat")
        conn.execute("alter table public.x set schema compat")
    with pytest.raises(SettingsError, match="did not create"):
        make_views(warehouse, "vnpy")


def test_the_command_names_what_each_view_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["views", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    printed = call("vnpy", "--adjust", "qfq")
    assert "compat.dbbardata reads market.symbol_dim, market.kline_daily_qfq, " in printed
    assert "compat.dbtickdata reads compat.dbbardata\n" in printed
    assert [view["name"] for view in json.loads(call("optopsy", "--json"))] == [
        "compat.optopsy_chain"
    ]
    assert (
        call("vnpy", "--drop")
        == "dropped: compat.dbbardata, compat.dbtickdata, compat.dbbaroverview, "
        "compat.dbtickoverview\n"
    )
    assert json.loads(call("vnpy", "--drop", "--json")) == {"dropped": []}
