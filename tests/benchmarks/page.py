"""docs/benchmarks.md: a page of sections; a run of some parts keeps the sections of the others."""

import os
import platform
import subprocess
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import psycopg

from tests.benchmarks.processes import ROOT

TITLE = "# Benchmarks"
HEAD = (
    "Medians, written by `make bench` (see CONTRIBUTING.md). Machines differ: read the ratios. "
    "Missed aims are bold."
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def paragraph(text: str) -> str:
    return textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)


def at_least(name: str, value: float, wanted: float, unit: str = "×") -> str:
    return _aim(f"{name} {value:.2f} {unit} (aim ≥ {wanted:g})", value >= wanted)


def at_most(name: str, value: float, wanted: float, unit: str = "×") -> str:
    return _aim(f"{name} {value:.2f} {unit} (aim ≤ {wanted:g})", value <= wanted)


def _aim(text: str, met: bool) -> str:
    return text if met else f"**{text}**"


def sections(page: str) -> dict[str, str]:
    """Text by title, without the head of the page."""
    parts = [part.partition("\n") for part in page.split("\n## ")[1:]]
    return {title: text.strip() for title, _, text in parts}


def page(texts: Mapping[str, str], order: Sequence[str]) -> str:
    """The whole page: sections in `order`, then those that no part writes any more."""
    titles = [title for title in order if title in texts]
    titles += [title for title in texts if title not in order]
    head = paragraph(f"{HEAD} The newest run: {machine()}.")
    return "\n\n".join([TITLE, head, *(f"## {title}\n\n{texts[title]}" for title in titles)]) + "\n"


def with_facts(text: str, server: str, aims: Sequence[str], load_before: str) -> str:
    """The text of one section, its first paragraph with missed aims and when it ran.

    Never names a host, user or folder.
    """
    with psycopg.connect(server) as conn:
        row = conn.execute("select current_setting('server_version')").fetchone()
    assert row is not None
    missed = [aim for aim in aims if aim.startswith("**")]
    met = f"{len(aims) - len(missed)} of {len(aims)} aims met" if aims else ""
    facts = [f"PostgreSQL {row[0]}", _commit(), f"load {load_before} to {load_average()}"]
    first, _, rest = text.partition("\n\n")
    known = "; ".join(filter(None, [met, *missed, *facts]))
    return f"{paragraph(f'{first} {known}.')}\n\n{rest}"


def machine() -> str:
    """Processor, memory and versions of the newest run."""
    versions = (f"{name} {version(name)}" for name in ("dlt", "dbt-core"))
    return ", ".join([f"{os.cpu_count()} × {_processor()}", _memory(), *versions])


def load_average() -> str:
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except OSError:
        return "unknown"


def _commit() -> str:
    """The commit of this checkout, and whether its code has changed since."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    name = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"commit {name}{', changed since' if changed else ''}"


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
        return "unknown memory"
    return f"{size / 2**30:.0f} GiB"
