"""The sizes of the embedded server: which file wins, and small machines."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded import sizes
from loaders.warehouse.embedded.machine import Machine
from loaders.warehouse.embedded.sizes import by_machine
from tests.requirements import require

HERE = Machine(2**30, 1)
# in a mount namespace of its own: a home in memory, and as good as no /dev/shm
MOUNTS = """
mount -t tmpfs -o mode=755 none /mnt
mount -t tmpfs -o size=2m none /dev/shm
"""
# a join of workers, whose table in common is larger than that
JOIN = """
from pathlib import Path
from loaders.settings import load_settings
from loaders.warehouse.embedded import server
from loaders.warehouse.postgres import open_warehouse
home = Path("/mnt")
try:
    with open_warehouse(load_settings({"QUOTEMILL_HOME": "/mnt"}, cwd=home)).connect() as conn:
        conn.execute(
            "create table rows as "
            "select i, repeat('x', 100) as x from generate_series(1, 60000) as i"
        )
        conn.execute("analyze rows")
        for setting in (
            "work_mem = '64MB'", "max_parallel_workers_per_gather = 2", "parallel_setup_cost = 0",
            "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0", "enable_mergejoin = off",
        ):
            conn.execute(f"set {setting}")
        join = "select count(*) from rows as a inner join rows as b using (i) where a.x = b.x"
        assert "Parallel Hash" in str(conn.execute(f"explain {join}").fetchall())
        print(*conn.execute(join).fetchone())
        print(*conn.execute("show dynamic_shared_memory_type").fetchone())
finally:
    server.stop(home)
"""


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "machine", lambda: HERE)


def show(home: Path, name: str) -> str:
    with psycopg.connect(embedded.ensure_running(home).url) as conn:
        [(value,)] = conn.execute(f"show {name}".encode())
    return str(value)


def test_the_servers_file_overrides_the_machine_and_alter_system_both(stopped_home: Path) -> None:
    for name, value in by_machine(HERE).items():
        assert show(stopped_home, name) == value
    assert show(stopped_home, "shared_buffers") == "128MB"

    embedded.stop(stopped_home)
    with (stopped_home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("work_mem = '5MB'\nmaintenance_work_mem = '99MB'\nshared_buffers = '48MB'\n")
    assert show(stopped_home, "work_mem") == "5MB"
    assert show(stopped_home, "maintenance_work_mem") == "99MB"
    assert show(stopped_home, "shared_buffers") == "48MB"
    with psycopg.connect(embedded.ensure_running(stopped_home).url, autocommit=True) as conn:
        conn.execute("alter system set work_mem = '7MB'")
    embedded.stop(stopped_home)
    assert show(stopped_home, "work_mem") == "7MB"


def test_a_home_made_before_gets_the_buffers_of_each_start(stopped_home: Path) -> None:
    (stopped_home / "postgres" / sizes.FILE).unlink()
    with psycopg.connect(embedded.ensure_running(stopped_home).url) as conn:
        assert conn.execute("show wal_buffers").fetchone() == (sizes.WAL_BUFFERS,)


def test_parallel_queries_work_with_little_shared_memory() -> None:
    apart = ["unshare", "--mount", "sh", "-ec"]
    done = subprocess.run([*apart, MOUNTS], capture_output=True, check=False)
    require("tmpfs", done.returncode == 0, "this user may not mount a file system")

    done = subprocess.run(
        [*apart, f'{MOUNTS} exec "$@"', "sh", sys.executable, "-c", JOIN],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"TMPDIR": "/tmp"},
    )

    assert done.stdout == "60000\nsysv\n", done.stderr
