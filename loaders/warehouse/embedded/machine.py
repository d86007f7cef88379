"""The memory and processors that this process may use."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    memory: int  # bytes
    processors: int


def machine(proc: Path = Path("/proc/self"), groups: Path = Path("/sys/fs/cgroup")) -> Machine:
    """The machine, within the limits of control groups (version 1 and 2) around this process."""
    memory = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    processors = [_scheduled_on()]
    for folder in _control_groups(proc, groups):
        for name in ("memory.max", "memory.limit_in_bytes"):
            memory += [int(word) for word in _words(folder / name) if word.isdigit()]
        v1 = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        match _words(folder / "cpu.max") or v1:
            case [quota, period] if quota.isdigit():  # else `max`, or -1
                processors.append(math.ceil(int(quota) / int(period)))
    return Machine(min(memory), max(1, min(processors)))


def _scheduled_on() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _control_groups(proc: Path, groups: Path) -> Iterator[Path]:
    """Folders of the groups that we are in, and of those around them.

    A container may see a path of its host, which it cannot read: its own group is the topmost then.
    """
    try:
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:  # 4:cpu,cpuacct:/a/b; of version 2 0::/a/b
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            top = groups / controller
            below = top / path.strip("/")
            yield from (f for f in (below, *below.parents) if f.is_relative_to(top))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
