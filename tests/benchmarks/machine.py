"""What the figures were measured on. No name of a host, a user or a folder."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psycopg

from loaders.warehouse.embedded.sizes import in_force
from tests.benchmarks.processes import ROOT

LIBRARIES = ("dlt", "psycopg", "pyarrow", "pgpq", "dbt-core", "dbt-postgres", "httpx")


def facts(server: str) -> list[tuple[str, str]]:
    with psycopg.connect(server) as conn:
        row = conn.execute("select current_setting('server_version')").fetchone()
        assert row is not None
        found = in_force(conn, {}, lambda _: "")
    sizes = ", ".join(f"{size.name} {size.value}" for size in found)
    return [
        ("processors", f"{os.cpu_count()} × {_processor()}"),
        ("memory", _memory()),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("PostgreSQL", f"{row[0]}, embedded, Unix socket, {sizes}"),
        *((name, version(name)) for name in LIBRARIES),
    ]


def conditions(server: str) -> str:
    """One line for a section, which may outlive the run that wrote the page's table."""
    known = dict(facts(server))
    version = known["PostgreSQL"].partition(",")[0]
    versions = [
        f"PostgreSQL {version}",
        *(f"{n} {known[n]}" for n in ("Python", "dlt", "dbt-core")),
    ]
    return "; ".join([known["processors"], known["memory"], ", ".join(versions), _commit()])


def _commit() -> str:
    """Of this checkout, and whether its code is another."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    name = git("rev-parse", "--short", "HEAD") or "not known"
    return f"commit {name}{', changed since' if changed else ''}"


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
