"""The contract of a source, by the smallest there can be: run, refused, retried, cancelled."""
# ruff: noqa: F811

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import typer

from loaders import loads, sources
from loaders.cli import load as commands
from loaders.engine import failed_keys, jobs, tasks
from loaders.engine.load import Load
from loaders.engine.outcome import Outcome
from loaders.engine.request import LoadRequest
from loaders.engine.source import Insight, Keys, Requests, Source
from loaders.settings import Settings
from loaders.warehouse import lock as locks
from loaders.warehouse.content import content_id
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.tables import landed_table
from orchestration.checks import status
from quotemill.errors import LockHeldError, SettingsError, UpstreamError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.faults.scene import wait_until
from tests.toy import source as toy
from tests.toy import tables as toy_tables
from tests.toy.bench import EXPECTED, FILES, RECORD, Toy, bench, load_elsewhere  # noqa: F401


def test_a_load_lands_everything_and_the_next_one_only_new_rows(bench: Toy) -> None:
    first = bench.load()
    assert (first.status, first.total("done"), first.total("rows_new")) == ("succeeded", 4, 7)
    assert bench.rows() == EXPECTED

    bench.write("AA", FILES["AA"] + "3,12\n")
    second = bench.load()
    assert (second.total("done"), second.total("skipped"), second.total("rows_new")) == (1, 3, 1)
    assert second.warnings == ()  # nothing new is no reason for one
    # the keys keep their capitals, and a cursor is any text that ascends
    assert bench.rows(
        "select key, cursor, last_success_date from ops.ingestion_state order by 1"
    ) == [("AA", "3", None), ("Bb", "1", None), ("cc", "3", None), ("dd", "1", None)]


def test_a_table_that_lost_its_rows_is_named_by_every_load(bench: Toy) -> None:
    assert bench.load().warnings == ()
    with psycopg.connect(bench.dsn) as conn:
        conn.execute("truncate raw_toy.price")

    for _ in range(2):
        result = bench.load()
        [warning] = result.warnings
        assert re.match(r"raw_toy\.price .* 7 rows ", warning)

    bench.write("AA", FILES["AA"] + "3,12\n")
    bench.load()
    assert bench.load().warnings == ()


def test_a_row_that_breaks_a_rule_is_rejected_alone(bench: Toy) -> None:
    bench.write("Bb", "1,20\n2,none\n3,22\n")
    bench.write("cc", f"1,{10**18}\n2,31\n")  # above the limit of the engine
    result = bench.load()
    assert result.status == "succeeded"
    slots = "select slot from raw_toy.price where symbol in ('Bb', 'cc') order by 1"
    assert bench.rows(slots) == [("1",), ("2",), ("3",)]
    refused = "select row_key, field from raw_toy.rejected_row order by 1"
    assert bench.rows(refused) == [("Bb 2", "price"), ("cc 1", "price")]


def test_a_refused_newest_row_keeps_the_cursor_of_its_part(
    bench: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted = replace(toy.SOURCE.dataset("price"), keys=Keys(part="close"))
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(parted,)))
    bench.write("cc", f"1,{10**18}\n")
    bench.load(keys=("AA", "cc"))
    assert bench.rows("select key, cursor from ops.ingestion_state") == [("AA close", "2")]


def test_an_unstorable_row_of_a_second_table_is_refused_alone(
    bench: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"AA": 10**18, "Bb": 7}

    def fetch(run: Any, symbols: Sequence[str]) -> Iterator[Outcome]:
        for outcome in toy.fetch(run, symbols):
            row = {"symbol": outcome.key, "slot": "1", "price": prices[outcome.key]}
            yield replace(outcome, beside=[row])

    both = replace(toy.SOURCE.dataset("price"), fetch=fetch, beside=toy.SPOT)
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(both,)))
    refusals = "select dataset, row_key, field, is_withdrawn from raw_toy.rejected_row"
    spots = "select symbol, price from raw_toy.spot order by 1"
    assert bench.load(keys=("AA", "Bb")).status == "succeeded"
    assert bench.rows(refusals) == [("spot", "AA 1", "price", False)]
    assert (bench.rows(spots), len(bench.rows())) == ([("Bb", 7)], 3)
    prices["AA"] = 9
    assert bench.load(keys=("AA", "Bb")).status == "succeeded"
    assert bench.rows(refusals) == [("spot", "AA 1", "price", True)]
    assert bench.rows(spots) == [("AA", 9), ("Bb", 7)]


