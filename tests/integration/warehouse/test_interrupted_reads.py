"""Queries end with who asked them: interrupted, killed, closed, forked."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import quotemill
from orchestration.backup.dump import dump
from quotemill.warehouse import postgres
from quotemill.warehouse.postgres import Warehouse

READ = """
import sys, quotemill
market = quotemill.open(url=sys.argv[1], home=sys.argv[2])
market.sql("select pg_sleep(60)")
"""
FORK = """
import json, os, sys, quotemill
market = quotemill.open(url=sys.argv[1], home=sys.argv[2])
large = "select n from generate_series(1, 2000000) as n"
open_before = market.sql(large, batches=True)
first = open_before.read_next_batch().num_rows
market.sql("select 1")
ends, begin = zip(*(os.pipe() for _ in range(3)))
for number, end in enumerate(begin):
    if os.fork() == 0:
        try:
            open_before.read_next_batch()
            refused = ""
        except quotemill.Error as error:
            refused = str(error)
        rows = [market.sql("select %s::int as n", [number * 100 + n]) for n in range(100)]
        values = [r.to_arrow()["n"][0].as_py() for r in rows]
        right = values == [number * 100 + n for n in range(100)]
        market.close()
        os.write(end, json.dumps([refused, right]).encode())
        os._exit(0)
mine = [market.sql("select %s::int as n", [-n]).to_arrow()["n"][0].as_py() for n in range(100)]
answers = [json.loads(os.read(end, 1000)) for end in ends]
rest = first + sum(batch.num_rows for batch in open_before)
print(json.dumps([answers, mine == [-n for n in range(100)], rest]))
"""
OURS = "application_name ~ 'quotemill'"


def count_ours(dsn: str, *, until: int, seconds: float, state: str = "state <> 'idle'") -> int:
    return count(dsn, f"{OURS} and {state}", until=until, seconds=seconds)


def count(dsn: str, condition: str, *, until: int, seconds: float) -> int:
    """Sessions of the database, once they are so many, or after some seconds."""
    last = time.monotonic() + seconds
    every = "select count(*) from pg_stat_activity where datname = current_database()"
    query = f"{every} and {condition}"
    with psycopg.connect(dsn, autocommit=True) as conn:
        while True:
            [(number,)] = conn.execute(query.encode())
            if number == until or time.monotonic() > last:
                return int(number)
            conn.execute("select pg_sleep(0.05)")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_query_ends_with_its_client(
    number: signal.Signals, warehouse_dsn: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", READ, warehouse_dsn, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as client:
        assert count_ours(warehouse_dsn, until=1, seconds=60) == 1
        client.send_signal(number)
    assert count_ours(warehouse_dsn, until=0, seconds=5) == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        "quotemill build",
        "quotemill run tdx",
        "quotemill report",
        "quotemill reconcile",
        "quotemill export ops.runs OUT --to parquet",
        "quotemill schedule run",
        "quotemill warehouse psql -c 'table ops.runs'",
        "loaders run tdx",
        "loaders verify tdx",
    ],
)
def test_what_a_killed_command_waits_for_ends_with_it(
    command: str, prepared_dsn: str, tmp_path: Path
) -> None:
    tables = "ops', 'raw_tdx"
    with started_while_locked(command, prepared_dsn, tables, tmp_path) as client:
        waiting = "wait_event_type = 'Lock'"
        assert count_ours(prepared_dsn, until=1, seconds=60, state=waiting) == 1
        client.kill()
        assert count_ours(prepared_dsn, until=0, seconds=5, state="true") == 0


@contextmanager
def started_while_locked(
    command: str, dsn: str, schemas: str, folder: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """A command of ours at work, while every table of some schemas is locked."""
    program, *words = shlex.split(command)
    values = {"HOME": folder / "home", "WAREHOUSE_URL": dsn}
    values |= {"TDX__BASE_URL": "http://127.0.0.1:9"}
    environ = os.environ | {f"QUOTEMILL_{name}": str(value) for name, value in values.items()}
    with psycopg.connect(dsn) as holder:
        holder.execute(
            "do $$ declare name text; begin for name in select format('%I.%I', schemaname, "
            f"tablename) from pg_tables where schemaname in ('{schemas}') loop execute "
            "'lock table ' || name || ' in access exclusive mode'; end loop; end $$".encode()
        )
        with subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), *words],
            cwd=folder,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as client:
            try:
                yield client
            finally:
                client.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a program with its parent")
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("quotemill backup --folder OUT", "pg_dump"),
        ("quotemill warehouse dump OUT.dump", "pg_dump"),
        ("quotemill warehouse restore IN.dump --yes", "psql"),
    ],
)
def test_a_program_that_waits_for_a_lock_ends_with_its_killed_command(
    command: str, name: str, prepared_dsn: str, tmp_path: Path
) -> None:
    dump(Warehouse(prepared_dsn, "w", False, "market", None, "t", tmp_path), tmp_path / "IN.dump")
    with started_while_locked(command, prepared_dsn, "raw_tdx", tmp_path) as client:
        waiting = f"wait_event_type = 'Lock' and application_name = '{name}'"
        assert count(prepared_dsn, waiting, until=1, seconds=60) == 1
        client.kill()
        assert count(prepared_dsn, waiting, until=0, seconds=5) == 0


def test_a_closed_reader_ends_open_batches_and_other_threads(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    market = quotemill.open(url=warehouse_dsn, home=tmp_path)
    large = "select repeat('x', 1000) from generate_series(1, 100000)"
    batches = market.sql(large, batches=True)
    batches.read_next_batch()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(market.sql, "select pg_sleep(60)")
        assert count_ours(warehouse_dsn, until=2, seconds=30) == 2
        market.close()
        with pytest.raises(quotemill.Error, match="the reader is closed"):
            asked.result(30)
    assert count_ours(warehouse_dsn, until=0, seconds=5) == 0
    with pytest.raises(quotemill.Error, match="the reader is closed"):
        batches.read_all()
    with pytest.raises(quotemill.Error, match="the reader is closed"):
        market.sql("select 1")


def test_a_reader_that_is_closed_after_a_timeout_ends_its_query(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    market = quotemill.open(url=warehouse_dsn, home=tmp_path)

    async def read_within(seconds: float, query: str) -> object:  # as in docs/how-to/python.md
        try:
            return await asyncio.wait_for(asyncio.to_thread(market.sql, query), seconds)
        except TimeoutError:
            market.close()
            raise

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(read_within(1, "select pg_sleep(60)"))
    assert time.monotonic() - began < 30
    assert count_ours(warehouse_dsn, until=0, seconds=5) == 0


def test_more_threads_than_connections_wait(
    warehouse_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, most = postgres._Pool, threading.Barrier(12)
    monkeypatch.setattr(postgres, "_Pool", lambda *_: make(2, 0))
    query = (
        "select count(*)::int as n from pg_stat_activity where datname = current_database() "
        f"and {OURS} and pg_sleep(0.02) is not null"
    )
    with quotemill.open(url=warehouse_dsn, home=tmp_path) as market:

        def read(_: int) -> int:
            most.wait(60)
            count: int = market.sql(query).to_arrow()["n"][0].as_py()
            return count

        with ThreadPoolExecutor(12) as pool:
            counts = list(pool.map(read, range(12)))
    assert max(counts) <= 2


def test_a_forked_process_opens_connections_of_its_own(warehouse_dsn: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, warehouse_dsn, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    answers, is_right, rows = json.loads(done.stdout)
    text = "these batches belong to the parent process"
    assert answers == [[text, True]] * 3
    assert (is_right, rows) == (True, 2_000_000)
