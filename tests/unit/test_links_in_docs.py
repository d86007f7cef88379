"""What the pages point at exists: links, files and folders, make targets."""

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import write_reference

ROOT = Path(__file__).parents[2]
# a code host shows neither the site nor the generated pages
MADE = {*write_reference.PAGES, *(ROOT / "docs" / "site").rglob("*.md")}
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - MADE)
# a path of this repository between back-ticks, without the placeholders and what is made later
MENTIONED = re.compile(
    r"`((?:loaders|orchestration|dbt_project|macros|seeds|tests|docs)/[\w./-]*)`"
)
MADE_LATER = ("docs/site/", "dbt_project/profiles.yml")


def links(text: str) -> Iterator[str]:
    without_code = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", without_code)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def dead_links(page: Path) -> list[str]:
    links_here = [t for t in links(page.read_text("utf-8")) if not re.match(r"https?:|#", t)]
    targets = {link: (page.parent / link.partition("#")[0]).resolve() for link in links_here}
    return [t for t, path in targets.items() if not path.exists() or path in MADE]


def missing_paths(page: Path) -> list[str]:
    paths = [p for p in MENTIONED.findall(page.read_text("utf-8")) if not p.startswith(MADE_LATER)]
    return [p for p in paths if not (ROOT / p).exists()]


def unknown_make_targets(page: Path) -> list[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    text = page.read_text("utf-8")
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    used = re.findall(r"`make ([a-z0-9-]+)", text)
    used += re.findall(r"^make ([a-z0-9-]+)", blocks, re.MULTILINE)
    return sorted(set(used) - targets)


@pytest.mark.parametrize("find", [dead_links, missing_paths, unknown_make_targets])
def test_what_the_pages_point_at_exists(find: Callable[[Path], list[str]]) -> None:
    assert {name(page): wrong for page in PAGES if (wrong := find(page))} == {}


def test_every_page_of_the_docs_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        ahead += [page.parent / t.partition("#")[0] for t in links(page.read_text("utf-8"))]
    # docs/dbt holds blocks for the docs site of the models
    pages = {p for p in PAGES if p.is_relative_to(ROOT / "docs") and p.parent.name != "dbt"}
    assert {name(p) for p in pages - seen} == set()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, and none at all for the page as a whole."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {"", *(re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles)}


def test_each_page_that_has_moved_leads_to_one_that_exists() -> None:
    docs = ROOT / "docs"
    redirects = runpy.run_path(str(docs / "conf.py"))["REDIRECTS"]
    assert redirects
    assert [old for old in redirects if (docs / f"{old}.md").exists()] == []
    for new in redirects.values():
        page, _, anchor = new.partition("#")
        assert anchor in anchors(docs / f"{page}.md"), new


@pytest.mark.parametrize(
    ("wanted", "place"),
    {
        "a new dataset": "loaders/tdx/datasets/",
        "an incremental model of your own": "docs/how-to/dbt.md",
        "is repeated": "loaders/requests/http.py",
        "`kline_daily_qfq`": "dbt_project/models/marts/market/kline_daily_qfq.sql",
        "the hour of a job": "loaders/tdx/operations.py",
    }.items(),
)
def test_where_to_change_what_names_the_place(wanted: str, place: str) -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Where to change what")[1]
    [row] = [line for line in table.splitlines() if line.startswith("|") and wanted in line]
    assert place in row
    assert (ROOT / place).exists()
