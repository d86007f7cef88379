"""What an embedded server takes of a machine, and what the settings say of it."""

from pathlib import Path

import psutil
import pytest

from loaders.settings import load_settings
from loaders.warehouse.embedded.machine import Machine, machine
from loaders.warehouse.embedded.sizes import by_machine
from quotemill.errors import SettingsError

GB = 2**30


def read_machine(tmp_path: Path, cgroup: str, files: dict[str, str]) -> Machine:
    """The machine where a process is in these control groups, whose files say so."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(f"{text}\n")
    return machine(proc, groups)


def test_without_control_groups_it_is_the_machine(tmp_path: Path) -> None:
    here = machine(tmp_path, tmp_path)
    assert here.memory == psutil.virtual_memory().total
    assert 1 <= here.processors <= (psutil.cpu_count() or 1)


def test_the_narrowest_group_around_counts(tmp_path: Path) -> None:
    files = {
        **{"a/b/memory.max": "max", "a/memory.max": "268435456", "memory.max": "536870912"},
        **{"a/b/cpu.max": "50000 100000", "a/cpu.max": "max 100000"},
    }
    assert read_machine(tmp_path, "0::/a/b\n", files) == Machine(2**28, 1)


@pytest.mark.parametrize(("quota", "most"), [("-1", None), ("100000", 1)])
def test_groups_of_version_1_count(quota: str, most: int | None, tmp_path: Path) -> None:
    files = {
        "memory/a/memory.limit_in_bytes": "268435456",
        "memory/memory.limit_in_bytes": "9" * 18,
    }
    files |= {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": "100000"}
    here = read_machine(tmp_path, "4:memory:/a\n1:cpu,cpuacct:/\n", files)
    assert here == Machine(2**28, most or machine(tmp_path, tmp_path).processors)


def test_a_container_that_sees_its_hosts_path_finds_its_own_group(tmp_path: Path) -> None:
    here = read_machine(tmp_path, "0::/../docker/abc\n", {"memory.max": "268435456"})
    assert here.memory == 2**28


@pytest.mark.parametrize("memory", [GB // 4, GB, 4 * GB, 24 * GB, 512 * GB])
@pytest.mark.parametrize("processors", [1, 2, 64])
def test_sizes_leave_room_for_others(memory: int, processors: int) -> None:
    sizes = by_machine(Machine(memory, processors))
    eighth = max(memory // 8, 128 * 2**20)
    number, unit = sizes["maintenance_work_mem"][:-2], sizes["maintenance_work_mem"][-2:]
    # four models at a time, each building an index
    assert 4 * int(number) * {"MB": 2**20, "GB": GB}[unit] <= eighth
    assert int(sizes["max_parallel_workers"]) <= int(sizes["max_worker_processes"])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("shared_buffers", "2GB", "unknown"),
        ("listen", "5433", "must be an address and a port: 127.0.0.1:5433"),
        ("listen", "localhost:5433", "must be an address and a port: 127.0.0.1:5433"),
        ("listen", "0.0.0.0:5433", "must be a local address, 127.0.0.1 or [::1]"),
        ("listen", "[::]:5433", "must be a local address"),
        ("listen", "192.168.1.5:5433", "need your own PostgreSQL server"),
        ("listen", "127.0.0.1", "must be an address and a port"),
        ("listen", "127.0.0.1:80", "must have a port from 1024 to 65535"),
        ("listen", "127.0.0.1:99999", "must have a port from 1024 to 65535"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: str, says: str, tmp_path: Path) -> None:
    variable = f"QUOTEMILL_SERVER__{name.upper()}"
    with pytest.raises(SettingsError) as refused:
        load_settings({variable: value}, cwd=tmp_path)
    assert f"server.{name} (environment {variable})" in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:5433", ("127.0.0.1", 5433)),
        ("[::1]:6000", ("::1", 6000)),
        ("", None),
    ],
)
def test_readers_get_in_at_an_address_of_this_machine(
    listen: str, address: tuple[str, int] | None, tmp_path: Path
) -> None:
    server = load_settings({"QUOTEMILL_SERVER__LISTEN": listen}, cwd=tmp_path).server
    assert server.address == address
    assert str(server.address or "") == listen
