"""Spot checks after a load.

They pass on what was loaded, and find what is missing or differs.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from loaders.engine import check_runs
from loaders.engine.progress import Silent
from loaders.loads import prepare_warehouse
from loaders.sandbox.world.market import SyntheticMarket
from loaders.sources import landed_tables
from loaders.tdx.verify import spot_checks
from loaders.trading_time import SHANGHAI
from loaders.warehouse import space
from loaders.warehouse.migrate import schemas
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import UpstreamError, UsageError
from tests.integration.tdx_load.bench import Bench, bench
from tests.integration.tdx_load.folder import ClientFolder

DATASETS = ("codes", "trading_calendar", "kline_daily", "index_kline", "quote_snapshot")


@pytest.fixture(scope="module")
def loaded(
    new_database: Callable[..., str],
    small_market: SyntheticMarket,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """The small market, loaded by an initial load."""
    with ExitStack() as stack:
        home: Path = tmp_path_factory.mktemp("verify")
        made = stack.enter_context(bench(small_market, new_database(), home))
        assert made.load(mode="init", datasets=DATASETS).exit_code == 0
        yield made


@pytest.fixture
def market(loaded: Bench) -> Iterator[Bench]:
    """The loaded market; what a test does to the service is taken back."""
    yield loaded
    loaded.sandbox.faults.clear()


def verified(market: Bench, seed: int = 7, sample: int = 3) -> spot_checks.Verification:
    now: datetime = market.sandbox.clock.replace(tzinfo=SHANGHAI)
    warehouse = prepare_warehouse(market.settings, Silent())
    return spot_checks.verify(
        market.settings,
        warehouse,
        schemas=schemas(warehouse, landed_tables()),
        sample=sample,
        seed=seed,
        as_of=now,
        clock=lambda: now,
        reporter=Silent(),
    )


def drawn(market: Bench, seed: int) -> list[str]:
    return list(verified(market, seed, sample=1).sample)


def by_name(result: spot_checks.Verification) -> dict[str, Any]:
    return {row["name"]: SimpleNamespace(**row) for row in result.rows()}


def test_what_was_loaded_passes_and_the_rest_is_skipped_with_its_reason(market: Bench) -> None:
    result = verified(market)
    lines = by_name(result)
    assert result.status == "passed"
    passed = {name for name, line in lines.items() if line.status == "passed"}
    assert passed == {
        "codes sh",
        "codes sz",
        "codes bj",
        "index_kline",
        "quote",
        *(f"{code} day" for code in result.sample),
    }
    reasons = {name: line.reason for name, line in lines.items() if line.status == "skipped"}
    assert reasons["kline_weekly_qfq"] == spot_checks.NOT_BUILT
    assert "--dataset minute_1m" in reasons["kline_minute"]
    assert "--dataset minute_1m" in reasons["kline_5m"]
    assert "--dataset stock_info" in reasons["stock_info"]
    assert lines["codes sh"].evidence["difference"] == 0
    assert lines["codes sh"].evidence["symbol_dim"] == spot_checks.NOT_BUILT


def test_the_same_seed_draws_the_same_codes(market: Bench) -> None:
    assert verified(market, seed=3).sample == verified(market, seed=3).sample
    assert len({verified(market, seed=seed).sample for seed in range(6)}) > 1
    assert len(verified(market, sample=999).sample) == len(set(verified(market, sample=999).sample))


def test_the_space_of_each_table_is_listed_the_largest_first(market: Bench) -> None:
    market.execute("analyze raw_tdx.kline_daily")
    tables = verified(market).space
    sizes = [table["total_bytes"] for table in tables]
    assert sizes == sorted(sizes, reverse=True)
    by_relation = {(t["schema"], t["relation"]): t for t in tables}
    (rows,) = market.rows("select count(*) from raw_tdx.kline_daily")
    assert by_relation["raw_tdx", "kline_daily"]["rows_estimate"] == rows[0]
    assert by_relation["ops", "testing_runs"]["total_bytes"] > 0


def test_a_changed_bar_is_a_difference_in_li(market: Bench) -> None:
    code = verified(market).sample[0]
    change = (
        "update raw_tdx.kline_daily set close = close {} 10 where (code, trade_date) = "
        f"(select code, max(trade_date) from raw_tdx.kline_daily where code = '{code}' group by 1)"
    )
    market.execute(change.format("+"))
    result = verified(market)
    market.execute(change.format("-"))
    line = by_name(result)[f"{code} day"]
    assert (result.status, line.status) == ("failed", "failed")
    (ours, theirs) = line.evidence["differences"]["close"]
    assert ours - theirs == 10
    assert re.search(f"close {ours}, .* {theirs}", line.reason)


def test_codes_that_only_one_side_has_are_named(market: Bench) -> None:
    market.execute("update raw_tdx.security set is_listed = false where code = 'sh600000'")
    not_ours = by_name(verified(market))["codes sh"]
    market.execute("update raw_tdx.security set is_listed = true where code = 'sh600000'")
    assert re.search(r"1 of .* stored .*\(sh600000\)", not_ours.reason)
    assert (not_ours.evidence["difference"], not_ours.evidence["stored_as_delisted"]) == (-1, 1)
    market.sandbox.faults.add("codes-vanish:code=sh600000")
    not_theirs = by_name(verified(market))["codes sh"]
    assert (
        "1 of the codes stored as listed that are not in the service's lists" in not_theirs.reason
    )


def test_a_service_that_gives_no_bars_is_a_failed_check(market: Bench) -> None:
    code = verified(market).sample[1]
    market.sandbox.faults.add(f"error:kline-all:code={code}")
    lines = by_name(verified(market))
    assert lines[f"{code} day"].status == "failed"
    assert "上游错误" in lines[f"{code} day"].reason


def test_what_a_load_was_asked_for_must_be_there(market: Bench) -> None:
    market.execute("create table kept as table raw_tdx.quote")
    market.execute("delete from raw_tdx.quote")
    market.execute("create table kept_index as select * from raw_tdx.index_kline")
    market.execute("delete from raw_tdx.index_kline")
    result = verified(market)
    market.execute("insert into raw_tdx.quote table kept")
    market.execute("insert into raw_tdx.index_kline table kept_index")
    market.execute("drop table kept, kept_index")
    lines = by_name(result)
    assert lines["quote"].reason.startswith("raw_tdx.quote has no rows for ")
    missing = "raw_tdx.index_kline has no rows for sh000001, sh000001 minute1, sh000001 month"
    assert lines["index_kline"].reason.startswith(missing)
    assert verified(market).status == "passed"


def test_what_is_built_must_have_the_drawn_codes(market: Bench) -> None:
    code = verified(market, sample=1).sample[0]
    market.execute(f"create table market.kline_weekly_qfq as select '{code}' as code")
    market.execute("create table market.kline_monthly_qfq as select 'sh000000' as code")
    market.execute(
        "create table market.symbol_dim as select code, instrument_type from raw_tdx.security "
        "where code <> 'sh600000'"
    )
    try:
        lines = by_name(verified(market, sample=1))
    finally:
        market.execute(
            "drop table market.kline_weekly_qfq, market.kline_monthly_qfq, market.symbol_dim"
        )
    assert lines["kline_weekly_qfq"].status == "passed"
    assert lines["kline_monthly_qfq"].reason == f"market.kline_monthly_qfq has no rows for {code}"
    assert lines["codes sh"].reason.startswith("symbol_dim is missing 1 ")
    assert lines["codes sz"].status == "passed"


def test_minutes_and_rollups_of_a_traded_code_are_expected_once_loaded(market: Bench) -> None:
    code = verified(market, sample=1).sample[0]
    market.execute(
        "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status, done) "
        f"select max(job_id), 99, 'minute_1m', '{{{code}}}', 'succeeded', 1 from ops.ingestion_jobs"
    )
    (day,) = market.rows("select max(trade_date) from raw_tdx.kline_daily where code = %s", code)[0]
    missing = by_name(verified(market, sample=1))["kline_minute"]
    market.execute(
        f"insert into raw_tdx.kline_minute select '{code}', true, 1, 1, '{day} 07:00+00', '{day}', "
        "'15:00', 100, 1, 1, 1, 1, 1, 1, now()"
    )
    market.execute("create table market.kline_5m as select 'sh000000' as code")
    market.execute(f"create table market.kline_15m as select '{code}' as code")
    try:
        lines = by_name(verified(market, sample=1))
    finally:
        market.execute("drop table market.kline_5m, market.kline_15m")
        market.execute("delete from raw_tdx.kline_minute")
        market.execute("delete from ops.ingestion_job_tasks where task_no = 99")
    assert missing.reason == f"raw_tdx.kline_minute has no rows for {code}"
    assert lines["kline_minute"].evidence == {"keys": [code]}
    assert lines["kline_5m"].reason == f"market.kline_5m has no rows for {code}"
    assert lines["kline_15m"].status == "passed"
    assert lines["kline_30m"].reason == spot_checks.NOT_BUILT


def test_a_code_that_a_source_does_not_have_is_not_missed(folder: ClientFolder) -> None:
    folder.write()
    without = folder.minute_file()
    without.unlink()
    alone = folder.load(datasets=(*DATASETS[:4], "minute_1m"))
    for sample, status in ((1, "skipped"), (999, "passed")):
        seed = next(n for n in range(999) if sample > 1 or drawn(alone, n) == [without.stem])
        line = by_name(verified(alone, seed, sample))["kline_minute"]
        assert (line.status, without.stem in line.evidence.get("keys", ())) == (status, False)


def test_a_verification_is_recorded(market: Bench) -> None:
    result = verified(market)
    settings = market.settings
    run_id = check_runs.record(settings, lambda: open_warehouse(settings), result, print)
    assert run_id is not None
    (run,) = market.rows(
        "select kind, status, total, passed, failed, skipped, (options ->> 'seed')::int, "
        "jsonb_array_length(detail -> 'space') from ops.testing_runs where run_id = %s",
        run_id,
    )
    counts = [result.count(status) for status in ("passed", "failed", "skipped")]
    assert run == ("verify", "passed", len(result.checks), *counts, 7, len(result.space))
    (logs,) = market.rows("select count(*) from ops.testing_logs where run_id = %s", run_id)
    assert logs == (len(result.checks),)


def test_without_a_load_or_a_service_there_is_nothing_to_verify(
    market: Bench, warehouse_dsn: str
) -> None:
    empty = market.settings.model_copy(
        update={"warehouse_url": type(market.settings.warehouse_url)(warehouse_dsn)}
    )
    with pytest.raises(UsageError, match="no day bars"):
        verified(Bench(market.sandbox, empty, market.heard))
    market.sandbox.faults.add("reset:codes")
    with pytest.raises(UpstreamError):
        verified(market)


@pytest.mark.parametrize("edition", ["apache", "tsl"])
def test_sizes_of_chunks_count_with_the_space_saved_by_compression(
    edition: str, database_of: Callable[..., str]
) -> None:
    with psycopg.connect(database_of(edition), autocommit=True) as conn:
        conn.execute("create schema a; create table a.ticks (code text, at timestamptz not null)")
        conn.execute("create table a.plain (n integer); create table b (at timestamptz not null)")
        conn.execute(
            "select create_hypertable(t, by_range('at')) from unnest('{a.ticks,b}'::text[]) as t"
        )
        conn.execute(
            "insert into a.ticks select 'x', timestamptz '2024-01-01' + i * interval '1 minute' "
            "from generate_series(1, 20000) as i"
        )
        if edition == "tsl":
            conn.execute(
                "create materialized view a.bars with (timescaledb.continuous) as "
                "select time_bucket('1 hour', at) as at, count(*) from a.ticks group by 1"
            )
            conn.execute("alter table a.ticks set (timescaledb.compress)")
            conn.execute("select compress_chunk(c) from show_chunks('a.ticks') as c")
        conn.execute("analyze")
        result = {table["relation"]: table for table in space.space(conn, ["a"])}
        chunks = conn.execute("select count(*) from show_chunks('a.ticks')").fetchone()

    names = {"ticks", "plain"} | ({"bars"} if edition == "tsl" else set())
    assert result.keys() == names
    assert result["plain"]["total_bytes"] == 0
    for name in names - {"plain"}:
        assert result[name]["total_bytes"] > 8192
        assert result[name]["rows_estimate"] > 0
    saved = result["ticks"]["compression"]
    if edition == "apache":
        assert saved is None
    else:
        assert (saved["total_chunks"],) == (saved["compressed_chunks"],) == chunks
        assert saved["after_bytes"] < saved["before_bytes"]


def test_a_folder_alone_is_compared_with_the_tables(folder: ClientFolder) -> None:
    folder.write()
    alone = folder.load()
    result = verified(alone)
    lines = by_name(result)
    assert result.status == "passed"
    assert {f"{code} day" for code in result.sample} <= {
        name for name, line in lines.items() if line.status == "passed"
    }
    assert "no service" in lines["codes sh"].reason
    code = result.sample[0]
    alone.execute(f"update raw_tdx.kline_daily set close = close + 10 where code = '{code}'")
    again = by_name(verified(alone))
    assert (again[f"{code} day"].status, "the client's file" in again[f"{code} day"].reason) == (
        "failed",
        True,
    )
    folder.day_file(code).unlink()
    assert "no file" in by_name(verified(alone))[f"{code} day"].reason
