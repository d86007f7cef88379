"""A build whose lock's connection broke: others wrote beside it, and no later build skips that."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.warehouse.postgres import open_warehouse
from orchestration.backup.dump import dump
from orchestration.run import build
from quotemill.errors import LockHeldError
from tests.bench import warehouse_url
from tests.e2e.test_pipeline import ADJUSTED, DAYS, run
from tests.faults.scene import Scene, wait_until
from tests.forks import Command
from tests.integration.tdx_load.bench import Bench

pytestmark = pytest.mark.usefixtures("models_alone")
# the restore takes the numbers of builds back too
OTHER = (
    "insert into ops.runs (run_id, command, build_id, fingerprint, finished_at, exit_code) "
    "select 'build-' || n, 'another', n, '', now(), 0 "
    "from (select coalesce(max(build_id), 0) + 1 as n from ops.runs) as newest"
)
NEWEST_BUILD = "select command, status, error from ops.builds order by build_id desc limit 1"
NEWEST = "select max(trade_date) from market.kline_daily_qfq"


def end_lock(bench: Bench) -> None:
    [(pid, _)] = bench.rows(
        "select pid, pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'quotemill build lock' and datname = current_database()"
    )
    gone = "select not exists (select 1 from pg_stat_activity where pid = %s)"
    wait_until("the lock is free", lambda: bench.rows(gone, pid) == [(True,)])


def environ_of(bench: Bench) -> dict[str, str]:
    home = bench.settings.home
    more = {"QUOTEMILL_TDX__CORPORATE_ACTIONS": str(home / "actions.csv")}  # as the bench has it
    return Scene(home, bench.sandbox, warehouse_url(bench.settings), more).environ()


@pytest.mark.soak
def test_a_build_that_a_restore_replaced_does_not_count(
    market_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump has rows that were never built; the build that ends after it has not read them."""
    market_bench.sandbox.set_clock(DAYS[-1])
    market_bench.load()
    warehouse = open_warehouse(market_bench.settings)
    dump(warehouse, tmp_path / "dump")
    invoke, restored = build.invoke, list[Path]()

    def restored_after(*arguments: Any, **options: Any) -> Any:
        outcome = invoke(*arguments, **options)
        if not restored:
            restored.append(tmp_path / "dump")
            end_lock(market_bench)
            restore = ["quotemill", "warehouse", "restore", str(tmp_path / "dump"), "--yes"]
            environ = environ_of(market_bench) | {"QUOTEMILL_HOME": str(tmp_path / "another")}
            assert Command(restore, env=environ, cwd=tmp_path).wait() == 0
            market_bench.execute(OTHER)
        return outcome

    monkeypatch.setattr(build, "invoke", restored_after)
    shown = partial(nullcontext, market_bench.heard)
    with pytest.raises(LockHeldError, match="lost its lock"):
        build.build(market_bench.settings, warehouse, shown, only_touched=True)
    assert market_bench.rows(NEWEST) == [(DAYS[-2],)]
    assert market_bench.rows(NEWEST_BUILD) == [("another", "succeeded", None)]
    assert run(market_bench).exit_code == 0
    assert market_bench.rows(NEWEST) == [(DAYS[-1],)]


# the first build waits, with rows that it has read and not written, while somebody locks the gate
GATE = """
    create table public.gate ();
    create sequence public.passes;
    create function public.wait_once() returns trigger language plpgsql as $$
        begin
            if new.table_name = 'market.kline_daily_qfq' and nextval('public.passes') = 1 then
                lock table public.gate;
            end if;
            return new;
        end
    $$;
    create trigger gate before insert on ops.changes
        for each row execute function public.wait_once();
"""


@pytest.mark.soak
def test_a_build_writes_no_older_rows_over_those_of_the_next(market_bench: Bench) -> None:
    market_bench.sandbox.set_clock(DAYS[-1])
    market_bench.load()
    market_bench.execute(GATE)
    settings = market_bench.settings
    environ = environ_of(market_bench)

    def build_again(held: psycopg.Connection) -> int:
        waits = "select 1 from pg_locks where relation = 'public.gate'::regclass and not granted"
        wait_until("a build waits", lambda: market_bench.rows(waits))
        end_lock(market_bench)
        market_bench.execute(
            "update raw_tdx.kline_daily set close = high; "
            "insert into ops.changes (table_name) values ('raw_tdx.kline_daily')"
        )
        try:
            return Command(["quotemill", "build"], env=environ, cwd=settings.home).wait()
        finally:
            held.close()

    shown, warehouse = partial(nullcontext, market_bench.heard), open_warehouse(settings)
    with market_bench.connect() as held, ThreadPoolExecutor(1) as other:
        held.execute("lock table public.gate")
        second = other.submit(build_again, held)
        with pytest.raises(LockHeldError, match="lost its lock"):
            build.build(settings, warehouse, shown)
    assert second.result() == 0
    assert build.build(settings, warehouse, shown, only_touched=True) is None
    made = market_bench.rows(ADJUSTED)
    build.build(settings, warehouse, shown, arguments=["--full-refresh"])
    assert made == market_bench.rows(ADJUSTED)
