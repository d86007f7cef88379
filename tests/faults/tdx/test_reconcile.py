"""Comparing a sample with the service: no finding, or the right cause."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.progress import Silent
from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.world.actions import events
from loaders.sandbox.world.market import SyntheticMarket
from loaders.sandbox.world.world import World
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import bar_comparison, factors, reconcile
from orchestration.checks.reconcile import PARTS_OF_A_DAY, Reconciliation, Request
from orchestration.run import build
from quotemill.errors import UpstreamError
from tests.conftest import DBT_DATABASE
from tests.integration.tdx_load.bench import Bench, bench

pytestmark = pytest.mark.usefixtures("models_alone")
MARKET = SyntheticMarket(codes=12, days=60, seed=5)
JUNE = date(2025, 6, 1)
CHECKED = ("sh600000", "sh600002", "sh600003", "sz000001", "sz000002", "sz000003", "sz300001")


@pytest.fixture
def warehouse_dsn(new_database: Callable[..., str]) -> str:
    """An empty database of the name for which the project is parsed."""
    return new_database(DBT_DATABASE)


@contextmanager
def opened(world: World, dsn: str, home: Path, **options: Any) -> Iterator[Bench]:
    home.mkdir(exist_ok=True)
    with bench(world, dsn, home, **options) as made:
        yield made


def run(bench_: Bench, **request: Any) -> Reconciliation:
    as_of = bench_.sandbox.clock.replace(tzinfo=SHANGHAI)

    return reconcile.run(
        bench_.settings,
        open_warehouse(bench_.settings),
        Request(**{"seed": 1} | request),
        lambda: nullcontext(bench_.heard),
        bench_.heard.line,
        as_of=as_of,
    )


def causes(result: Reconciliation) -> dict[str, set[str]]:
    causes: dict[str, set[str]] = defaultdict(set)
    for difference in result.differences:
        causes[difference["code"]].add(difference["likely_cause"])
    return dict(causes)


EVERYTHING = (
    "codes",
    "trading_calendar",
    "kline_daily",
    "minute_1m",
    "corporate_actions",
)


# what went wrong on our side: an action that never came, a minute lost, a day stored wrongly, a day
# stored while it was still growing
INJECTED = (
    "delete from raw_tdx.corporate_action where code = 'sz300001' and ex_date > '2025-06-01'",
    "delete from raw_tdx.kline_minute where code = 'sz000001' and bar_end = '2025-06-11T02:00Z'",
    "update raw_tdx.kline_daily set volume = volume * 2, amount = amount * 2"
    " where code = 'sz000003' and trade_date = '2025-06-12'",
    "update raw_tdx.kline_daily"
    " set volume = volume / 2, amount = amount / 2, close = open, is_final = false"
    " where code = 'sh600003' and trade_date = '2025-06-30'",
)


@pytest.fixture
def loaded(warehouse_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    """The codes that are checked, with the minutes of June, not built yet."""
    settings = {"minute_days": 20, "build": "2026-04"}
    with opened(MARKET, warehouse_dsn, tmp_path / "home", **settings) as made:
        assert made.load(codes=CHECKED, datasets=EVERYTHING).status == "succeeded"
        yield made


def test_a_sound_market_agrees_and_each_fault_has_its_cause(
    loaded: Bench,
) -> None:
    loaded.sandbox.faults.add("reset")
    with pytest.raises(UpstreamError):
        run(loaded, codes=CHECKED)
    newest = "select count(*) from ops.settings where key = 'reconciliation:newest'"
    assert loaded.rows(newest) == [(0,)]
    loaded.sandbox.faults.clear()

    sound = run(loaded, codes=CHECKED)
    assert sound.differences == ()
    assert (sound.month, sound.exit_code) == (JUNE, 0)
    codes, days = len(CHECKED), 20
    assert (sound.factors.verdict, sound.factors.figures["compared"]) == ("ok", codes * days)
    assert {(c.check_name, c.period): c.agreeing for c in sound.comparisons} == {
        ("bars_of_minutes", "minute5"): codes * days * 48,
        ("bars_of_minutes", "minute15"): codes * days * 16,
        ("bars_of_minutes", "minute30"): codes * days * 8,
        ("bars_of_minutes", "hour"): codes * days * 4,
        ("bars_of_days", "week"): codes * 5,
        ("bars_of_days", "month"): codes,
        ("adjusted_bars", "day"): codes * days,
    }

    loaded.sandbox.faults.add("ths-unadjusted:code=sh600000")
    loaded.sandbox.faults.add("ths-missing-action:code=sh600002")
    loaded.sandbox.faults.add("timeout:kline-all:code=sz000002")
    for statement in INJECTED:
        loaded.execute(statement)
    build.build(
        loaded.settings,
        open_warehouse(loaded.settings),
        Silent,
        arguments=[
            "--full-refresh",
            "--select",
            "config.materialized:followed",
            "config.materialized:continuous_aggregate",
        ],
    )
    result = run(loaded, codes=CHECKED)

    assert causes(result) == {
        "sh600000": {"vendor_unadjusted"},
        "sh600002": {"late_corporate_action"},
        "sh600003": {"unfinished_bar"},
        "sz000001": {"missing_minutes"},
        "sz000003": {"unexplained"},
        "sz300001": {"late_corporate_action"},
    }
    assert {d["severity"] for d in result.differences if d["code"] == "sh600003"} == {"info"}
    assert result.not_loaded.keys() == {"kline_weekly", "kline_monthly", *PARTS_OF_A_DAY}
    assert {tuple(failed) for failed in result.not_loaded.values()} == {("sz000002",)}
    assert result.exit_code == 6
    assert result.factors.figures["codes"] == ["sh600000", "sh600002", "sz300001"]
    checks = {check.subject or check.name: check for check in result.checks}
    for cause in ("vendor_unadjusted", "late_corporate_action", "missing_minutes", "unexplained"):
        assert checks[cause].verdict == "warn"
    assert "not loaded: kline_weekly: sz000002: " in " ".join(map(str, result.checks))


def adjusted_alone(b: Bench, codes: Sequence[str], month: date) -> set[tuple[str, str]]:
    """Codes and causes from the third party's series, read again."""
    warehouse = open_warehouse(b.settings)
    assert b.load(mode="init", datasets=(reconcile.ADJUSTED,), codes=codes).status == "succeeded"
    with warehouse.connect() as conn:
        run_id = reconcile.record(conn, codes, month, reconcile.last_day(month))
    models = ["--select", *reconcile.MODELS]
    build.build(b.settings, warehouse, Silent, arguments=models)
    with warehouse.connect() as conn:
        made, differences = bar_comparison.read_bars(conn, run_id)
    assert made[-1].check_name == "adjusted_bars"
    assert made[-1].compared > 0
    shown = [d for d in differences if d["check_name"] == "adjusted_bars"]
    return {(d["code"], d["likely_cause"]) for d in shown}