def test_a_retry_loads_the_failed_keys_alone(bench: Toy) -> None:
    (bench.folder / "cc.csv").unlink()
    first = bench.load(keys=("AA", "Bb", "cc", "dd"))
    assert (first.status, first.exit_code) == ("partial", 6)
    assert first.tasks[0].failures == {"cc": "cc.csv is not there"}

    bench.write("cc", FILES["cc"])
    again = bench.load(retry=True)
    assert [(task.keys, task.status) for task in again.tasks] == [(("cc",), "succeeded")]
    assert bench.rows() == EXPECTED


def test_a_table_may_have_doubles(bench: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [*toy_tables.COLUMNS[:2], ("price", pa.float64())]
    table = landed_table("raw_toy", "greek", columns, key=("symbol", "slot"))
    greek = replace(toy.SOURCE.dataset("price"), landed=table)
    tables = (*toy.SOURCE.tables, table)
    monkeypatch.setattr(toy_tables, "TABLES", tables)
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(greek,), tables=tables))
    assert bench.load(keys=("Bb",)).status == "succeeded"
    assert bench.rows("select symbol, price from raw_toy.greek") == [("Bb", 20.0)]


def test_a_slow_lane_delays_no_other_and_refuses_a_second_load(bench: Toy) -> None:
    reached = bench.block("cc")
    with load_elsewhere(bench) as slow:
        release = reached()
        spot = bench.load("spot", keys=("AA", "dd"))
        assert (spot.status, spot.total("rows_new")) == ("succeeded", 2)
        with pytest.raises(LockHeldError, match=" toy "):
            bench.load()
        release()
        assert slow.wait() == 0
    assert bench.rows() == EXPECTED


def test_a_cancel_by_another_process_ends_a_load_between_keys(bench: Toy) -> None:
    (bench.folder / "AA.csv").unlink()
    bench.load(keys=("AA",))
    with psycopg.connect(bench.dsn) as conn:
        failed_keys.acknowledge(conn, "AA", "it comes later", "me")
    reached = bench.block("cc")

    def cancel() -> None:
        release = reached()
        try:
            jobs.request_cancel(open_warehouse(bench.settings))
            wait_until("the cancel is seen", bench.started[-1].watch.asked)
        finally:
            release()

    with ThreadPoolExecutor() as pool:
        cancelled = pool.submit(cancel)
        result = bench.load()
        cancelled.result()

    # though the only key that failed is acknowledged
    assert (result.status, result.exit_code, result.total("done")) == ("cancelled", 6, 2)
    assert {symbol for symbol, _, _ in bench.rows()} == {"Bb", "cc"}
    bench.write("AA", FILES["AA"])
    assert bench.load().total("done") == 2
    assert bench.rows() == EXPECTED


def test_a_retry_without_a_source_takes_the_only_failed_one(
    bench: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "configured", lambda _: (["tdx", "toy"], {}))
    with pytest.raises(UsageError, match="several sources"):
        loads.source_to_retry(bench.settings, None)
    bench.load(keys=("AA", "zz"))
    warehouse = open_warehouse(bench.settings)
    content = content_id(warehouse)
    other = jobs.start_job(warehouse, content, "b", LoadRequest("b"), "init", datetime.now(UTC))
    jobs.finish_job(warehouse, content, other, "succeeded")
    shown = status.read_status(bench.settings, warehouse)
    problems = [(check.name, check.fix) for check in shown.problems]
    assert ("load", "quotemill retry 1") in problems
    assert loads.source_to_retry(bench.settings, None) == "toy"
    bench.load(keys=("AA",))
    with pytest.raises(UsageError, match="several sources"):
        loads.source_to_retry(bench.settings, None)


def test_a_lock_lost_after_the_last_package_ends_the_recorded_job(
    bench: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tasks = tasks.run

    def lose_lock(load: Load, source: Source[Any]) -> None:
        run_tasks(load, source)
        load.watch._lost = LockHeldError("taken")

    monkeypatch.setattr(tasks, "run", lose_lock)
    result = bench.load()
    assert (result.status, result.exit_code, result.total("done")) == ("partial", 75, 4)
    assert bench.rows(RECORD) == [("partial", "taken", "succeeded")]


def test_a_load_that_raises_records_its_error_and_ends_its_tasks(
    bench: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def table(_: Any) -> Any:
        raise ValueError("http://me:secret@db/x has no price\nand more")

    broken = replace(toy.SOURCE.dataset("price"), table=table)
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(broken,)))
    with pytest.raises(Exception, match="has no price"):
        bench.load()
    assert bench.rows(RECORD) == [("failed", "ValueError: http://db/x has no price", "failed")]


