"""Loads by cursor: what a second run asks for, writes, repairs, and never destroys."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.world.market import SyntheticMarket
from quotemill.errors import SettingsError, UsageError
from tests.integration.tdx_load.bench import Bench, bench, days_until
from tests.integration.tdx_load.conftest import OpenBench

BARS = ("kline_daily",)  # with the codes and the calendar, which come first


def calls(made: Bench, route: str) -> list[dict[str, str]]:
    return [entry.params for entry in made.sandbox.log if entry.route == route]


def test_a_first_load_lands_every_bar_a_second_asks_for_none_and_writes_no_row(
    loaded_bench: Bench, small_market: SyntheticMarket, days: list[date]
) -> None:
    before = loaded_bench.klines()
    listed = loaded_bench.rows("select code from raw_tdx.security where instrument_type <> 'index'")
    assert Counter(code for code, *_ in before) == {
        code: sum(stamp[:10] <= str(days[-1]) for stamp in small_market.day_bars(code).stamps)
        for (code,) in listed
    }
    asked = len(calls(loaded_bench, "kline-all"))

    result = loaded_bench.load()

    # suspended and delisted codes are asked again: their last bar is older than the last day
    stale = loaded_bench.rows(
        "select count(distinct code) from raw_tdx.kline_daily group by code "
        "having max(trade_date) < (select max(trade_date) from raw_tdx.kline_daily)"
    )
    assert len(calls(loaded_bench, "kline-all")) - asked == len(stale)
    assert result.total("rows_new") + result.total("rows_changed") == 0
    assert loaded_bench.klines() == before


@pytest.mark.long
def test_one_new_day_is_loaded_by_short_answers(
    open_loaded: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_loaded(clock=days[-2]) as bench:
        bench.sandbox.set_clock(days[-1])

        result = bench.load(datasets=BARS)

        limits = {int(p["limit"]) for p in calls(bench, "kline-all") if "limit" in p}
        assert min(limits) == 1 + bench.settings.tdx.overlap + 1
        new = bench.rows("select count(*) from raw_tdx.kline_daily where trade_date = %s", days[-1])
        assert sum(t.rows_new for t in result.tasks if t.dataset == "kline_daily") == new[0][0] > 0


@pytest.mark.long
def test_day_by_day_equals_all_at_once(
    open_loaded: OpenBench, small_market: SyntheticMarket, loaded_bench: Bench
) -> None:
    expected = loaded_bench.klines()
    days = days_until(small_market)
    with open_loaded(clock=days[-3]) as daily:
        for day in days[-2:]:
            daily.sandbox.set_clock(day)
            daily.load(datasets=BARS)
        assert daily.klines() == expected


def test_a_bar_of_the_running_day_is_provisional_until_the_evening(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    today = days_until(small_market)[-1]
    codes = ("sh600000", "sh510300")
    with open_bench(small_market, clock=datetime.combine(today, time(11, 0))) as bench:
        bench.load(codes=codes, datasets=BARS)
        running = bench.rows(
            "select count(*), bool_or(is_final) from raw_tdx.kline_daily where trade_date = %s",
            today,
        )
        assert running == [(2, False)]

        bench.sandbox.set_clock(today)
        result = bench.load(codes=codes, datasets=BARS)

        finished = bench.rows(
            "select bool_and(is_final) from raw_tdx.kline_daily where trade_date = %s", today
        )
        assert finished == [(True,)]
        assert result.total("rows_changed") == 2


def test_an_overlap_that_disagrees_reloads_the_whole_history_of_the_code(
    open_loaded: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    code = "sh600000"
    with open_loaded(clock=days[-6]) as bench:
        # as if the service had corrected the newest days of the code since
        bench.rows(
            "update raw_tdx.kline_daily set close = low"
            " where code = %s and trade_date >= %s returning 1",
            code,
            days[-12],
        )
        bench.sandbox.set_clock(days[-1])

        bench.load(datasets=BARS, codes=(code,))

        asked = [p.get("limit") for p in calls(bench, "kline-all") if p["code"] == code]
        assert asked == ["16", None]
        wrong = bench.rows(
            "select count(*) from raw_tdx.kline_daily where code = %s and close = low", code
        )
        served = small_market.day_bars(code)
        assert wrong == [(int((served.close == served.low)[: len(days)].sum()),)]


def test_a_load_of_codes_names_an_unknown_one_and_reads_their_datasets_only(
    market_bench: Bench,
) -> None:
    result = market_bench.load(codes=("sh600000", "sh699999"))

    assert result.exit_code == 0
    assert any("sh699999" in warning for warning in result.warnings)
    assert {row[0] for row in market_bench.klines()} == {"sh600000"}
    # a mistyped code is of its request: no later load could repair it
    assert market_bench.rows("select key from ops.failed_keys") == []
    assert {t.dataset for t in result.tasks} == {
        "codes",
        "trading_calendar",
        "kline_daily",
        "corporate_actions",
    }
    assert market_bench.rows("select count(*) from raw_tdx.index_kline") == [(0,)]


def test_an_index_that_the_service_lacks_is_a_reported_skip(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, indices=["sh000001", "sh000999"]) as bench:
        result = bench.load(datasets=("index_kline",))

    assert result.exit_code == 0
    assert any("sh000999" in w for w in result.warnings)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["incremental", "init"])
def test_since_and_until_bound_what_is_landed(market_bench: Bench, mode: str) -> None:
    days = days_until(market_bench.sandbox.world)
    market_bench.load(datasets=BARS, mode=mode, since=days[-10], until=days[-3])

    result = market_bench.rows("select min(trade_date), max(trade_date) from raw_tdx.kline_daily")
    assert result[0][0] >= days[-10]
    assert result[0][1] == days[-3]
    market_bench.load(datasets=BARS)
    assert market_bench.rows("select max(trade_date) from raw_tdx.kline_daily")[0][0] == days[-1]


@pytest.mark.long
def test_since_a_day_after_the_cursor_opens_no_gap(
    open_loaded: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_loaded(clock=days[-6]) as bench:
        bench.sandbox.set_clock(days[-1])
        bench.load(since=days[-2])

        for table in ("kline_daily", "index_kline"):
            result = bench.rows(
                f"select trade_date from raw_tdx.{table} where code in ('sh600000', 'sh000001') "
                + ("and period = 'day' " if table == "index_kline" else "")
                + "order by trade_date desc limit 6"
            )
            assert [row[0] for row in result] == days[:-7:-1], table


def test_without_a_source_of_actions_the_load_says_so(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, corporate_actions=None) as bench:
        result = bench.load(codes=("sh600000",))

        assert result.exit_code == 0
        assert any("adjusted prices are the same as raw" in w for w in result.warnings)
        assert bench.rows(
            "select count(*) from ops.ingestion_state where dataset = 'corporate_actions'"
        ) == [(0,)]


def test_actions_that_leave_the_file_are_withdrawn_by_a_witness_or_accepted(
    loaded_bench: Bench,
) -> None:
    path = loaded_bench.settings.tdx.corporate_actions
    assert isinstance(path, Path)
    withdrawn = "select code, ex_date::text from raw_tdx.corporate_action where is_withdrawn"
    header, *lines = path.read_text("utf-8").splitlines()
    by_code: dict[str, list[str]] = {}
    for line in lines:
        by_code.setdefault(line.split(",")[0].lower(), []).append(line)
    code, events = next((c, rows) for c, rows in by_code.items() if len(rows) > 1)

    def load_without(*gone: str, **request: Any) -> LoadResult:
        rest = [line for line in lines if line not in gone]
        path.write_text("\n".join([header, *rest]) + "\n", "utf-8")
        return loaded_bench.load(datasets=("corporate_actions",), **request)

    # an event that moved to a near day is not a loss
    day = events[0].split(",")[1]
    corrected = events[0].replace(day, str(date.fromisoformat(day) + timedelta(days=1)))
    lines.append(corrected)
    assert load_without(events[0]).warnings == ()
    assert loaded_bench.rows(withdrawn) == [(code, day)]

    # one in prices stays until another version lacks it too, not the same file a day later
    tomorrow = loaded_bench.sandbox.clock + timedelta(days=1)
    for exit_code, clock in ((6, None), (0, None), (0, tomorrow)):
        assert load_without(events[0], corrected, clock=clock).exit_code == exit_code
        assert len(loaded_bench.rows(withdrawn)) == 1
    lines.append(corrected.replace(code.upper(), "SH688999"))  # of a code that nobody lists
    assert load_without(events[0], corrected).exit_code == 0
    assert len(loaded_bench.rows(withdrawn)) == 2
    del lines[-1]

    # nor does it count again beside what the next version lacks
    lost = [line for line in lines if not line.startswith(code.upper())][:2]
    for count in (1, 2):
        assert load_without(events[0], corrected, *lost[:count]).exit_code == 6
        assert len(loaded_bench.rows(withdrawn)) == 1 + count

    # a file that is cut at the end of a line is refused whole
    cut = lines[len(lines) // 2 :]
    for _ in range(2):
        refused = load_without(*cut)
        lacking = {line.split(",")[0].lower() for line in cut} - {code}
        assert lacking <= {key for task in refused.tasks for key in task.failures}
        assert len(loaded_bench.rows(withdrawn)) == 3
    assert load_without(*cut, accept_loss=True).exit_code == 0
    assert len(loaded_bench.rows(withdrawn)) > 3
    assert load_without(*cut).exit_code == 0


def test_days_without_a_trade_are_stored_and_lost_bars_are_none_of_them(
    open_loaded: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    code = "sz000002"

    def gaps() -> list[tuple[object, ...]]:
        query = (
            "select last_bar_date, trade_date from raw_tdx.answer_gap where code = %s order by 2"
        )
        return bench.rows(query, code)

    with open_loaded(clock=days[-6]) as bench:
        stored = [row[1] for row in bench.klines() if row[0] == code]
        suspended = gaps()
        assert suspended
        assert suspended == [
            (a, b) for a, b in pairwise(stored) if days.index(b) - days.index(a) > 1
        ]

        # a bar taken out by hand is no day without a trade, nor is one between two answers
        bench.execute(f"delete from raw_tdx.kline_daily where trade_date = '{stored[3]}'")
        bench.sandbox.set_clock(days[-1])
        bench.load(datasets=BARS)
        assert gaps() == suspended


@pytest.mark.long
def test_rows_that_an_earlier_reading_of_a_file_refused_are_withdrawn(market_bench: Bench) -> None:
    path = market_bench.settings.tdx.corporate_actions
    assert isinstance(path, Path)
    good = path.read_text("utf-8")
    header, first, second, *rest = good.splitlines()

    def load(*lines: str) -> list[tuple[object, ...]]:
        path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
        market_bench.load(datasets=("corporate_actions",))
        return market_bench.rows(
            "select row_key, is_withdrawn from raw_tdx.rejected_row "
            "where is_withdrawn or row_key !~ 'xdxr' order by row_key"
        )

    def broken(line: str) -> str:
        return re.sub(r"\d{4}-\d\d-\d\d", "soon", line)

    line_2, line_3 = f"{path.name}:2", f"{path.name}:3"
    # what another source refused is no affair of the file's
    market_bench.load(datasets=("codes",))
    market_bench.execute(
        "insert into raw_tdx.rejected_row select 'corporate_actions', k, 'category', 'rule', '', "
        "'{}', false, 'xdxr', now(), true from unnest(array['xdxr sh600000 row 1', "
        "'sh600000 2025-06-02 xdxr 1']) as k"
    )
    assert load(broken(first), broken(second), *rest) == [(line_2, False), (line_3, False)]
    assert load(first, broken(second), *rest) == [(line_2, True), (line_3, False)]
    assert load(broken(first), second, *rest) == [(line_2, False), (line_3, True)]
    assert load(*good.splitlines()[1:]) == [(line_2, True), (line_3, True)]


def test_a_request_that_cannot_be_served_is_refused_at_once(
    new_database: Callable[[], str], small_market: SyntheticMarket, tmp_path: Path
) -> None:
    with bench(small_market, new_database(), tmp_path) as empty:
        with pytest.raises(UsageError, match="unknown dataset"):
            empty.load(datasets=("klines",))
        with pytest.raises(UsageError, match="not a code like"):
            empty.load(codes=("60000",))
        with pytest.raises(UsageError, match="an index"):
            empty.load(codes=("sh000001",))
        with pytest.raises(UsageError, match="cannot be used together"):
            empty.load(codes=("sh600000",), datasets=("index_kline",))
        assert empty.rows("select to_regclass('ops.ingestion_jobs')") == [(None,)]
        empty.settings = empty.settings.model_copy(
            update={"tdx": empty.settings.tdx.model_copy(update={"base_url": None})}
        )
        with pytest.raises(SettingsError, match="QUOTEMILL_TDX__BASE_URL"):
            empty.load()
