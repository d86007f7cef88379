"""Loads from quote servers instead of the service."""

from datetime import date

import pytest

from loaders.sandbox.tdx.quote_server import Temper
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.check import check
from loaders.tdx.servers import pool
from loaders.tdx.settings import OTHER_SERVERS
from loaders.trading_time import SHANGHAI
from orchestration.checks.gather import examine
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.folder import failures

BARS = ("codes", "trading_calendar", "kline_daily")
SUSPENDED = "sz000002"
GOOD = (Temper.GOOD,)


def test_servers_that_all_refuse_end_the_load_with_every_cursor_in_place(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    cursors = "select dataset, key, cursor from ops.ingestion_state order by 1, 2"
    datasets = ("kline_daily", "index_kline")
    with open_bench(small_market, clock=days[-6], tempers=GOOD) as made:
        assert made.load(datasets=datasets).exit_code == 0
        before = made.rows(cursors), made.klines()
    tempers = (Temper.BARLESS, Temper.BARLESS)
    with open_bench(small_market, clock=days[-5], tempers=tempers, timeout=5.0) as made:
        result = made.load(datasets=datasets)
        assert result.exit_code == 4
        failures = {why for task in result.tasks for why in task.failures.values()}
        assert len(failures) == 1
        assert (made.rows(cursors), made.klines()) == before


def test_suspended_days_land_as_bars_without_volume_and_nothing_else(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    traded = {stamp[:10] for stamp in small_market.day_bars(SUSPENDED).stamps}
    suspended = [
        day
        for day in small_market.days
        if min(traded) < str(day) < max(traded) and str(day) not in traded
    ]
    with open_bench(small_market, tempers=GOOD, tick_days=60) as made:
        datasets = ("kline_daily", "tick_trade")
        assert made.load(codes=[SUSPENDED], datasets=datasets).exit_code == 0
        flat = made.rows(
            "select trade_date from raw_tdx.kline_daily where code = %s and volume = 0"
            " and amount = 0 and open = close and high = low order by 1",
            SUSPENDED,
        )
        assert [day for (day,) in flat] == suspended
        ticks = made.rows("select distinct trade_date from raw_tdx.tick_trade")
        assert not {day for (day,) in ticks}.intersection(suspended)
        assert made.load(mode="incremental", codes=[SUSPENDED], datasets=datasets).exit_code == 0


def test_a_code_that_vanished_from_the_lists_keeps_its_history(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    history = "select count(*) from raw_tdx.kline_daily where code = 'sz000001'"
    with open_bench(small_market, clock=days[-3], tempers=GOOD) as made:
        assert made.load(datasets=BARS).exit_code == 0
        before = made.rows(history)
    with open_bench(small_market, clock=days[-2], tempers=GOOD) as made:
        made.sandbox.faults.add("codes-vanish:codes:code=sz000001")
        assert made.load(datasets=BARS).exit_code == 0, made.heard.lines
        assert made.rows("select code from raw_tdx.security where not is_listed") == [("sz000001",)]
        assert made.rows(history) == before
        assert "sz000001" not in {code for entry in made.sandbox.log for code in entry.codes}
        made.sandbox.faults.clear()
        assert made.load(datasets=BARS).exit_code == 0
        assert not made.rows("select code from raw_tdx.security where not is_listed")
        assert made.rows(history) > before


def test_lists_that_lack_many_codes_delist_none(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(small_market, clock=days[-3], tempers=GOOD) as made:
        assert made.load(datasets=("codes",)).exit_code == 0
        listed = made.rows("select code from raw_tdx.security where is_listed order by 1")
    with open_bench(small_market, clock=days[-2], tempers=GOOD) as made:
        for fault in ("codes-stale:codes:drop=3", "codes-missing:codes:exchange=sz"):
            made.sandbox.faults.add(fault)
            result = made.load(datasets=("codes",))
            made.sandbox.faults.clear()
            assert result.exit_code in (4, 6)
            assert listed == made.rows(
                "select code from raw_tdx.security where is_listed order by 1"
            )
            [failure] = failures(result).values()
            assert "restart" not in failure


def test_a_frozen_calendar_asks_for_no_restart_of_a_service(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(small_market, tempers=GOOD) as made:
        made.sandbox.faults.add("stale:index/all:rows=3")
        failure = failures(made.load(datasets=("trading_calendar",)))["trading_calendar"]
        assert str(days[-4]) in failure
        assert OTHER_SERVERS in failure
        now = made.sandbox.clock.replace(tzinfo=SHANGHAI)
        assert OTHER_SERVERS in " ".join(check(made.settings, now).figures["warnings"])


@pytest.mark.parametrize("setting", ["tdx.servers", "tdx.corporate_actions"])
def test_the_doctor_asks_quote_servers_for_bars(
    open_bench: OpenBench,
    small_market: SyntheticMarket,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
) -> None:
    for temper, code in ((Temper.GOOD, 0), (Temper.BARLESS, 4)):
        with open_bench(small_market, tempers=(temper,)) as made:
            if setting == "tdx.corporate_actions":
                (host, _, port) = made.settings.tdx.servers[0].rpartition(":")
                monkeypatch.setattr(pool, "PUBLIC", [(host, int(port))])
                update = {
                    "servers": [],
                    "base_url": made.sandbox.url,
                    "corporate_actions": "xdxr",
                }
                tdx = made.settings.tdx.model_copy(update=update)
                made.settings = made.settings.model_copy(update={"tdx": tdx})
            now = made.sandbox.clock.replace(tzinfo=SHANGHAI)
            asked = examine(made.settings, now, names=("service",))[0]
            assert (asked.verdict, asked.exit_code) == ("fail" if code else "ok", code)
            assert setting in asked.fix if code else "quote server" in asked.sentence


def test_a_mute_and_a_punishing_server_among_good_ones_cost_no_row(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    tempers = (Temper.MUTE, Temper.PUNISHING, Temper.BARLESS, Temper.GOOD)
    with open_bench(small_market, tempers=tempers, timeout=0.5) as made:
        assert made.load(datasets=("kline_daily",)).exit_code == 0
        assert len(made.klines()) > 500


def test_broken_answers_are_asked_for_again(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    kinds = ("reset", "cut:at=0.7", "leftover", "wrong-length")
    faults = [f"{kind}:p=0.1" for kind in kinds]
    with open_bench(small_market, tempers=GOOD, faults=faults, retries=9) as made:
        assert made.load(datasets=("kline_daily",)).exit_code == 0
        struck = {fault for entry in made.sandbox.log for fault in entry.faults}
        assert len(struck) == len(kinds), struck
        assert len(made.klines()) > 500