def test_keys_that_did_not_land_are_not_done(bench: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    def table(_: Any) -> Any:
        raise UpstreamError("half of it is missing")

    broken = replace(toy.SOURCE.dataset("price"), table=table)
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(broken,)))
    result = bench.load()
    assert (result.status, result.total("done"), result.exit_code) == ("failed", 0, 4)


def test_keys_without_an_outcome_have_failed(bench: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    price = toy.SOURCE.dataset("price")
    silent = replace(price, fetch=lambda *_: iter(()))
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(silent,)))
    result = bench.load(keys=("AA", "Bb"))
    assert (result.status, set(result.tasks[0].failures)) == ("failed", {"AA", "Bb"})


def test_the_lock_watch_survives_a_server_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "WATCH_POLL", 0.01)
    tries = iter([UpstreamError("does not start"), SettingsError("in the way"), (True, None)])

    def ask(*_: object) -> Any:
        answer = next(tries, (True, None))
        if isinstance(answer, Exception):
            raise answer
        return answer

    lock: Any = SimpleNamespace(ask=ask)
    with locks.Watch(lock, 1, "content") as watch:
        wait_until("the cancel is seen", watch.asked)


def test_an_unregistered_source_is_named(bench: Toy) -> None:
    with pytest.raises(UsageError, match=r" nothing$") as error:
        sources.find("nothing")
    assert set(re.findall(r"\w+", error.value.hint)) >= {"tdx", "tq", "ib", "toy"}


def in_two_parts(monkeypatch: pytest.MonkeyPatch, due: Callable[..., Sequence[str]]) -> None:
    def parts(_: Settings, request: LoadRequest, __: object) -> tuple[LoadRequest, ...]:
        return request, replace(request, mode="spot")

    monkeypatch.setattr(
        toy, "SOURCE", replace(toy.SOURCE, requests=Requests(parts=parts), insight=Insight(due=due))
    )


def run_command(
    bench: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    """Exit code of `loaders run toy`, and its lines on stderr."""
    monkeypatch.setattr(commands, "load_settings", lambda: bench.settings)
    with pytest.raises(typer.Exit) as ended:
        commands.run_command("toy")
    return ended.value.exit_code, capsys.readouterr().err.splitlines()


def test_a_source_in_two_parts_loads_both_and_prints_next_steps(
    bench: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def due(_: Settings, warehouse: Warehouse) -> list[str]:
        rows = warehouse.ask(
            lambda conn: conn.execute("select count(*) from raw_toy.spot").fetchall()
        )
        return [f"{rows[0][0]} spots are unread: `read`"]

    in_two_parts(monkeypatch, due)
    code, lines = run_command(bench, monkeypatch, capsys)
    assert code == 0
    assert lines.index("toy, incremental:") < lines.index("toy, spot:")
    assert [line.startswith("next: ") for line in lines[-3:]] == [False, True, True]
    assert "quotemill build" in lines[-2]
    assert "4 spots are unread" in lines[-1]
    assert bench.rows() == EXPECTED
    modes = bench.rows("select mode from ops.ingestion_jobs order by job_id")
    assert modes == [("incremental",), ("spot",)]


def test_a_part_that_fails_ends_its_source(
    bench: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(_: Settings, __: Warehouse) -> list[str]:
        raise UpstreamError("the source is away")

    in_two_parts(monkeypatch, unavailable)
    for file in bench.folder.iterdir():
        file.write_bytes(b"\xff")
    code, lines = run_command(bench, monkeypatch, capsys)
    assert code == 1
    assert "toy, spot:" not in lines
    assert bench.rows("select mode, status from ops.ingestion_jobs") == [("incremental", "failed")]
    bench.write_files()
    code, lines = run_command(bench, monkeypatch, capsys)
    assert (code, bench.rows()) == (0, EXPECTED)
    assert lines[-1].endswith("the remaining work: the source is away)")