def test_a_series_that_turned_raw_is_flagged_every_time(warehouse_dsn: str, tmp_path: Path) -> None:
    """Of several draws of codes each one, and never a code that was not drawn."""
    last = MARKET.end.date()
    adjusted = [
        s.code
        for s in MARKET.securities
        if s.kind != "index"
        and any(event.ex_date <= last for event in events(MARKET.actions(s.code)))
        and s.code != "sh600001"  # delisted in May
    ]
    with opened(MARKET, warehouse_dsn, tmp_path / "home") as b:
        b.load(codes=adjusted)
        models = ["--select", *(f"+{model}" for model in reconcile.MODELS)]
        build.build(b.settings, open_warehouse(b.settings), Silent, arguments=models)
        for seed in (1, 2, 3):
            drawn = random.Random(seed).sample(adjusted, 4)
            b.sandbox.faults.clear()
            for code in drawn:
                b.sandbox.faults.add(f"ths-unadjusted:code={code}")
            assert adjusted_alone(b, adjusted, JUNE) == {
                (code, "vendor_unadjusted") for code in drawn
            }


def test_factors_of_the_newer_build_are_a_witness(warehouse_dsn: str, tmp_path: Path) -> None:
    codes, days = ("sh600000", "sz300001"), (JUNE, reconcile.last_day(JUNE))
    with opened(MARKET, warehouse_dsn, tmp_path / "home", build="2026-04") as b:
        assert b.load(codes=codes).status == "succeeded"
        # an event that never reached us, which the third party's page has
        b.execute(INJECTED[0])
        warehouse = open_warehouse(b.settings)
        arguments = ["--select", "+adjustment_segments", "+kline_daily"]
        build.build(b.settings, warehouse, Silent, arguments=arguments)
        read, missing = factors.read_factors(b.settings, codes)
        lacking = factors.compare(warehouse, read, *days)
        assert (lacking.verdict, lacking.figures["codes"], missing) == ("warn", ["sz300001"], {})

        b.sandbox.faults.add("error:adjustment-factors:code=sz300001")
        read, missing = factors.read_factors(b.settings, codes)
        alone = factors.compare(warehouse, read, *days)
        assert (alone.verdict, alone.figures["compared"], [*missing]) == ("ok", 20, ["sz300001"])
        assert factors.compare(warehouse, {}, *days).verdict == "unknown"
    with opened(MARKET, warehouse_dsn, tmp_path / "home") as before:
        read, missing = factors.read_factors(before.settings, codes)
        assert factors.compare(warehouse, read, *days).verdict == "unknown"
        assert (read, missing) == (None, {})


def test_real_series_have_no_differences(
    warehouse_dsn: str, tmp_path: Path, real_tdx_data: Path
) -> None:
    codes = ("sh600000", "sz000002")
    actions = str(real_tdx_data / "corporate_actions.csv")
    with opened(
        ReplayMarket(real_tdx_data), warehouse_dsn, tmp_path / "home", corporate_actions=actions
    ) as b:
        b.load(codes=codes)
        models = ["--select", *(f"+{model}" for model in reconcile.MODELS)]
        build.build(b.settings, open_warehouse(b.settings), Silent, arguments=models)
        # a month with an ex-date of each: 2011-05-27 and 2011-06-03
        for month in (date(2011, 5, 1), date(2011, 6, 1), date(2008, 6, 1)):
            assert adjusted_alone(b, codes, month) == set()
