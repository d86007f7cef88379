"""What the figures were measured on. No name of a host, a user or a folder."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psycopg

LIBRARIES = ("dlt", "psycopg", "pyarrow", "pgpq", "dbt-core", "dbt-postgres", "httpx")


def facts(server: str) -> list[tuple[str, str]]:
    with psycopg.connect(server) as conn:
        row = conn.execute("select current_setting('server_version')").fetchone()
        assert row is not None
    return [
        ("processors", f"{os.cpu_count()} × {_processor()}"),
        ("memory", _memory()),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("PostgreSQL", f"{row[0]}, embedded, settings as delivered, Unix socket"),
        *((name, version(name)) for name in LIBRARIES),
    ]


def load_average() -> str:
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except OSError:
        return "not known"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return "not known"
    return f"{size / 2**30:.0f} GiB"
