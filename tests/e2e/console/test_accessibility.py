"""What axe-core finds on each page, for readers with a keyboard, a screen reader or weak eyes."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser import Browser, Page
from tests.conftest import ROOT
from tests.e2e.commands import Place
from tests.e2e.console.conftest import AS_OF, Server

Start = Callable[..., Server]
AXE = (ROOT / "tests" / "axe" / "axe.min.js").read_text("utf-8")
FIND = """
axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations
    .filter(({impact}) => ['serious', 'critical'].includes(impact))
    .map(({id, nodes}) => [id, nodes.slice(0, 3).map(
        ({html, any}) => [html, any.map(({message}) => message)])]))
"""
# pages that show something only where they are asked for it, and pages about nothing
UNLINKED = (
    "/prices?code=sh600000",
    "/prices?code=nothing",
    "/prices?code=sh600000&freq=1m&adjust=none",
    "/prices/futures?variety=SHFE.au",
    "/prices/options?symbol=AAPL",
    "/sign-in",
    "/jobs/999",
    "/builds/999",
    "/load?lang=zh",
)


def list_pages(chromium: Browser, url: str) -> list[str]:
    """The pages that a reader gets to from the first one, each path once."""
    known, waiting = dict[str, str](), ["/"]
    while waiting:
        address = waiting.pop()
        path = urlsplit(address).path
        if path in known or path.startswith(("/api/", "/static/")):
            continue
        known[path] = address
        page = chromium.open(f"{url}{address}")
        links = page.ask("[...document.links].map(link => link.href)")
        waiting += [link.removeprefix(url) for link in links if link.startswith(f"{url}/")]
    return [*known.values(), *UNLINKED]


def find_violations(page: Page) -> list[list[object]]:
    """What axe-core calls serious or critical, and what looks wrong, in each light and width."""
    violations: list[list[object]] = []
    page.ask(f"void {AXE}")
    for scheme in ("light", "dark"):
        page.set_media(scheme=scheme)
        for width in (1280, 390):
            page.set_width(width)
            violations += [[scheme, width, *violation] for violation in page.ask(FIND)]
            violations += [[scheme, width, *fault] for fault in page.ask(LOOKS)]
    return violations


# a page wider than the window; rows whose state is not seen without scrolling; fields and buttons
# of one line that are not on one line
LOOKS = """
(() => {
    const said = [], isSeen = (element) => element.offsetParent !== null;
    const find = (selector, from = document) => [...from.querySelectorAll(selector)].filter(isSeen);
    if (document.documentElement.scrollWidth > innerWidth) said.push(['sideways', innerWidth]);
    for (const row of find('main tbody tr')) {
        const box = row.querySelector('.good, .bad, .warn')?.getBoundingClientRect();
        const right = box ? box.left + Math.min(box.width, 60) : 0;
        if (right > innerWidth) said.push(['hidden', row.innerText]);
    }
    for (const row of find('form.row, form .row')) {
        const fields = find('input:not([type=checkbox]), select, button', row);
        const boxes = fields.map((field) => field.getBoundingClientRect());
        for (const a of boxes) for (const b of boxes) {
            const isBeside = a.top < b.bottom && b.top < a.bottom;
            const apart = Math.max(Math.abs(a.top - b.top), Math.abs(a.bottom - b.bottom));
            if (isBeside && apart > 1) said.push(['crooked', row.innerText]);
        }
    }
    return said;
})()
"""


def check_pages(chromium: Browser, url: str) -> None:
    violations = {}
    for address in list_pages(chromium, url):
        page = chromium.open(f"{url}{address}")
        if own := find_violations(page):
            violations[address] = own
        # the console names each answer with an error
        assert all("Failed to load resource" in said for said in page.console), address
    assert violations == {}


def check_sorting(page: Page) -> None:
    """A header sorts its table, the next click the other way, and so when it is replaced."""
    shown = [int(row[3].replace("–", "-1")) for row in page.table("checks")]
    assert len(shown) > 20
    for way in ("ascending", "descending"):
        page.ask("void document.getElementById('sort-checks-3').click()")
        sorted_now = sorted(shown, reverse=way == "descending")
        assert [int(row[3].replace("–", "-1")) for row in page.table("checks")] == sorted_now
        head = "document.querySelector('#checks th:nth-child(4)')"
        assert page.ask(f"{head}.ariaSort") == way
    page.ask(
        "fetch(location.href).then((answer) => answer.text()).then((text) => {"
        " document.getElementById('checks').outerHTML = new DOMParser()"
        ".parseFromString(text, 'text/html').getElementById('checks').outerHTML; })"
    )
    page.wait_for(f"{head}.ariaSort === 'descending'")


def check_times(page: Page) -> None:
    """Times are sorted as times, whatever zones they are written in."""
    times = "[...document.querySelectorAll('#history time')]"
    page.ask(f"{times}.forEach((time, n) => {{ time.textContent = n; }})")
    page.ask("void document.getElementById('sort-history-3').click()")
    shown = page.ask(f"{times}.map((time) => time.dateTime)")
    assert len(shown) > 1
    assert shown == sorted(shown)


def test_no_page_of_a_new_home_has_a_serious_violation(
    tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    place = Place(tmp_path, tmp_path / "home")
    check_pages(chromium, start_console(place, "--port", "0", "--as-of", AS_OF).url)


@pytest.mark.soak
def test_no_page_over_a_built_warehouse_has_a_serious_violation(
    failed_place: Place, start_console: Start, chromium: Browser
) -> None:
    url = start_console(failed_place, "--port", "0", "--as-of", AS_OF).url
    check_pages(chromium, url)
    check_sorting(chromium.open(f"{url}/sources"))
    check_times(chromium.open(f"{url}/history"))
