"""docs/benchmarks.md: a page of sections; a run of some parts keeps the sections of the others."""

import os
import platform
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psycopg

ROOT = Path(__file__).parents[2]
TITLE = "# Benchmarks"
HEAD = (
    "You can measure your own machine with `make bench` (see CONTRIBUTING.md). All numbers are "
    "medians. Machines differ, so compare the ratios. Each section gives the measured commit."
)
AIMS = "Aims"
MET, MISSED = "met", "**missed**"


class Aim(NamedTuple):
    """A figure beside what it should be."""

    figure: str
    wanted: str
    is_met: bool


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def paragraph(text: str) -> str:
    return textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)


def at_least(name: str, value: float, wanted: float, unit: str = "×") -> Aim:
    return Aim(f"{name} {value:.2f} {unit}".strip(), f"≥ {wanted:g}", value >= wanted)


def at_most(name: str, value: float, wanted: float, unit: str = "×") -> Aim:
    return Aim(f"{name} {value:.2f} {unit}".strip(), f"≤ {wanted:g}", value <= wanted)


def read_sections(page: str) -> dict[str, str]:
    """Text by title, without the head of the page and its aims."""
    parts = [part.partition("\n") for part in page.split("\n## ")[1:]]
    return {title: text.strip() for title, _, text in parts if title != AIMS}


def read_aims(page: str) -> dict[str, list[Aim]]:
    """Aims by the title of their section."""
    _, _, rest = page.partition(f"\n## {AIMS}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    aims: dict[str, list[Aim]] = {}
    for line in lines[2:]:
        title, figures, verdict = (cell.strip() for cell in line.strip("|").split(" | "))
        for figure in figures.split("; "):
            name, _, wanted = figure.removesuffix(")").rpartition(" (aim ")
            aims.setdefault(title, []).append(Aim(name, wanted, verdict == MET))
    return aims


def write_page(
    texts: Mapping[str, str], aims: Mapping[str, Sequence[Aim]], order: Sequence[str]
) -> str:
    """The whole page: aims, sections in `order`, then those that no part writes any more."""
    titles = [title for title in order if title in texts]
    titles += [title for title in texts if title not in order]
    head = paragraph(f"{HEAD} The newest run: {machine()}.")
    parts = [TITLE, head]
    if rows := list(_list_aims(titles, aims)):
        parts.append(f"## {AIMS}\n{table(('measured in', 'figure (aim)', ''), rows)}")
    return "\n\n".join([*parts, *(f"## {title}\n{texts[title]}" for title in titles)]) + "\n"


def _list_aims(
    titles: Sequence[str], aims: Mapping[str, Sequence[Aim]]
) -> Iterator[tuple[str, str, str]]:
    """The aims that each section missed in one row, then those that it met."""
    for verdict in (MISSED, MET):
        for title in titles:
            figures = [
                f"{aim.figure} (aim {aim.wanted})"
                for aim in aims.get(title, ())
                if aim.is_met == (verdict == MET)
            ]
            if figures:
                yield title, "; ".join(figures), verdict


def with_facts(text: str, server: str, load_before: str) -> str:
    """The text of one section, its first paragraph with what it ran on.

    Never names a host, user or folder.
    """
    with psycopg.connect(server) as conn:
        row = conn.execute("select current_setting('server_version')").fetchone()
    assert row is not None
    facts = [f"PostgreSQL {row[0]}", _commit(), f"load {load_before} to {load_average()}"]
    first, _, rest = text.partition("\n\n")
    known = "; ".join(facts)
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
