"""Take the pictures of the console in the docs from a demo's home, in light and dark.

make demo && python -m tests.pictures var/demo
"""

import sys
import tempfile
from pathlib import Path

from tests import browser
from tests.conftest import ROOT
from tests.e2e.commands import Place
from tests.e2e.console.conftest import console

FOLDER = ROOT / "docs" / "pictures"
PAGES = {"overview": "/", "prices": "/prices?code=sh600000"}
LANGUAGES, SCHEMES = ("en", "zh"), ("light", "dark")
READ = "performance.getEntriesByType('resource').filter(e => e.initiatorType === 'fetch')"
LOADED = (
    f"{READ}.length >= document.querySelectorAll('[data-lazy], [data-bars]').length"
    " && !document.querySelector('[aria-busy=true]')"
)
# the home's path is the machine's own
SHORTEN = """(() => {{ const texts = document.createTreeWalker(document.body, 4);
    while (texts.nextNode())
        texts.currentNode.data = texts.currentNode.data.replaceAll('{}', 'var/demo'); }})()"""


def name_file(page: str, language: str, scheme: str) -> Path:
    return FOLDER / f"{page}-{language}-{scheme}.webp"


def take(home: Path, folder: Path) -> None:
    """Take a picture of each page in each language and scheme."""
    with console(Place(folder, home, {}), "--port", "0") as server, browser.running(folder) as run:
        for language in LANGUAGES:
            server.client.get("/", params={"lang": language})
            run.set_cookies(server.url, dict(server.client.cookies))
            for page, path in PAGES.items():
                for scheme in SCHEMES:
                    opened = run.open(f"{server.url}{path}", 1200)
                    opened.set_media(scheme=scheme)
                    opened.wait_for(LOADED)
                    opened.ask(SHORTEN.format(home))
                    opened.picture(name_file(page, language, scheme))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        take(Path(sys.argv[1]).absolute(), Path(folder))
