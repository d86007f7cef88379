"""Ticks: a day lands whole or as provisional.

Gaps repair themselves, and one bad day stops no other.
"""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.fetching.ticks_today import read_last_bars
from tests.bench import warehouse_url
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

STOCK, FUND = "sh600000", "sh510300"
DATASETS = ("kline_daily", "tick_trade")


@pytest.fixture(scope="session")
def tiny_market() -> SyntheticMarket:
    return SyntheticMarket(codes=4, days=40, seed=5)


@pytest.fixture
def days(tiny_market: SyntheticMarket) -> list[date]:
    """The trading days up to the last on which the market has trades."""
    return [day for day in tiny_market.days if day <= tiny_market.end.date()]


def load(bench: Bench, *codes: str, **request: Any) -> LoadResult:
    return bench.load(codes=codes or (STOCK,), datasets=DATASETS, **request)


def stored(bench: Bench, code: str = STOCK) -> dict[date, tuple[int, int, bool]]:
    """By day: ticks, hands, and whether they are final."""
    rows = bench.rows(
        "select trade_date, count(*), sum(volume)::bigint, bool_and(is_final) "
        "from raw_tdx.tick_trade where code = %s group by 1 order by 1",
        code,
    )
    return {day: (count, hands, final) for day, count, hands, final in rows}


def asked(bench: Bench, route: str) -> list[dict[str, str]]:
    return [entry.params for entry in bench.sandbox.log if entry.route == route]


def hands_of(market: SyntheticMarket, code: str, day: date) -> int:
    return sum(tick.volume for tick in market.ticks(code, day))


def test_a_first_load_lands_the_newest_days_whole_and_today_as_provisional(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(tiny_market, tick_days=6) as bench:
        result = load(bench)

        actual = stored(bench)
        # today, even after its close, is not history yet
        assert list(actual) == days[-6:]
        for day, (count, hands, final) in actual.items():
            assert (count, final) == (len(tiny_market.ticks(STOCK, day)), day < days[-1])
            assert hands == hands_of(tiny_market, STOCK, day)
        assert result.exit_code == 0
        assert len(asked(bench, "trade-history/full")) == 1
        ordinals = bench.rows(
            "select min(ordinal), max(ordinal) - count(*) from raw_tdx.tick_trade "
            "group by trade_date"
        )
        assert set(ordinals) == {(1, 0)}
        cursor = bench.rows(
            "select last_success_date from ops.ingestion_state where dataset = 'tick_trade'"
        )
        assert cursor == [(days[-2],)]


def test_the_next_day_brings_one_day_and_a_second_load_asks_for_nothing(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(tiny_market, tick_days=3, clock=days[-2]) as bench:
        load(bench)
        bench.sandbox.set_clock(days[-1])

        result = load(bench)

        (new,) = [t for t in result.tasks if t.dataset == "tick_trade"]
        assert new.rows_new == len(tiny_market.ticks(STOCK, days[-1]))
        assert new.rows_changed == len(tiny_market.ticks(STOCK, days[-2]))  # final by now
        assert [final for *_, final in stored(bench).values()] == [True, True, True, False]
        assert list(stored(bench)) == days[-4:]
        before = len(bench.sandbox.log)
        again = load(bench)
        assert again.total("rows_new") + again.total("rows_changed") == 0
        assert not [
            e for e in list(bench.sandbox.log)[before:] if e.route.startswith(("trade", "minute"))
        ]


def test_a_gap_is_filled_whatever_the_cursor_says(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(tiny_market, tick_days=6) as bench:
        load(bench)
        whole = stored(bench)
        bench.execute(f"delete from raw_tdx.tick_trade where trade_date = '{days[-4]}'")

        load(bench)

        assert stored(bench) == whole
        (_, last) = asked(bench, "trade-history/full")
        assert last["start_date"] == last["end_date"] == f"{days[-4]:%Y%m%d}"


@pytest.mark.long
def test_a_day_that_is_read_again_replaces_what_is_stored_of_it(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(tiny_market, tick_days=2) as bench:
        load(bench)
        expected = stored(bench)
        bench.execute("delete from raw_tdx.tick_trade where ordinal > 10")
        load(bench, since=days[-2])
        assert stored(bench) == expected

        # as if a page had come twice once
        bench.execute(
            "insert into raw_tdx.tick_trade select (t).* from (select jsonb_populate_record("
            "null::raw_tdx.tick_trade, to_jsonb(k) || jsonb_build_object('ordinal', "
            "ordinal + 100000)) as t from raw_tdx.tick_trade as k) as twice"
        )
        load(bench, since=days[-2])
        assert stored(bench) == expected


def test_without_day_bars_it_says_what_must_load_first(
    open_bench: OpenBench, tiny_market: SyntheticMarket
) -> None:
    with open_bench(tiny_market, tick_days=2) as bench:
        result = bench.load(codes=(STOCK,), datasets=("tick_trade",))

    (task,) = [t for t in result.tasks if t.dataset == "tick_trade"]
    assert "load kline_daily first" in task.failures[STOCK]


@pytest.mark.long
def test_ticks_of_the_running_day_are_provisional_until_the_next_day(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    today = days[-2]
    with open_bench(tiny_market, tick_days=2, clock=datetime.combine(today, time(10, 0))) as bench:
        load(bench)
        realtime = {"mode": "realtime", "codes": (STOCK,), "datasets": ("tick_trade",)}
        bench.load(**realtime)
        count, hands, final = stored(bench)[today]
        assert (hands < hands_of(tiny_market, STOCK, today), final) == (True, False)

        bench.sandbox.set_clock(datetime.combine(today, time(14, 0)))
        bench.load(**realtime)
        later = stored(bench)[today]
        assert later[0] > count
        assert later[2] is False
        counted = bench.rows(
            "select bool_or(order_count > 0) from raw_tdx.tick_trade where trade_date = %s", today
        )
        assert counted == [(True,)]

        bench.sandbox.set_clock(days[-1])
        load(bench)
        whole = (len(tiny_market.ticks(STOCK, today)), hands_of(tiny_market, STOCK, today), True)
        assert stored(bench)[today] == whole


def test_ticks_of_today_are_compared_with_the_last_day_of_trade(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    """After a day without a trade a server still has the ticks of the session before it."""
    with open_bench(tiny_market, clock=days[-2]) as bench:
        load(bench)
        bench.execute(
            "update raw_tdx.kline_daily set volume = 0, amount = 0, open = close, high = close, "
            f"low = close where trade_date = '{days[-2]}'"
        )
        with bench.connect() as conn:
            bars, _ = read_last_bars(conn, [STOCK], days[-1])
    assert bars[STOCK].hands == hands_of(tiny_market, STOCK, days[-3])


def test_probes_of_what_is_due_stay_index_scans(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    from loaders.tdx.datasets import tick_trade

    with open_bench(tiny_market, tick_days=6) as bench:
        load(bench)
        bench.execute("analyze raw_tdx.tick_trade, raw_tdx.kline_daily")
        import psycopg

        with psycopg.connect(warehouse_url(bench.settings)) as conn:
            plans: list[str] = []

            class Explained:
                def execute(self, query: bytes, values: dict[str, Any] | None = None) -> Any:
                    if values is None:  # not one of them: whether the table is distributed
                        return conn.execute(query)
                    rows = conn.execute(b"explain " + query, values).fetchall()
                    plans.extend(row[0] for row in rows)
                    return []

            tick_trade.read_due_days(Explained(), [STOCK], days, None)  # type: ignore[arg-type]
    plan = "\n".join(plans)
    assert "Hash" not in plan
    assert "Merge" not in plan
    assert "Index Only Scan using tick_trade_code_trade_date_is_final_idx" in plan


def test_a_service_whose_day_is_past_has_that_day_by_its_own_route(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> None:
    # the simulated service's day is long ago by this machine's clock
    later = datetime.combine(days[-1] + timedelta(days=90), time(18, 0))
    with open_bench(tiny_market) as bench:
        first = load(bench, clock=later)
        second = load(bench, clock=later)

        assert (first.exit_code, second.exit_code) == (0, 0)
        _, hands, final = stored(bench)[days[-1]]
        assert (hands, final) == (hands_of(tiny_market, STOCK, days[-1]), True)
        assert second.total("rows_new") == second.total("rows_changed") == 0
